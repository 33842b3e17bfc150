// Windows that move over up to three spatial axes: patches as columns of a matrix and back, and pooling.
#include "internal.h"
#include <string.h>

// The positions o of one axis for which low ≤ o * stride + shift, and < size: begin ≤ o < end.
static void reach(int64_t out, int64_t size, int64_t stride, int64_t shift, int64_t *begin, int64_t *end) {
  int64_t b = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
  int64_t e = size - 1 - shift < 0 ? 0 : (size - 1 - shift) / stride + 1;
  if (e > out) e = out;
  if (b > e) b = e;
  *begin = b;
  *end = e;
}

static int64_t product(const int64_t *v) { return v[0] * v[1] * v[2]; }

// MARK: columns

typedef struct {
  const ck_window *w;
  int64_t images, taps, outs, plane;
  char *columns, *x;
  int32_t dtype;
  int64_t size;
} columns_job;

#define COPY_STRIDED(T)                                                         \
  {                                                                             \
    T *restrict to = (T *)row;                                                  \
    const T *restrict from = (const T *)line;                                   \
    for (int64_t o = begin; o < end; o++) to[o] = from[o * stride + shift];     \
  }                                                                             \
  break

// One row of the matrix for one image: the elements that one tap of the kernel sees.
static void gather_row(const columns_job *j, int64_t channel, int64_t tap, int64_t image, char *row) {
  const ck_window *w = j->w;
  const int64_t at[3] = {tap / (w->kernel[1] * w->kernel[2]), tap / w->kernel[2] % w->kernel[1], tap % w->kernel[2]};
  int64_t shifts[3], begins[3], ends[3];
  for (int a = 0; a < 3; a++) {
    shifts[a] = at[a] * w->dilation[a] - w->low[a];
    reach(w->out[a], w->size[a], w->stride[a], shifts[a], &begins[a], &ends[a]);
  }
  const int64_t size = j->size, stride = w->stride[2], shift = shifts[2], begin = begins[2], end = ends[2];
  const int64_t width = w->out[2];
  const char *plane = j->x + (image * w->channels + channel) * j->plane * size;
  for (int64_t d = 0; d < w->out[0]; d++) {
    for (int64_t h = 0; h < w->out[1]; h++, row += width * size) {
      if (d < begins[0] || d >= ends[0] || h < begins[1] || h >= ends[1] || begin == end) {
        memset(row, 0, (size_t)(width * size));
        continue;
      }
      const int64_t z = d * w->stride[0] + shifts[0], y = h * w->stride[1] + shifts[1];
      const char *line = plane + (z * w->size[1] + y) * w->size[2] * size;
      if (begin > 0) memset(row, 0, (size_t)(begin * size));
      if (end < width) memset(row + end * size, 0, (size_t)((width - end) * size));
      if (stride == 1) {
        memcpy(row + begin * size, line + (begin + shift) * size, (size_t)((end - begin) * size));
      } else {
        switch (size) {
          case 2: COPY_STRIDED(uint16_t);
          case 4: COPY_STRIDED(uint32_t);
          default: COPY_STRIDED(uint64_t);
        }
      }
    }
  }
}

static void gather_range(void *context, int64_t begin, int64_t end) {
  const columns_job *j = context;
  for (int64_t i = begin; i < end; i++) {
    const int64_t row = i / j->images, image = i % j->images;
    gather_row(j, row / j->taps, row % j->taps, image, j->columns + i * j->outs * j->size);
  }
}

static columns_job columns_of(int32_t dtype, const ck_window *w, int64_t images, void *columns, void *x) {
  return (columns_job){.w = w, .images = images, .taps = product(w->kernel), .outs = product(w->out),
                       .plane = product(w->size), .columns = columns, .x = x, .dtype = dtype,
                       .size = ck_element_size(dtype)};
}

