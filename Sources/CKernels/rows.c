// Softmax, log-softmax, their gradients and cross entropy, along the middle axis of [outer, n, inner].
//
// Long f32 rows (inner 1) run in place. Short ones, and those that lie side by side (inner > 1), run 64 at a time, one in
// each lane of the vectors; where they do not lie so they are turned into a buffer first. 16-bit floats are widened into
// it; f64 takes one row after the other.
#include "internal.h"
#define CK_BODY "rows_body.h"
#include "levels.h"

enum { SOFTMAX, LOG_SOFTMAX, SOFTMAX_GRAD, LOG_SOFTMAX_GRAD };

typedef struct {
  int32_t kind, dtype, failed;
  int64_t outer, n, inner;
  char *out;
  const char *a, *b;
} job;

static void row_f32(int32_t kind, int64_t n, float *o, const float *a, const float *b) {
  if (kind == SOFTMAX) {
    const float sum = CK_PICK(row_exp_sum)(n, o, a, CK_PICK(row_max)(n, a));
    CK_PICK(row_scale)(n, o, o, 1 / sum);
  } else if (kind == LOG_SOFTMAX) {
    const float top = CK_PICK(row_max)(n, a), log_sum = logf(CK_PICK(row_exp_sum)(n, NULL, a, top));
    CK_PICK(row_shift)(n, o, a, top);
    CK_PICK(row_shift)(n, o, o, log_sum);
  } else if (kind == SOFTMAX_GRAD) {
    CK_PICK(row_softmax_grad)(n, o, a, b, CK_PICK(row_dot)(n, a, b));
  } else {
    CK_PICK(row_log_softmax_grad)(n, o, a, b, CK_PICK(row_dot)(n, b, NULL));
  }
}

static double max_f64(int64_t n, const double *a) {
  double top = -INFINITY;
  for (int64_t i = 0; i < n; i++) top = a[i] > top || a[i] != a[i] ? a[i] : top;
  return top;
}

static void row_f64(int32_t kind, int64_t n, double *o, const double *a, const double *b) {
  double sum = 0, top = kind <= LOG_SOFTMAX ? max_f64(n, a) : 0;
  switch (kind) {
    case SOFTMAX:
      for (int64_t i = 0; i < n; i++) sum += o[i] = exp(a[i] - top);
      for (int64_t i = 0; i < n; i++) o[i] /= sum;
      break;
    case LOG_SOFTMAX:
      for (int64_t i = 0; i < n; i++) sum += exp(a[i] - top);
      sum = log(sum);
      for (int64_t i = 0; i < n; i++) o[i] = a[i] - top - sum;
      break;
    case SOFTMAX_GRAD:
      for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
      for (int64_t i = 0; i < n; i++) o[i] = a[i] * (b[i] - sum);
      break;
    default:
      for (int64_t i = 0; i < n; i++) sum += b[i];
      for (int64_t i = 0; i < n; i++) o[i] = b[i] - exp(a[i]) * sum;
  }
}

static void load(const job *j, int32_t wide, void *to, const char *from) {
  const ck_nd nd = {1, {j->n}, {{1}, {j->inner}, {0}, {0}}};
  ck_cast(j->dtype, wide, &nd, to, from);
}

// MARK: rows side by side

enum { WIDTH = 64, SHORT_ROW = 32, WIDE = 16 };

// Up to 64 rows of an [outer, n, inner] array that are one work item: rows that follow each other in [outer, inner]. Where
// inner is wide they are of one outer index, so that their values lie side by side.
typedef struct {
  int64_t row, n, inner;
  int count;
} block;

