// Weighted sums of elements along an axis of [outer, in, inner], by a sparse matrix.
#include "internal.h"

typedef struct {
  int32_t dtype;
  int64_t in, out, inner;
  const int64_t *begin;
  const int32_t *place;
  const void *weight;
  char *y;
  const char *x;
} job;

// The last axis: each element of a row by itself.
#define ROWS(T)                                                                                 \
  {                                                                                             \
    const T *weight = j->weight;                                                                \
    for (int64_t r = first; r < last; r++) {                                                    \
      const T *restrict x = (const T *)(const void *)j->x + r * j->in;                          \
      T *restrict y = (T *)(void *)j->y + r * j->out;                                           \
      if (pairs) {                                                                              \
        for (int64_t i = 0; i < j->out; i++)                                                    \
          y[i] = weight[2 * i] * x[place[2 * i]] + weight[2 * i + 1] * x[place[2 * i + 1]];     \
        continue;                                                                               \
      }                                                                                         \
      for (int64_t i = 0; i < j->out; i++) {                                                    \
        T sum = 0;                                                                              \
        for (int64_t t = j->begin[i]; t < j->begin[i + 1]; t++) sum += weight[t] * x[place[t]]; \
        y[i] = sum;                                                                             \
      }                                                                                         \
    }                                                                                           \
  }                                                                                             \
  break

static void rows(void *context, int64_t first, int64_t last) {
  const job *j = context;
  const int32_t *place = j->place;
  bool pairs = true;
  for (int64_t i = 0; i < j->out && pairs; i++) pairs = j->begin[i + 1] - j->begin[i] == 2;
  switch (j->dtype) {
    case CK_F32: ROWS(float);
    default: ROWS(double);
  }
}

// An axis before the last: whole stretches of `inner` elements.
#define STRETCHES(T)                                                                            \
  {                                                                                             \
    const T *weight = j->weight;                                                                \
    for (int64_t r = first; r < last; r++) {                                                    \
      const int64_t i = r % j->out, begin = j->begin[i], end = j->begin[i + 1];                 \
      const T *x = (const T *)(const void *)j->x + r / j->out * j->in * inner;                  \
      T *restrict y = (T *)(void *)j->y + r * inner;                                            \
      if (end - begin == 2) {                                                                   \
        const T a = weight[begin], b = weight[begin + 1];                                       \
        const T *p = x + j->place[begin] * inner, *q = x + j->place[begin + 1] * inner;         \
        for (int64_t k = 0; k < inner; k++) y[k] = a * p[k] + b * q[k];                         \
        continue;                                                                               \
      }                                                                                         \
      memset(y, 0, (size_t)inner * sizeof(T));                                                  \
      for (int64_t t = begin; t < end; t++) {                                                   \
        const T a = weight[t];                                                                  \
        const T *p = x + j->place[t] * inner;                                                   \
        for (int64_t k = 0; k < inner; k++) y[k] += a * p[k];                                   \
      }                                                                                         \
    }                                                                                           \
  }                                                                                             \
  break

static void stretches(void *context, int64_t first, int64_t last) {
  const job *j = context;
  const int64_t inner = j->inner;
  switch (j->dtype) {
    case CK_F32: STRETCHES(float);
    default: STRETCHES(double);
  }
}

int32_t ck_resample(int32_t dtype, int64_t outer, int64_t in, int64_t out, int64_t inner, const int64_t *begin,
                    const int32_t *place, const void *weight, void *y, const void *x) {
  if (dtype != CK_F32 && dtype != CK_F64) return CK_UNSUPPORTED;
  if (outer * out * inner == 0) return CK_OK;
  job j = {dtype, in, out, inner, begin, place, weight, y, x};
  const int64_t taps = begin[out] / out + 1;
  if (inner == 1) {
    ck_parallel(outer, ck_grain_for(out * taps), &j, rows);
  } else {
    ck_parallel(outer * out, ck_grain_for(inner * taps), &j, stretches);
  }
  return CK_OK;
}