int32_t ck_im2col(int32_t dtype, const ck_window *w, int64_t images, void *columns, const void *x) {
  if (!ck_is_float(dtype)) return CK_UNSUPPORTED;
  columns_job j = columns_of(dtype, w, images, columns, (void *)(uintptr_t)x);
  ck_parallel(w->channels * j.taps * images, ck_grain_for(j.outs), &j, gather_range);
  return CK_OK;
}

#define ADD_BACK(T)                                                                    \
  {                                                                                    \
    const T *restrict from = (const T *)(const void *)row;                             \
    T *restrict to = (T *)(void *)line;                                                \
    for (int64_t o = begin; o < end; o++) to[o * stride + shift] += from[o];           \
  }

// All taps of one channel of one image, in a fixed order.
static void scatter_range(void *context, int64_t first, int64_t last) {
  const columns_job *j = context;
  const ck_window *w = j->w;
  for (int64_t i = first; i < last; i++) {
    const int64_t image = i / w->channels, channel = i % w->channels;
    char *plane = j->x + i * j->plane * j->size;
    memset(plane, 0, (size_t)(j->plane * j->size));
    for (int64_t tap = 0; tap < j->taps; tap++) {
      const int64_t at[3] = {tap / (w->kernel[1] * w->kernel[2]), tap / w->kernel[2] % w->kernel[1], tap % w->kernel[2]};
      int64_t shifts[3], begins[3], ends[3];
      for (int a = 0; a < 3; a++) {
        shifts[a] = at[a] * w->dilation[a] - w->low[a];
        reach(w->out[a], w->size[a], w->stride[a], shifts[a], &begins[a], &ends[a]);
      }
      const int64_t stride = w->stride[2], shift = shifts[2], begin = begins[2], end = ends[2];
      const char *matrix = j->columns + ((channel * j->taps + tap) * j->images + image) * j->outs * j->size;
      for (int64_t d = begins[0]; d < ends[0]; d++) {
        for (int64_t h = begins[1]; h < ends[1]; h++) {
          const int64_t z = d * w->stride[0] + shifts[0], y = h * w->stride[1] + shifts[1];
          char *line = plane + (z * w->size[1] + y) * w->size[2] * j->size;
          const char *row = matrix + (d * w->out[1] + h) * w->out[2] * j->size;
          if (j->dtype == CK_F64) ADD_BACK(double) else ADD_BACK(float)
        }
      }
    }
  }
}

int32_t ck_col2im(int32_t dtype, const ck_window *w, int64_t images, void *x, const void *columns) {
  if (dtype != CK_F32 && dtype != CK_F64) return CK_UNSUPPORTED;
  columns_job j = columns_of(dtype, w, images, (void *)(uintptr_t)columns, x);
  ck_parallel(images * w->channels, ck_grain_for(j.taps * j.outs), &j, scatter_range);
  return CK_OK;
}

// MARK: pooling

typedef struct {
  const ck_window *w;
  int64_t planes, outs, plane;
  const void *x;
  void *y;
  int32_t *index;
  bool adaptive;
  // For averages by windows of one size: how many places of the window at each position of each axis count.
  const int64_t *counts[3];
} pool_job;

// One output line at a time: its best values and their places stay in the first cache while the taps pass by.
enum { LINE = 256 };

// The places inside of the plane that the window of one result sees; an adaptive one sees those from
// floor(o * size / out) up to ceil((o + 1) * size / out).
static void places_of(const ck_window *w, bool adaptive, int64_t out, int64_t *begin, int64_t *end, int64_t *step) {
  for (int a = 2; a >= 0; a--) {
    const int64_t o = out % w->out[a];
    out /= w->out[a];
    step[a] = 1;
    if (adaptive) {
      begin[a] = o * w->size[a] / w->out[a];
      end[a] = ((o + 1) * w->size[a] + w->out[a] - 1) / w->out[a];
      continue;
    }
    const int64_t start = o * w->stride[a] - w->low[a], d = step[a] = w->dilation[a];
    begin[a] = start < 0 ? start + (-start + d - 1) / d * d : start;
    end[a] = ck_min64(w->size[a], start + w->kernel[a] * d);
  }
}

