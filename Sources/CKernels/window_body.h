// Pooling by windows of one size. Included once per level.
#include "bfloat16_body.h"

// Elements are compared as V(x), which differs from x where T holds the bits of a bfloat16.
#define MAX_POOL(T, NAME, V, LEAST)                                                                             \
  static void NAME(void *context, int64_t first, int64_t last) {                                                \
    const pool_job *j = context;                                                                                \
    const ck_window *w = j->w;                                                                                  \
    const int64_t width = w->out[2], lines = w->out[0] * w->out[1];                                             \
    const bool pairs = w->kernel[0] == 1 && w->stride[0] == 1 && w->low[0] == 0 && w->kernel[1] == 2 &&         \
                       w->kernel[2] == 2 && w->stride[1] == 2 && w->stride[2] == 2 && w->dilation[1] == 1 &&    \
                       w->dilation[2] == 1 && w->low[1] == 0 && w->low[2] == 0 && 2 * width <= w->size[2];      \
    for (int64_t i = first; i < last; i++) {                                                                    \
      const int64_t p = i / lines, d = i % lines / w->out[1], h = i % w->out[1];                                \
      const T *plane = (const T *)j->x + p * j->plane;                                                          \
      T *restrict out = (T *)j->y + i * width;                                                                  \
      int32_t *restrict index = j->index + i * width;                                                           \
      if (pairs && h * 2 + 1 < w->size[1]) {                                                                    \
        const int64_t base = (d * w->size[1] + 2 * h) * w->size[2];                                             \
        MAX_OF_FOUR(T, V, plane + base, plane + base + w->size[2], (int32_t)base, (int32_t)w->size[2])          \
        continue;                                                                                               \
      }                                                                                                         \
      for (int64_t o = 0; o < width; o++) out[o] = LEAST, index[o] = -1;                                        \
      for (int64_t a = 0; a < w->kernel[0]; a++) {                                                              \
        const int64_t z = d * w->stride[0] + a * w->dilation[0] - w->low[0];                                    \
        if (z < 0 || z >= w->size[0]) continue;                                                                 \
        for (int64_t b = 0; b < w->kernel[1]; b++) {                                                            \
          const int64_t y = h * w->stride[1] + b * w->dilation[1] - w->low[1];                                  \
          if (y < 0 || y >= w->size[1]) continue;                                                               \
          const int64_t base = (z * w->size[1] + y) * w->size[2];                                               \
          for (int64_t c = 0; c < w->kernel[2]; c++) {                                                          \
            const int64_t shift = c * w->dilation[2] - w->low[2], stride = w->stride[2];                        \
            int64_t begin, end;                                                                                 \
            reach(width, w->size[2], stride, shift, &begin, &end);                                              \
            const T *restrict from = plane + base + shift;                                                      \
            const int32_t place = (int32_t)(base + shift);                                                      \
            if (stride == 2) { MAX_TAP(T, V, 2) } else if (stride == 1) { MAX_TAP(T, V, 1) } else { MAX_TAP(T, V, stride) } \
          }                                                                                                     \
        }                                                                                                       \
      }                                                                                                         \
    }                                                                                                           \
  }

// The common window of 2 by 2 that moves by 2, with all four places inside.
#define MAX_OF_FOUR(T, V, UPPER, LOWER, PLACE, BELOW) {                                                         \
    const T *restrict upper = UPPER, *restrict lower = LOWER;                                                   \
    const int32_t place = PLACE, below = BELOW;                                                                 \
    for (int64_t o = 0; o < width; o++) {                                                                       \
      const T v[4] = {upper[2 * o], upper[2 * o + 1], lower[2 * o], lower[2 * o + 1]};                          \
      const int32_t at = place + 2 * (int32_t)o;                                                                \
      T best = v[0];                                                                                            \
      int32_t where = at;                                                                                       \
      MAX_STEP(V, v[1], at + 1)                                                                                 \
      MAX_STEP(V, v[2], at + below)                                                                             \
      MAX_STEP(V, v[3], at + below + 1)                                                                         \
      out[o] = best;                                                                                            \
      index[o] = where;                                                                                         \
    }                                                                                                           \
  }
