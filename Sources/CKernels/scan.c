// Sums along an axis of [outer, n, inner], in the wide dtype. Each inner stretch is one column walk, so that neighbours
// in memory are added together; along the last axis eight neighbours are summed in a vector before the sum so far joins
// them, so that only every eighth addition waits for another.
#include "internal.h"

typedef struct {
  int32_t wide;
  bool reversed;
  int64_t n, inner;
  char *out;
  const char *in;  // may be `out`
} job;

#define ROW(T)                                                                     \
  typedef T vector_##T __attribute__((vector_size(8 * sizeof(T))));                \
  static void row_##T(int64_t n, bool reversed, T *o, const T *a) {                \
    T sum = 0;                                                                     \
    int64_t i = 0;                                                                 \
    for (; i + 8 <= n; i += 8) {                                                   \
      const int64_t at = reversed ? n - 8 - i : i;                                 \
      vector_##T v, zero = {0};                                                    \
      memcpy(&v, a + at, sizeof v);                                                \
      if (reversed) v = __builtin_shufflevector(v, v, 7, 6, 5, 4, 3, 2, 1, 0);     \
      v += __builtin_shufflevector(v, zero, 8, 0, 1, 2, 3, 4, 5, 6);               \
      v += __builtin_shufflevector(v, zero, 8, 8, 0, 1, 2, 3, 4, 5);               \
      v += __builtin_shufflevector(v, zero, 8, 8, 8, 8, 0, 1, 2, 3);               \
      v += sum;                                                                    \
      sum = v[7];                                                                  \
      if (reversed) v = __builtin_shufflevector(v, v, 7, 6, 5, 4, 3, 2, 1, 0);     \
      memcpy(o + at, &v, sizeof v);                                                \
    }                                                                              \
    for (; i < n; i++) {                                                           \
      const int64_t at = reversed ? n - 1 - i : i;                                 \
      o[at] = sum += a[at];                                                        \
    }                                                                              \
  }
ROW(float)
ROW(double)
ROW(uint64_t)

#define SCAN(T) {                                                                  \
    const int64_t place = r / j->inner * j->n * j->inner + r % j->inner;           \
    T *o = (T *)(void *)j->out + place;                                            \
    const T *a = (const T *)(const void *)j->in + place;                           \
    const int64_t width = ck_min64(j->inner - r % j->inner, end - r);              \
    if (j->inner == 1) row_##T(j->n, j->reversed, o, a);                           \
    for (int64_t i = 0; i < j->n && j->inner > 1; i++) {                           \
      const int64_t at = (j->reversed ? j->n - 1 - i : i) * j->inner;              \
      T *to = o + at;                                                              \
      const T *x = a + at, *sum = to + (j->reversed ? j->inner : -j->inner);       \
      if (i == 0) memmove(to, x, (size_t)width * sizeof(T));                       \
      else for (int64_t k = 0; k < width; k++) to[k] = sum[k] + x[k];              \
    }                                                                              \
    r += width;                                                                    \
  } break

static void range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t r = begin; r < end;) {
    switch (j->wide) {
      case CK_F32: SCAN(float);
      case CK_F64: SCAN(double);
      default: SCAN(uint64_t);
    }
  }
}

int32_t ck_cumsum(int32_t dtype, int64_t outer, int64_t n, int64_t inner, bool reversed, void *out, const void *a) {
  if (!ck_is_dtype(dtype) || ck_is_complex(dtype)) return CK_UNSUPPORTED;
  const int32_t wide = dtype == CK_F64 ? CK_F64 : ck_is_float(dtype) ? CK_F32 : CK_I64;
  const int64_t count = outer * n * inner;
  const size_t bytes = ck_is_half(dtype) ? (size_t)count * 4 : 0;
  job j = {wide, reversed, n, inner, bytes ? ck_alloc(bytes) : out, a};
  if (!j.out) return CK_NO_MEMORY;
  if (dtype != wide) {
    ck_cast_flat(dtype, wide, count, j.out, a);
    j.in = j.out;
  }
  if (count > 0) ck_parallel(outer * inner, ck_grain_for(n), &j, range);
  if (bytes) {
    ck_cast_flat(CK_F32, dtype, count, out, j.out);
    ck_free(j.out, bytes);
  }
  return CK_OK;
}