enum { BF16_LEAST = 0xff80 };  // minus infinity

typedef struct {
  int64_t plane, outs;
  void *x;
  const void *values;
  const int32_t *index;
  int64_t bad;
} unpool_job;
// The largest plane of bfloat16 that is summed in float32 beside the result.
enum { UNPOOL_PLANE = 16384 };
// Of images with adjacent channels a task is a run of channels of one image: all where there are many images.
enum { CHANNEL_RUN = 16, MANY_IMAGES = 64 };
typedef struct {
  unpool_job pool;
  const int64_t *size, *out;  // of a plane, and of what is pooled
  int64_t channels, run, runs;
  bool overlaps;  // windows do, and the planes are too large to sum beside the result
} unpool_last_job;

#define CK_BODY "window_body.h"
#include "levels.h"

#define ADAPTIVE_LOOP(...)                                                                                       \
  for (int64_t i = first; i < last; i++) {                                                                       \
    int64_t begin[3], end[3], step[3];                                                                           \
    const int64_t p = i / j->outs;                                                                               \
    places_of(w, true, i % j->outs, begin, end, step);                                                           \
    __VA_ARGS__                                                                                                         \
  }

#define ADAPTIVE_MAX(T, NAME)                                                                                    \
  static void NAME(void *context, int64_t first, int64_t last) {                                                 \
    const pool_job *j = context;                                                                                 \
    const ck_window *w = j->w;                                                                                   \
    ADAPTIVE_LOOP({                                                                                              \
      const T *plane = (const T *)j->x + p * j->plane;                                                           \
      T best = 0;                                                                                                \
      int64_t where = -1;                                                                                        \
      for (int64_t z = begin[0]; z < end[0]; z++)                                                                \
        for (int64_t y = begin[1]; y < end[1]; y++)                                                              \
          for (int64_t x = begin[2]; x < end[2]; x++) {                                                          \
            const int64_t at = (z * w->size[1] + y) * w->size[2] + x;                                            \
            const T v = plane[at];                                                                               \
            if (where < 0 || v > best || (v != v && best == best)) best = v, where = at;                         \
          }                                                                                                      \
      ((T *)j->y)[i] = best;                                                                                     \
      j->index[i] = (int32_t)where;                                                                              \
    })                                                                                                           \
  }
ADAPTIVE_MAX(float, adaptive_max_f32)
ADAPTIVE_MAX(double, adaptive_max_f64)

static pool_job pool_of(const ck_window *w, int64_t planes, const void *x, void *y) {
  return (pool_job){.w = w, .planes = planes, .outs = product(w->out), .plane = product(w->size), .x = x, .y = y};
}

int32_t ck_max_pool(int32_t dtype, const ck_window *w, int64_t planes, bool adaptive, void *y, int32_t *index,
                    const void *x) {
  const bool half = dtype == CK_BF16;
  if (dtype != CK_F32 && dtype != CK_F64 && (!half || adaptive)) return CK_UNSUPPORTED;
  pool_job j = pool_of(w, planes, x, y);
  j.index = index;
  if (adaptive) {
    ck_parallel(planes * j.outs, ck_grain_for(j.plane / ck_max64(j.outs, 1) + 1), &j,
                dtype == CK_F64 ? adaptive_max_f64 : adaptive_max_f32);
  } else {
    ck_parallel(planes * w->out[0] * w->out[1], ck_grain_for(w->out[2] * product(w->kernel)), &j,
                dtype == CK_F64 ? CK_PICK(max_pool_f64) : half ? CK_PICK(max_pool_bf16) : CK_PICK(max_pool_f32));
  }
  return CK_OK;
}