#define MAX_STEP(V, X, PLACE) {                                                                                 \
    const bool take = (V(X) > V(best)) | ((V(X) != V(X)) & (V(best) == V(best)));                               \
    best = take ? X : best;                                                                                     \
    where = take ? PLACE : where;                                                                               \
  }

// The first of equal ones, and NaN before all; an empty place takes anything.
#define MAX_TAP(T, V, S)                                                                                        \
  for (int64_t o = begin; o < end; o++) {                                                                       \
    const T v = from[o * (S)], best = out[o];                                                                   \
    const bool take = (V(v) > V(best)) | ((V(v) != V(v)) & (V(best) == V(best))) | (index[o] < 0);              \
    out[o] = take ? v : best;                                                                                   \
    index[o] = take ? place + (int32_t)(o * (S)) : index[o];                                                    \
  }

#define ITSELF(x) (x)
MAX_POOL(float, L(max_pool_f32), ITSELF, -INFINITY)
MAX_POOL(double, L(max_pool_f64), ITSELF, -INFINITY)
MAX_POOL(uint16_t, L(max_pool_bf16), L(bf16_value), BF16_LEAST)

// Average pooling and its adjoint share the walk; FORWARD adds inputs to outputs, else outputs to inputs.
#define AVERAGE(T, NAME, FORWARD)                                                                               \
  static void NAME(void *context, int64_t first, int64_t last) {                                                \
    const pool_job *j = context;                                                                                \
    const ck_window *w = j->w;                                                                                  \
    const int64_t width = w->out[2];                                                                            \
    T counts[LINE];                                                                                             \
    for (int64_t p = first; p < last; p++) {                                                                    \
      T *plane = (T *)(FORWARD ? (void *)(uintptr_t)j->x : j->y) + p * j->plane;                                \
      T *outs = (T *)(FORWARD ? j->y : (void *)(uintptr_t)j->x) + p * j->outs;                                  \
      if (!FORWARD) memset(plane, 0, (size_t)j->plane * sizeof(T));                                             \
      for (int64_t d = 0; d < w->out[0]; d++)                                                                   \
        for (int64_t h = 0; h < w->out[1]; h++)                                                                 \
          for (int64_t at = 0; at < width; at += LINE) {                                                        \
            const int64_t n = ck_min64(LINE, width - at), both = j->counts[0][d] * j->counts[1][h];             \
            for (int64_t o = 0; o < n; o++) counts[o] = (T)(both * j->counts[2][at + o]);                       \
            T *restrict out = outs + (d * w->out[1] + h) * width + at;                                          \
            T line[LINE];                                                                                       \
            if (FORWARD) memset(line, 0, (size_t)n * sizeof(T));                                                \
            else for (int64_t o = 0; o < n; o++) line[o] = out[o] / counts[o];                                 \
            for (int64_t a = 0; a < w->kernel[0]; a++) {                                                        \
              const int64_t z = d * w->stride[0] + a * w->dilation[0] - w->low[0];                              \
              if (z < 0 || z >= w->size[0]) continue;                                                           \
              for (int64_t b = 0; b < w->kernel[1]; b++) {                                                      \
                const int64_t y = h * w->stride[1] + b * w->dilation[1] - w->low[1];                            \
                if (y < 0 || y >= w->size[1]) continue;                                                         \
                T *from = plane + (z * w->size[1] + y) * w->size[2];                                            \
                for (int64_t c = 0; c < w->kernel[2]; c++) {                                                    \
                  const int64_t shift = at * w->stride[2] + c * w->dilation[2] - w->low[2], stride = w->stride[2]; \
                  int64_t begin, end;                                                                           \
                  reach(n, w->size[2], stride, shift, &begin, &end);                                            \
                  for (int64_t o = begin; o < end; o++) {                                                       \
                    if (FORWARD) line[o] += from[o * stride + shift];                                           \
                    else from[o * stride + shift] += line[o];                                                   \
                  }                                                                                             \
                }                                                                                               \
              }                                                                                                 \
            }                                                                                                   \
            if (FORWARD) for (int64_t o = 0; o < n; o++) out[o] = line[o] / counts[o];                         \
          }                                                                                                     \
    }                                                                                                           \
  }