static bool by_lanes(int32_t dtype, int64_t n, int64_t inner) { return dtype != CK_F64 && (inner > 1 || n <= SHORT_ROW); }
static int64_t blocks_of(int64_t outer, int64_t inner) {
  return inner < WIDE ? (outer * inner + WIDTH - 1) / WIDTH : outer * ((inner + WIDTH - 1) / WIDTH);
}
static block block_at(int64_t index, int64_t outer, int64_t n, int64_t inner) {
  int64_t row = index * WIDTH, left = outer * inner - row;
  if (inner >= WIDE) {
    const int64_t across = (inner + WIDTH - 1) / WIDTH, first = index % across * WIDTH;
    row = index / across * inner + first;
    left = inner - first;
  }
  return (block){row, n, inner, left < WIDTH ? (int)left : WIDTH};
}
// Where row `row + lane` begins; its values are `inner` apart.
static int64_t start_of(const block *b, int lane) {
  const int64_t row = b->row + lane;
  return row / b->inner * b->n * b->inner + row % b->inner;
}
// Whether a block can be worked on where it lies.
static bool lies_ready(const block *b, int32_t dtype) {
  return dtype == CK_F32 && b->count == WIDTH && (b->inner >= WIDE || (b->inner == 1 && b->n == 1));
}

// A block between rows of a dtype and a buffer of WIDTH lanes in float32: into the buffer, or back out of it.
static inline __attribute__((always_inline)) void move(const block *b, int32_t dtype, float *buffer, char *rows,
                                                       bool into) {
  const int64_t n = b->n, step = b->inner, size = ck_element_size(dtype);
  if (dtype == CK_F32 && step >= WIDE) {
    float *x = (float *)(void *)rows + start_of(b, 0);
    const size_t bytes = (size_t)b->count * sizeof(float);
    for (int64_t k = 0; k < n; k++)
      if (into) memcpy(buffer + k * WIDTH, x + k * step, bytes);
      else memcpy(x + k * step, buffer + k * WIDTH, bytes);
  } else if (dtype == CK_F32) {
    for (int i = 0; i < b->count; i++) {
      float *x = (float *)(void *)rows + start_of(b, i);
      for (int64_t k = 0; k < n; k++)
        if (into) buffer[k * WIDTH + i] = x[k * step];
        else x[k * step] = buffer[k * WIDTH + i];
    }
  } else {
    // All rows at once where they are equally far apart.
    const bool even = step == 1 || step >= WIDE;
    const int64_t count = even ? b->count : 1, lane = even ? (step == 1 ? n : 1) : 0;
    ck_nd nd = {2, {count, n}, {{1, WIDTH}, {lane, step}, {0}, {0}}};
    if (!into) nd = (ck_nd){2, {count, n}, {{lane, step}, {1, WIDTH}, {0}, {0}}};
    for (int i = 0; i < (even ? 1 : b->count); i++) {
      char *x = rows + start_of(b, i) * size;
      if (into) ck_cast(dtype, CK_F32, &nd, buffer + i, x);
      else ck_cast(CK_F32, dtype, &nd, x, buffer + i);
    }
  }
}
static void gather(const block *b, int32_t dtype, float *to, const char *from) {
  if (b->count < WIDTH) memset(to, 0, (size_t)b->n * WIDTH * sizeof(float));
  move(b, dtype, to, (char *)(uintptr_t)from, true);
}
static void scatter(const block *b, int32_t dtype, char *to, const float *from) {
  move(b, dtype, (float *)(uintptr_t)from, to, false);
}

static void lanes_f32(int32_t kind, int64_t n, int64_t step, float *o, const float *a, const float *b) {
  float s[WIDTH], t[WIDTH];
  if (kind == SOFTMAX) {
    CK_PICK(lanes_max)(n, step, t, a);
    CK_PICK(lanes_exp_sum)(n, step, s, o, a, t);
    for (int i = 0; i < WIDTH; i++) s[i] = 1 / s[i];
    CK_PICK(lanes_scale)(n, step, o, s);
  } else if (kind == LOG_SOFTMAX) {
    CK_PICK(lanes_max)(n, step, t, a);
    CK_PICK(lanes_exp_sum)(n, step, s, NULL, a, t);
    CK_PICK(lanes_log)(s, s);
    CK_PICK(lanes_shift)(n, step, o, a, t, s);
  } else if (kind == SOFTMAX_GRAD) {
    CK_PICK(lanes_dot)(n, step, s, a, b);
    CK_PICK(lanes_softmax_grad)(n, step, o, a, b, s);
  } else {
    CK_PICK(lanes_dot)(n, step, s, b, NULL);
    CK_PICK(lanes_log_softmax_grad)(n, step, o, a, b, s);
  }
}

