// Sums along an axis of [outer, n, inner], in the wide dtype. Each inner stretch is one column walk, so that neighbours
// in memory are added together.
#include "internal.h"

typedef struct {
  int32_t wide;
  bool reversed;
  int64_t n, inner;
  char *out;
} job;

#define SCAN(T) {                                                                  \
    T *o = (T *)(void *)j->out + r / j->inner * j->n * j->inner + r % j->inner;    \
    const int64_t width = ck_min64(j->inner - r % j->inner, end - r);              \
    for (int64_t i = 1; i < j->n; i++) {                                           \
      T *to = o + (j->reversed ? j->n - 1 - i : i) * j->inner;                     \
      const T *from = to + (j->reversed ? j->inner : -j->inner);                   \
      for (int64_t k = 0; k < width; k++) to[k] += from[k];                        \
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
  if (!ck_is_dtype(dtype)) return CK_UNSUPPORTED;
  const int32_t wide = dtype == CK_F64 ? CK_F64 : ck_is_float(dtype) ? CK_F32 : CK_I64;
  const int64_t count = outer * n * inner;
  const size_t bytes = ck_is_half(dtype) ? (size_t)count * 4 : 0;
  job j = {wide, reversed, n, inner, bytes ? ck_alloc(bytes) : out};
  if (!j.out) return CK_NO_MEMORY;
  ck_cast_flat(dtype, wide, count, j.out, a);
  if (count > 0) ck_parallel(outer * inner, ck_grain_for(n), &j, range);
  if (bytes) {
    ck_cast_flat(CK_F32, dtype, count, out, j.out);
    ck_free(j.out, bytes);
  }
  return CK_OK;
}
