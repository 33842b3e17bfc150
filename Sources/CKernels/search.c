// Searching sorted rows by halves, and sorting rows lexicographically.
#include "internal.h"

typedef struct {
  int64_t n, m;
  bool shared, right;
  int64_t *out;
  const char *sorted, *values;
} search_job;

// The number of elements before v, of which `base` are known to be. Without branches: which half is next is not foreseen.
#define SEARCH(t, T)                                                                                  \
  static void search_##t(void *context, int64_t begin, int64_t end) {                                 \
    const search_job *j = context;                                                                    \
    for (int64_t at = begin; at < end; at++) {                                                        \
      const T v = ((const T *)(const void *)j->values)[at];                                           \
      const T *base = (const T *)(const void *)j->sorted + (j->shared ? 0 : at / j->m * j->n);        \
      const T *const first = base;                                                                    \
      int64_t left = v != v ? 0 : j->n;                                                               \
      while (left > 0) {                                                                              \
        const int64_t half = (left + 1) / 2;                                                          \
        const bool before = j->right ? base[half - 1] <= v : base[half - 1] < v;                      \
        base = before ? base + half : base;                                                           \
        left = before ? left - half : half - 1;                                                       \
      }                                                                                               \
      j->out[at] = v != v ? j->n : base - first;                                                      \
    }                                                                                                 \
  }
SEARCH(u8, uint8_t)
SEARCH(i8, int8_t)
SEARCH(i16, int16_t)
SEARCH(i32, int32_t)
SEARCH(u32, uint32_t)
SEARCH(i64, int64_t)
SEARCH(f32, float)
SEARCH(f64, double)

typedef struct {
  int64_t n, k, run;
  const char *a;
  const int64_t *from;
  int64_t *to;
} sort_job;

// A merge sort of positions, whose runs of one length are merged by all threads. NaN is larger than all numbers.
#define SORT(t, T)                                                                                    \
  static bool after_##t(const T *x, const T *y, int64_t k) {                                          \
    for (int64_t i = 0; i < k; i++) {                                                                 \
      const bool nx = x[i] != x[i], ny = y[i] != y[i];                                                \
      if (nx != ny) return nx;                                                                        \
      if (x[i] != y[i] && !nx) return x[i] > y[i];                                                    \
    }                                                                                                 \
    return false;                                                                                     \
  }                                                                                                   \
  static void merge_##t(void *context, int64_t begin, int64_t end) {                                  \
    const sort_job *j = context;                                                                      \
    const T *rows = (const T *)(const void *)j->a;                                                    \
    for (int64_t pair = begin; pair < end; pair++) {                                                  \
      const int64_t first = 2 * j->run * pair, middle = ck_min64(first + j->run, j->n);               \
      const int64_t last = ck_min64(middle + j->run, j->n);                                           \
      int64_t p = first, q = middle;                                                                  \
      for (int64_t to = first; to < last; to++)                                                       \
        j->to[to] = q == last || (p < middle && !after_##t(rows + j->from[p] * j->k,                  \
                                                           rows + j->from[q] * j->k, j->k))           \
                      ? j->from[p++] : j->from[q++];                                                  \
    }                                                                                                 \
  }
SORT(u8, uint8_t)
SORT(i8, int8_t)
SORT(i16, int16_t)
SORT(i32, int32_t)
SORT(u32, uint32_t)
SORT(i64, int64_t)
SORT(f32, float)
SORT(f64, double)

#define PICK(name)                                      \
  (dtype == CK_I8    ? name##_i8                        \
   : dtype == CK_I16 ? name##_i16                       \
   : dtype == CK_I32 ? name##_i32                       \
   : dtype == CK_U32 ? name##_u32                       \
   : dtype == CK_I64 ? name##_i64                       \
   : dtype == CK_F32 ? name##_f32                       \
   : dtype == CK_F64 ? name##_f64 : name##_u8)

// 16-bit floats as float32, in memory of `bytes`; null where there is none.
static void *widened(int32_t dtype, int64_t count, const void *a, size_t *bytes) {
  *bytes = (size_t)count * sizeof(float);
  float *wide = ck_alloc(*bytes);
  if (wide) ck_widen(dtype, count, wide, a);
  return wide;
}

int32_t ck_search_sorted(int32_t dtype, int64_t rows, int64_t n, int64_t m, bool shared, bool right, int64_t *out,
                         const void *sorted, const void *values) {
  if (!ck_is_dtype(dtype) || ck_is_complex(dtype)) return CK_UNSUPPORTED;
  if (rows * m == 0) return CK_OK;
  if (ck_is_half(dtype)) {
    size_t a, b;
    void *x = widened(dtype, (shared ? 1 : rows) * n, sorted, &a), *v = widened(dtype, rows * m, values, &b);
    const bool fits = x && v;
    if (fits) ck_search_sorted(CK_F32, rows, n, m, shared, right, out, x, v);
    if (x) ck_free(x, a);
    if (v) ck_free(v, b);
    return fits ? CK_OK : CK_NO_MEMORY;
  }
  search_job j = {n, m, shared, right, out, sorted, values};
  ck_parallel(rows * m, CK_GRAIN / 64, &j, PICK(search));
  return CK_OK;
}

int32_t ck_sort_rows(int32_t dtype, int64_t n, int64_t k, int64_t *order, const void *a) {
  if (!ck_is_dtype(dtype) || ck_is_complex(dtype)) return CK_UNSUPPORTED;
  if (n == 0) return CK_OK;
  if (ck_is_half(dtype)) {
    size_t bytes;
    void *wide = widened(dtype, n * k, a, &bytes);
    if (!wide) return CK_NO_MEMORY;
    const int32_t code = ck_sort_rows(CK_F32, n, k, order, wide);
    ck_free(wide, bytes);
    return code;
  }
  const size_t bytes = (size_t)n * sizeof *order;
  int64_t *const spare = ck_alloc(bytes);
  if (!spare) return CK_NO_MEMORY;
  int64_t *from = order, *to = spare;
  for (int64_t i = 0; i < n; i++) from[i] = i;
  for (int64_t run = 1; run < n; run *= 2) {
    sort_job j = {n, k, run, a, from, to};
    ck_parallel((n + 2 * run - 1) / (2 * run), ck_grain_for(16 * run), &j, PICK(merge));
    int64_t *const swap = from;
    from = to;
    to = swap;
  }
  if (from != order) memcpy(order, from, bytes);
  ck_free(spare, bytes);
  return CK_OK;
}