static void lanes_range(void *context, int64_t begin, int64_t end) {
  job *j = context;
  const size_t size = (size_t)j->n * WIDTH, bytes = 2 * size * sizeof(float);
  float *buffer = NULL;
  for (int64_t index = begin; index < end; index++) {
    const block b = block_at(index, j->outer, j->n, j->inner);
    if (lies_ready(&b, j->dtype)) {
      const int64_t at = start_of(&b, 0) * (int64_t)sizeof(float);
      lanes_f32(j->kind, j->n, j->inner, (float *)(void *)(j->out + at), (const float *)(const void *)(j->a + at),
                j->b ? (const float *)(const void *)(j->b + at) : NULL);
      continue;
    }
    if (!buffer && !(buffer = ck_alloc(bytes))) {
      __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
      return;
    }
    gather(&b, j->dtype, buffer, j->a);
    if (j->b) gather(&b, j->dtype, buffer + size, j->b);
    lanes_f32(j->kind, j->n, WIDTH, buffer, buffer, j->b ? buffer + size : NULL);
    scatter(&b, j->dtype, j->out, buffer);
  }
  if (buffer) ck_free(buffer, bytes);
}

static void range(void *context, int64_t begin, int64_t end) {
  job *j = context;
  const int64_t size = ck_element_size(j->dtype);
  const int32_t wide = j->dtype == CK_F64 ? CK_F64 : CK_F32;
  const bool direct = j->dtype == wide && j->inner == 1;
  const size_t row = (size_t)j->n * (wide == CK_F64 ? 8 : 4), bytes = direct ? 0 : 2 * row;
  char *buffer = direct ? NULL : ck_alloc(bytes);
  if (!direct && !buffer) {
    __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  for (int64_t r = begin; r < end; r++) {
    const int64_t at = ((r / j->inner) * j->n * j->inner + r % j->inner) * size;
    const void *a = j->a + at, *b = j->b ? j->b + at : NULL;
    void *o = j->out + at;
    if (!direct) {
      load(j, wide, buffer, a);
      if (b) load(j, wide, buffer + row, b);
      a = o = buffer;
      b = b ? buffer + row : NULL;
    }
    if (wide == CK_F32) row_f32(j->kind, j->n, o, a, b);
    else row_f64(j->kind, j->n, o, a, b);
    if (!direct) {
      const ck_nd nd = {1, {j->n}, {{j->inner}, {1}, {0}, {0}}};
      ck_cast(wide, j->dtype, &nd, j->out + at, buffer);
    }
  }
  if (buffer) ck_free(buffer, bytes);
}

static int32_t run(int32_t kind, int32_t dtype, int64_t outer, int64_t n, int64_t inner, void *out, const void *a,
                   const void *b) {
  if (!ck_is_float(dtype) || !ck_is_dtype(dtype)) return CK_UNSUPPORTED;
  job j = {kind, dtype, 0, outer, n, inner, out, a, b};
  if (n == 0 || inner == 0) return CK_OK;
  if (by_lanes(dtype, n, inner)) {
    ck_parallel(blocks_of(outer, inner), ck_grain_for(n * 4 * WIDTH), &j, lanes_range);
  } else {
    ck_parallel(outer * inner, ck_grain_for(n * 4), &j, range);
  }
  return j.failed ? CK_NO_MEMORY : CK_OK;
}

int32_t ck_softmax(int32_t dtype, int64_t outer, int64_t n, int64_t inner, void *out, const void *a) {
  return run(SOFTMAX, dtype, outer, n, inner, out, a, NULL);
}
int32_t ck_log_softmax(int32_t dtype, int64_t outer, int64_t n, int64_t inner, void *out, const void *a) {
  return run(LOG_SOFTMAX, dtype, outer, n, inner, out, a, NULL);
}
int32_t ck_softmax_grad(int32_t dtype, int64_t outer, int64_t n, int64_t inner, void *out, const void *y,
                        const void *dy) {
  return run(SOFTMAX_GRAD, dtype, outer, n, inner, out, y, dy);
}
int32_t ck_log_softmax_grad(int32_t dtype, int64_t outer, int64_t n, int64_t inner, void *out, const void *y,
                            const void *dy) {
  return run(LOG_SOFTMAX_GRAD, dtype, outer, n, inner, out, y, dy);
}

// MARK: cross entropy

typedef struct {
  int32_t dtype, label_dtype, failed;
  int64_t outer, n, inner, ignore;
  char *out, *loss;
  const char *logits, *labels, *scale;
} entropy;

static int64_t label_at(const entropy *e, int64_t r) {
  return e->label_dtype == CK_I32 ? ((const int32_t *)(const void *)e->labels)[r]
                                  : ((const int64_t *)(const void *)e->labels)[r];
}

// Row r of f64, whose values are `inner` apart.
static void entropy_f64(const entropy *e, int64_t r) {
  const int64_t n = e->n, step = e->inner, at = r / step * n * step + r % step, label = label_at(e, r);
  const bool ignored = label == e->ignore;
  const double *x = (const double *)(const void *)e->logits + at;
  double top = -INFINITY, sum = 0;
  for (int64_t i = 0; i < n; i++) top = x[i * step] > top || x[i * step] != x[i * step] ? x[i * step] : top;
  for (int64_t i = 0; i < n; i++) sum += exp(x[i * step] - top);
  if (!e->out) {
    ((double *)(void *)e->loss)[r] = ignored ? 0 : top - x[label * step] + log(sum);
    return;
  }
  const double s = ((const double *)(const void *)e->scale)[r];
  double *o = (double *)(void *)e->out + at;
  for (int64_t i = 0; i < n; i++) o[i * step] = ignored ? 0 : (exp(x[i * step] - top) / sum - (i == label)) * s;
}

// Row r of f32, whose values follow each other.
static void entropy_f32(const entropy *e, int64_t r) {
  const int64_t n = e->n, label = label_at(e, r);
  const bool ignored = label == e->ignore;
  const float *x = (const float *)(const void *)e->logits + r * n;
  float *o = e->out ? (float *)(void *)e->out + r * n : NULL;
  if (ignored) {
    if (o) memset(o, 0, (size_t)n * sizeof(float));
    else ((float *)(void *)e->loss)[r] = 0;
    return;
  }
  const float top = CK_PICK(row_max)(n, x), sum = CK_PICK(row_exp_sum)(n, o, x, top);
  if (!o) {
    ((float *)(void *)e->loss)[r] = top - x[label] + logf(sum);
    return;
  }
  const float s = ((const float *)(const void *)e->scale)[r];
  o[label] -= sum;
  CK_PICK(row_scale)(n, o, o, s / sum);
}

static void entropy_rows(void *context, int64_t begin, int64_t end) {
  const entropy *e = context;
  for (int64_t r = begin; r < end; r++) {
    if (e->dtype == CK_F64) entropy_f64(e, r);
    else entropy_f32(e, r);
  }
}

// 64 rows at a time.
static void entropy_blocks(void *context, int64_t begin, int64_t end) {
  entropy *e = context;
  const int64_t n = e->n;
  const size_t bytes = (size_t)n * WIDTH * sizeof(float);
  float *buffer = NULL, s[WIDTH], t[WIDTH];
  for (int64_t index = begin; index < end; index++) {
    const block b = block_at(index, e->outer, n, e->inner);
    const bool ready = lies_ready(&b, CK_F32);
    if (!ready && !buffer && !(buffer = ck_alloc(bytes))) {
      __atomic_store_n(&e->failed, 1, __ATOMIC_RELAXED);
      return;
    }
    if (!ready) gather(&b, CK_F32, buffer, e->logits);
    const int64_t step = ready ? b.inner : WIDTH;
    const float *x = ready ? (const float *)(const void *)e->logits + start_of(&b, 0) : buffer;
    float *o = !e->out ? NULL : ready ? (float *)(void *)e->out + start_of(&b, 0) : buffer;
    CK_PICK(lanes_max)(n, step, t, x);
    CK_PICK(lanes_exp_sum)(n, step, s, o, x, t);
    if (!o) {
      CK_PICK(lanes_log)(s, s);
      for (int i = 0; i < b.count; i++) {
        const int64_t label = label_at(e, b.row + i);
        ((float *)(void *)e->loss)[b.row + i] = label == e->ignore ? 0 : t[i] - x[label * step + i] + s[i];
      }
      continue;
    }
    for (int i = 0; i < WIDTH; i++) {
      const int64_t label = i < b.count ? label_at(e, b.row + i) : e->ignore;
      if (label != e->ignore) o[label * step + i] -= s[i];
      s[i] = i < b.count ? ((const float *)(const void *)e->scale)[b.row + i] / s[i] : 0;
    }
    CK_PICK(lanes_scale)(n, step, o, s);
    for (int i = 0; i < b.count; i++)
      if (label_at(e, b.row + i) == e->ignore)
        for (int64_t k = 0; k < n; k++) o[k * step + i] = 0;
    if (!ready) scatter(&b, CK_F32, e->out, buffer);
  }
  if (buffer) ck_free(buffer, bytes);
}

static ck_status entropy_run(entropy *e) {
  const int64_t rows = e->outer * e->inner;
  if ((e->dtype != CK_F32 && e->dtype != CK_F64) || (e->label_dtype != CK_I32 && e->label_dtype != CK_I64))
    return (ck_status){CK_UNSUPPORTED, 0};
  for (int64_t r = 0; r < rows; r++) {
    const int64_t label = label_at(e, r);
    if (label != e->ignore && (label < 0 || label >= e->n)) return (ck_status){CK_BAD_INDEX, label};
  }
  if (rows == 0) return (ck_status){CK_OK, 0};
  if (e->n > 0 && by_lanes(e->dtype, e->n, e->inner)) {
    ck_parallel(blocks_of(e->outer, e->inner), ck_grain_for(e->n * 4 * WIDTH), e, entropy_blocks);
  } else {
    ck_parallel(rows, ck_grain_for(e->n * 4), e, entropy_rows);
  }
  return (ck_status){e->failed ? CK_NO_MEMORY : CK_OK, 0};
}

ck_status ck_cross_entropy(int32_t dtype, int64_t outer, int64_t classes, int64_t inner, int32_t label_dtype,
                           const void *logits, const void *labels, int64_t ignore_index, void *loss) {
  entropy e = {dtype, label_dtype, 0, outer, classes, inner, ignore_index, NULL, loss, logits, labels, NULL};
  return entropy_run(&e);
}

ck_status ck_cross_entropy_grad(int32_t dtype, int64_t outer, int64_t classes, int64_t inner, int32_t label_dtype,
                                void *out, const void *logits, const void *labels, int64_t ignore_index,
                                const void *scale) {
  entropy e = {dtype, label_dtype, 0, outer, classes, inner, ignore_index, out, NULL, logits, labels, scale};
  return entropy_run(&e);
}