AVERAGE(float, L(average_f32), true)
AVERAGE(double, L(average_f64), true)
AVERAGE(float, L(average_back_f32), false)
AVERAGE(double, L(average_back_f64), false)
#undef MAX_POOL
#undef MAX_TAP
#undef MAX_STEP
#undef MAX_OF_FOUR
#undef AVERAGE

// Max pooling of images whose channels are adjacent: runs of channels, which stay in registers while the places pass by.
#define MAX_POOL_LAST(T, NAME, W, V, BACK)                                                                      \
  static void NAME(void *context, int64_t first, int64_t last) {                                                \
    const pool_job *j = context;                                                                                \
    const ck_window *w = j->w;                                                                                  \
    const int64_t n = w->channels;                                                                              \
    for (int64_t i = first; i < last; i++) {                                                                    \
      const T *image = (const T *)j->x + i / j->outs * j->plane * n;                                            \
      int64_t begin[3], end[3], step[3], c = 0;                                                                 \
      places_of(w, j->adaptive, i % j->outs, begin, end, step);                                                 \
      for (; c + 32 <= n; c += 32) MAX_OF_RUN(T, W, V, BACK, 32, 32)                                            \
      for (; c + 16 <= n; c += 16) MAX_OF_RUN(T, W, V, BACK, 16, 16)                                            \
      for (; c + 8 <= n; c += 8) MAX_OF_RUN(T, W, V, BACK, 8, 8)                                                \
      if (c < n) MAX_OF_RUN(T, W, V, BACK, 8, (n - c))                                                          \
    }                                                                                                           \
  }
// Compared, and kept, as W.
#define MAX_OF_RUN(T, W, V, BACK, most, count) {                                                                \
    W best[most];                                                                                               \
    int32_t where[most];                                                                                        \
    bool is_empty = true;                                                                                       \
    for (int64_t z = begin[0]; z < end[0]; z += step[0])                                                        \
      for (int64_t y = begin[1]; y < end[1]; y += step[1])                                                      \
        for (int64_t x = begin[2]; x < end[2]; x += step[2]) {                                                  \
          const int32_t place = (int32_t)((z * w->size[1] + y) * w->size[2] + x);                               \
          const T *from = image + place * n + c;                                                                \
          if (is_empty) {                                                                                       \
            for (int k = 0; k < count; k++) best[k] = V(from[k]), where[k] = place;                             \
            is_empty = false;                                                                                   \
            continue;                                                                                           \
          }                                                                                                     \
          for (int k = 0; k < count; k++) {                                                                     \
            const W v = V(from[k]);                                                                             \
            const bool take = (v > best[k]) | ((v != v) & (best[k] == best[k]));                                \
            best[k] = take ? v : best[k];                                                                       \
            where[k] = take ? place : where[k];                                                                 \
          }                                                                                                     \
        }                                                                                                       \
    if (is_empty) for (int k = 0; k < count; k++) best[k] = (W)-INFINITY, where[k] = -1;                        \
    T *out = (T *)j->y + i * n + c;                                                                             \
    for (int k = 0; k < count; k++) out[k] = BACK(best[k]);                                                     \
    memcpy(j->index + i * n + c, where, (size_t)(count) * sizeof(int32_t));                                     \
  }
