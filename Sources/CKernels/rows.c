// Softmax, log-softmax, their gradients and cross entropy. f32 rows run in place; other layouts and 16-bit floats are
// copied into a row of f32, f64 into a row of f64.
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
  if (n > 0) ck_parallel(outer * inner, ck_grain_for(n * 4), &j, range);
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
  int32_t dtype, label_dtype, failed, scale_step;
  int64_t classes, ignore;
  char *out, *loss, *log_sum;
  const char *logits, *labels, *scale;
} entropy;

static int64_t label_at(const entropy *e, int64_t r) {
  return e->label_dtype == CK_I32 ? ((const int32_t *)(const void *)e->labels)[r]
                                  : ((const int64_t *)(const void *)e->labels)[r];
}

static void entropy_range(void *context, int64_t begin, int64_t end) {
  entropy *e = context;
  const int64_t n = e->classes, size = ck_element_size(e->dtype);
  const bool f64 = e->dtype == CK_F64;
  const size_t bytes = (size_t)n * (f64 ? 8 : 4);
  char *buffer = ck_alloc(bytes);
  if (!buffer) {
    __atomic_store_n(&e->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  for (int64_t r = begin; r < end; r++) {
    const int64_t label = label_at(e, r);
    const bool ignored = label == e->ignore;
    const void *a = e->logits + r * n * size;
    if (f64) {
      const double *x = a, top = max_f64(n, x);
      if (!e->out) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += exp(x[i] - top);
        const double log_sum = top + log(sum);
        ((double *)(void *)e->log_sum)[r] = log_sum;
        ((double *)(void *)e->loss)[r] = ignored ? 0 : log_sum - x[label];
      } else {
        const double s = ((const double *)(const void *)e->scale)[r * e->scale_step];
        const double log_sum = ((const double *)(const void *)e->log_sum)[r];
        double *o = (double *)(void *)e->out + r * n;
        for (int64_t i = 0; i < n; i++) o[i] = ignored ? 0 : (exp(x[i] - log_sum) - (i == label)) * s;
      }
      continue;
    }
    if (e->dtype != CK_F32) {
      ck_widen(e->dtype, n, (float *)(void *)buffer, a);
      a = buffer;
    }
    const float *x = a;
    if (!e->out) {
      const float top = CK_PICK(row_max)(n, x), log_sum = logf(CK_PICK(row_exp_sum)(n, NULL, x, top));
      ((float *)(void *)e->log_sum)[r] = top + log_sum;
      ((float *)(void *)e->loss)[r] = ignored ? 0 : top - x[label] + log_sum;
      continue;
    }
    const float s = ((const float *)(const void *)e->scale)[r * e->scale_step];
    float *o = e->dtype == CK_F32 ? (float *)(void *)e->out + r * n : (float *)(void *)buffer;
    if (ignored) {
      memset(o, 0, bytes);
    } else {
      CK_PICK(row_exp_sum)(n, o, x, ((const float *)(const void *)e->log_sum)[r]);
      o[label] -= 1;
      CK_PICK(row_scale)(n, o, o, s);
    }
    if (e->dtype != CK_F32) ck_narrow(e->dtype, n, e->out + r * n * size, o);
  }
  ck_free(buffer, bytes);
}

static ck_status entropy_run(entropy *e, int64_t rows) {
  if (!ck_is_float(e->dtype) || !ck_is_dtype(e->dtype) || (e->label_dtype != CK_I32 && e->label_dtype != CK_I64))
    return (ck_status){CK_UNSUPPORTED, 0};
  for (int64_t r = 0; r < rows; r++) {
    const int64_t label = label_at(e, r);
    if (label != e->ignore && (label < 0 || label >= e->classes)) return (ck_status){CK_BAD_INDEX, label};
  }
  ck_parallel(rows, ck_grain_for(e->classes * 4), e, entropy_range);
  return (ck_status){e->failed ? CK_NO_MEMORY : CK_OK, 0};
}

ck_status ck_cross_entropy(int32_t dtype, int64_t rows, int64_t classes, int32_t label_dtype, const void *logits,
                           const void *labels, int64_t ignore_index, void *loss, void *log_sum_exp) {
  entropy e = {dtype, label_dtype, 0, 0, classes, ignore_index, NULL, loss, log_sum_exp, logits, labels, NULL};
  return entropy_run(&e, rows);
}

ck_status ck_cross_entropy_grad(int32_t dtype, int64_t rows, int64_t classes, int32_t label_dtype, void *out,
                                const void *logits, const void *labels, int64_t ignore_index, const void *log_sum_exp,
                                const void *scale, int32_t scale_step) {
  entropy e = {dtype, label_dtype, 0, scale_step, classes, ignore_index, out, NULL, (char *)(uintptr_t)log_sum_exp,
               logits, labels, scale};
  return entropy_run(&e, rows);
}