int32_t ck_max_pool_last(int32_t dtype, const ck_window *w, int64_t images, bool adaptive, void *y, int32_t *index,
                         const void *x) {
  const bool half = dtype == CK_BF16;
  if (dtype != CK_F32 && dtype != CK_F64 && !half) return CK_UNSUPPORTED;
  pool_job j = pool_of(w, images, x, y);
  j.index = index;
  j.adaptive = adaptive;
  ck_parallel(images * j.outs, ck_grain_for(w->channels * (adaptive ? j.plane / ck_max64(j.outs, 1) + 1 : product(w->kernel))),
              &j, dtype == CK_F64 ? CK_PICK(max_pool_last_f64) : half ? CK_PICK(max_pool_last_bf16)
                                                                      : CK_PICK(max_pool_last_f32));
  return CK_OK;
}

#define ADAPTIVE_AVERAGE(T, NAME, FORWARD)                                                                       \
  static void NAME(void *context, int64_t first_plane, int64_t last_plane) {                                     \
    const pool_job *j = context;                                                                                 \
    const ck_window *w = j->w;                                                                                   \
    if (!FORWARD) memset((T *)j->y + first_plane * j->plane, 0, (size_t)((last_plane - first_plane) * j->plane) * sizeof(T)); \
    const int64_t first = first_plane * j->outs, last = last_plane * j->outs;                                    \
    ADAPTIVE_LOOP({                                                                                              \
      T *plane = (T *)(FORWARD ? (void *)(uintptr_t)j->x : j->y) + p * j->plane;                                 \
      const T n = (T)((end[0] - begin[0]) * (end[1] - begin[1]) * (end[2] - begin[2]));                          \
      double sum = 0;                                                                                            \
      const T share = FORWARD ? 0 : ((const T *)j->x)[i] / n;                                                    \
      for (int64_t z = begin[0]; z < end[0]; z++)                                                                \
        for (int64_t y = begin[1]; y < end[1]; y++)                                                              \
          for (int64_t x = begin[2]; x < end[2]; x++) {                                                          \
            T *at = plane + (z * w->size[1] + y) * w->size[2] + x;                                               \
            if (FORWARD) sum += *at;                                                                             \
            else *at += share;                                                                                   \
          }                                                                                                      \
      if (FORWARD) ((T *)j->y)[i] = (T)(sum / n);                                                                   \
    })                                                                                                           \
  }
ADAPTIVE_AVERAGE(float, adaptive_average_f32, true)
ADAPTIVE_AVERAGE(double, adaptive_average_f64, true)
ADAPTIVE_AVERAGE(float, adaptive_average_back_f32, false)
ADAPTIVE_AVERAGE(double, adaptive_average_back_f64, false)

// Those inside, or those inside the padded input.
static void count_places(const ck_window *w, int a, bool count_padding, int64_t *counts) {
  for (int64_t o = 0; o < w->out[a]; o++) {
    const int64_t start = o * w->stride[a] - w->low[a];
    counts[o] = 0;
    for (int64_t k = 0; k < w->kernel[a]; k++) {
      const int64_t at = start + k * w->dilation[a];
      counts[o] += count_padding ? at < w->size[a] + w->high[a] : at >= 0 && at < w->size[a];
    }
  }
}

static int32_t average(int32_t dtype, const ck_window *w, int64_t planes, bool adaptive, bool count_padding, void *y,
                       const void *x, bool forward) {
  if (dtype != CK_F32 && dtype != CK_F64) return CK_UNSUPPORTED;
  pool_job j = pool_of(w, planes, x, y);
  const size_t bytes = adaptive ? 0 : (size_t)(w->out[0] + w->out[1] + w->out[2]) * sizeof(int64_t);
  int64_t *counts = bytes ? ck_alloc(bytes) : NULL, *next = counts;
  if (bytes && !counts) return CK_NO_MEMORY;
  for (int a = 0; counts && a < 3; next += w->out[a++]) {
    count_places(w, a, count_padding, next);
    j.counts[a] = next;
  }
  const ck_body bodies[2][2][2] = {
    {{CK_PICK(average_back_f32), CK_PICK(average_back_f64)}, {adaptive_average_back_f32, adaptive_average_back_f64}},
    {{CK_PICK(average_f32), CK_PICK(average_f64)}, {adaptive_average_f32, adaptive_average_f64}}};
  ck_parallel(planes, ck_grain_for(adaptive ? j.plane : j.outs * product(w->kernel)), &j,
              bodies[forward][adaptive][dtype == CK_F64]);
  if (counts) ck_free(counts, bytes);
  return CK_OK;
}