MAX_POOL_LAST(float, L(max_pool_last_f32), float, ITSELF, ITSELF)
MAX_POOL_LAST(double, L(max_pool_last_f64), double, ITSELF, ITSELF)
MAX_POOL_LAST(uint16_t, L(max_pool_last_bf16), float, L(bf16_value), L(bf16_of))
#undef ITSELF
#undef MAX_POOL_LAST
#undef MAX_OF_RUN

// Into planes of bfloat16, whose sums are made in float32.
static void L(unpool_bf16)(void *context, int64_t first, int64_t last) {
  unpool_job *j = context;
  float sums[UNPOOL_PLANE];
  for (int64_t p = first; p < last; p++) {
    uint16_t *restrict plane = (uint16_t *)j->x + p * j->plane;
    const uint16_t *restrict values = (const uint16_t *)j->values + p * j->outs;
    const int32_t *restrict index = j->index + p * j->outs;
    memset(sums, 0, (size_t)j->plane * sizeof(float));
    for (int64_t o = 0; o < j->outs; o++) {
      if ((uint32_t)index[o] >= (uint64_t)j->plane) __atomic_store_n(&j->bad, p * j->outs + o, __ATOMIC_RELAXED);
      else sums[index[o]] += L(bf16_value)(values[o]);
    }
    for (int64_t i = 0; i < j->plane; i++) plane[i] = L(bf16_bits)(sums[i]);
  }
}

// With adjacent channels a task is a run of channels of one image. Where windows lie side by side each place is written once,
// from the one window that it belongs to; false: some index lies in another.
// Zeros are positive, as sums are.
#define UNPOOL_TILES(T, NAME, CLEAN)                                                                            \
  static bool NAME(const unpool_last_job *l, T *restrict plane, int64_t start, int64_t count) {                 \
    const unpool_job *j = &l->pool;                                                                             \
    const int64_t n = l->channels, *size = l->size, *out = l->out;                                              \
    const int64_t side[3] = {size[0] / ck_max64(out[0], 1), size[1] / ck_max64(out[1], 1), size[2] / ck_max64(out[2], 1)}; \
    if (side[0] * out[0] != size[0] || side[1] * out[1] != size[1] || side[2] * out[2] != size[2])              \
      for (int64_t p = 0; p < j->plane; p++) memset(plane + p * n, 0, (size_t)count * sizeof(T));               \
    for (int64_t o = 0; o < j->outs; o++) {                                                                     \
      const int64_t z = o / (out[1] * out[2]) * side[0], y = o / out[2] % out[1] * side[1], x = o % out[2] * side[2]; \
      const int32_t *index = j->index + start + o * n;                                                          \
      const T *values = (const T *)j->values + start + o * n;                                                   \
      int64_t hits = 0, c = 0;                                                                                  \
      for (; c + 16 <= count; c += 16) UNPOOL_RUN(T, CLEAN, 16)                                                     \
      if (c < count) UNPOOL_RUN(T, CLEAN, count - c)                                                                \
      if (hits != count) return false;                                                                          \
    }                                                                                                           \
    return true;                                                                                                \
  }
#define UNPOOL_RUN(T, CLEAN, some)                                                                              \
  for (int64_t a = 0; a < side[0]; a++)                                                                         \
    for (int64_t b = 0; b < side[1]; b++)                                                                       \
      for (int64_t d = 0; d < side[2]; d++) {                                                                   \
        const int32_t place = (int32_t)(((z + a) * size[1] + y + b) * size[2] + x + d);                         \
        T *to = plane + place * n + c;                                                                          \
        int32_t found = 0;                                                                                      \
        for (int k = 0; k < some; k++) {                                                                        \
          const bool is_here = index[c + k] == place;                                                           \
          to[k] = is_here ? CLEAN(values[c + k]) : 0;                                                            \
          found += is_here;                                                                                     \
        }                                                                                                       \
        hits += found;                                                                                          \
      }