int32_t ck_average_pool(int32_t dtype, const ck_window *w, int64_t planes, bool adaptive, bool count_padding, void *y,
                        const void *x) {
  return average(dtype, w, planes, adaptive, count_padding, y, x, true);
}
int32_t ck_average_pool_grad(int32_t dtype, const ck_window *w, int64_t planes, bool adaptive, bool count_padding,
                             void *dx, const void *dy) {
  return average(dtype, w, planes, adaptive, count_padding, dx, dy, false);
}

#define UNPOOL(T, NAME)                                                                                          \
  static void NAME(void *context, int64_t first, int64_t last) {                                                 \
    unpool_job *j = context;                                                                                     \
    for (int64_t p = first; p < last; p++) {                                                                     \
      T *restrict plane = (T *)j->x + p * j->plane;                                                              \
      const T *restrict values = (const T *)j->values + p * j->outs;                                             \
      const int32_t *restrict index = j->index + p * j->outs;                                                    \
      memset(plane, 0, (size_t)j->plane * sizeof(T));                                                            \
      for (int64_t o = 0; o < j->outs; o++) {                                                                    \
        if ((uint32_t)index[o] >= (uint64_t)j->plane) __atomic_store_n(&j->bad, p * j->outs + o, __ATOMIC_RELAXED); \
        else plane[index[o]] += values[o];                                                                       \
      }                                                                                                          \
    }                                                                                                            \
  }
UNPOOL(float, unpool_f32)
UNPOOL(double, unpool_f64)

ck_status ck_unpool(int32_t dtype, int64_t planes, int64_t plane, int64_t outs, void *x, const void *values,
                    const int32_t *index) {
  const bool half = dtype == CK_BF16;
  if (dtype != CK_F32 && dtype != CK_F64 && (!half || plane > UNPOOL_PLANE)) return (ck_status){CK_UNSUPPORTED, 0};
  unpool_job j = {.plane = plane, .outs = outs, .x = x, .values = values, .index = index, .bad = -1};
  ck_parallel(planes, ck_grain_for(plane + outs), &j,
              dtype == CK_F64 ? unpool_f64 : half ? CK_PICK(unpool_bf16) : unpool_f32);
  return j.bad >= 0 ? (ck_status){CK_BAD_INDEX, index[j.bad]} : (ck_status){CK_OK, 0};
}

// The same with adjacent channels.
ck_status ck_unpool_last(int32_t dtype, int64_t images, int64_t channels, const int64_t *size, const int64_t *out,
                         void *x, const void *values, const int32_t *index) {
  const bool half = dtype == CK_BF16;
  if (dtype != CK_F32 && dtype != CK_F64 && !half) return (ck_status){CK_UNSUPPORTED, 0};
  if (images * channels * product(size) == 0 && images * channels * product(out) == 0) return (ck_status){CK_OK, 0};
  unpool_last_job l = {
    .pool = {.plane = product(size), .outs = product(out), .x = x, .values = values, .index = index, .bad = -1},
    .size = size, .out = out, .channels = channels, .run = images >= MANY_IMAGES ? channels : CHANNEL_RUN};
  l.runs = (channels + l.run - 1) / l.run;
  ck_parallel(images * l.runs, ck_grain_for((l.pool.plane + l.pool.outs) * l.run), &l,
              dtype == CK_F64 ? CK_PICK(unpool_last_f64) : half ? CK_PICK(unpool_last_bf16) : CK_PICK(unpool_last_f32));
  if (l.overlaps) return (ck_status){CK_UNSUPPORTED, 0};
  return l.pool.bad >= 0 ? (ck_status){CK_BAD_INDEX, index[l.pool.bad]} : (ck_status){CK_OK, 0};
}