#define PLUS_ZERO(x) ((x) + 0)
#define PLUS_ZERO_BITS(x) ((x) == 0x8000 ? (uint16_t)0 : (x))
UNPOOL_TILES(float, L(unpool_tiles_f32), PLUS_ZERO)
UNPOOL_TILES(double, L(unpool_tiles_f64), PLUS_ZERO)
UNPOOL_TILES(uint16_t, L(unpool_tiles_bf16), PLUS_ZERO_BITS)
#undef PLUS_ZERO
#undef PLUS_ZERO_BITS
#undef UNPOOL_TILES
#undef UNPOOL_RUN

#define UNPOOL_LAST(T, NAME, TILES)                                                                             \
  static void NAME(void *context, int64_t first, int64_t last) {                                                \
    unpool_last_job *l = context;                                                                               \
    unpool_job *j = &l->pool;                                                                                   \
    for (int64_t i = first; i < last; i++) {                                                                    \
      const int64_t image = i / l->runs, from = i % l->runs * l->run, n = l->channels;                          \
      const int64_t count = ck_min64(l->run, n - from), start = image * j->outs * n + from;                     \
      T *restrict plane = (T *)j->x + image * j->plane * n + from;                                              \
      if (TILES(l, plane, start, count)) continue;                                                              \
      for (int64_t p = 0; p < j->plane; p++) memset(plane + p * n, 0, (size_t)count * sizeof(T));               \
      for (int64_t o = 0; o < j->outs; o++)                                                                     \
        for (int64_t c = 0; c < count; c++) {                                                                   \
          const int64_t at = start + o * n + c;                                                                 \
          const int32_t place = j->index[at];                                                                   \
          if ((uint32_t)place >= (uint64_t)j->plane) __atomic_store_n(&j->bad, at, __ATOMIC_RELAXED);           \
          else plane[place * n + c] += ((const T *)j->values)[at];                                              \
        }                                                                                                       \
    }                                                                                                           \
  }
UNPOOL_LAST(float, L(unpool_last_f32), L(unpool_tiles_f32))
UNPOOL_LAST(double, L(unpool_last_f64), L(unpool_tiles_f64))
#undef UNPOOL_LAST

static void L(unpool_last_bf16)(void *context, int64_t first, int64_t last) {
  unpool_last_job *l = context;
  unpool_job *j = &l->pool;
  float sums[UNPOOL_PLANE];
  for (int64_t i = first; i < last; i++) {
    const int64_t image = i / l->runs, from = i % l->runs * l->run, n = l->channels, count = ck_min64(l->run, n - from);
    uint16_t *restrict plane = (uint16_t *)j->x + image * j->plane * n + from;
    const int64_t start = image * j->outs * n + from;
    if (L(unpool_tiles_bf16)(l, plane, start, count)) continue;
    if (j->plane > UNPOOL_PLANE / CHANNEL_RUN) {
      __atomic_store_n(&l->overlaps, true, __ATOMIC_RELAXED);
      return;
    }
    for (int64_t low = 0; low < count; low += CHANNEL_RUN) {
      const int64_t high = ck_min64(count, low + CHANNEL_RUN), width = high - low;
      memset(sums, 0, (size_t)(j->plane * width) * sizeof(float));
      for (int64_t o = 0; o < j->outs; o++)
        for (int64_t c = low; c < high; c++) {
          const int64_t at = start + o * n + c;
          const int32_t place = j->index[at];
          if ((uint32_t)place >= (uint64_t)j->plane) __atomic_store_n(&j->bad, at, __ATOMIC_RELAXED);
          else sums[place * width + c - low] += L(bf16_value)(((const uint16_t *)j->values)[at]);
        }
      for (int64_t p = 0; p < j->plane; p++)
        for (int64_t c = low; c < high; c++) plane[p * n + c] = L(bf16_bits)(sums[p * width + c - low]);
    }
  }
}
