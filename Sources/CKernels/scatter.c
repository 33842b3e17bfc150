// Scatter with a product, a maximum or a minimum on contiguous data. One thread owns an outer slice, so that results have
// one order.
#include "internal.h"

typedef struct {
  int32_t op, dtype, index_dtype, failed;
  int64_t size, axis, inner, count;
  char *out;
  const void *idx;
  const char *src;
} job;

#define LOOP(T, RESULT)                                                                    \
  for (int64_t c = 0; c < j->count; c++)                                                   \
    for (int64_t i = 0; i < j->inner; i++) {                                               \
      T *o = (T *)out + ck_index_at(j->index_dtype, j->idx, (at * j->count + c) * j->inner + i) * j->inner + i; \
      const T x = *o, y = ((const T *)src)[c * j->inner + i];                              \
      *o = RESULT;                                                                         \
    }                                                                                      \
  break
#define CASES(NAME, T, PRODUCT, WINS)                                                      \
  static void NAME(const job *j, int64_t at, void *out, const void *src) {                 \
    switch (j->op) {                                                                       \
      case CK_MUL: LOOP(T, PRODUCT);                                                       \
      case CK_MAXIMUM: LOOP(T, (WINS) || x >= y ? x : y);                                  \
      default: LOOP(T, (WINS) || x <= y ? x : y);                                          \
    }                                                                                      \
  }
#define INTEGER(NAME, T) CASES(NAME, T, (T)((uint64_t)x * (uint64_t)y), 0)
INTEGER(scatter_u8, uint8_t)
INTEGER(scatter_i8, int8_t)
INTEGER(scatter_i16, int16_t)
INTEGER(scatter_i32, int32_t)
INTEGER(scatter_u32, uint32_t)
INTEGER(scatter_i64, int64_t)
CASES(scatter_f32, float, x * y, x != x)
CASES(scatter_f64, double, x * y, x != x)

// 16-bit floats are combined in float32 and rounded once.
static bool scatter_half(const job *j, int64_t at, char *out, const char *src) {
  const int64_t slice = j->axis * j->inner, values = j->count * j->inner;
  const size_t bytes = (size_t)(slice + values) * sizeof(float);
  float *wide = ck_alloc(bytes);
  if (!wide) return false;
  ck_widen(j->dtype, slice, wide, out);
  ck_widen(j->dtype, values, wide + slice, src);
  scatter_f32(j, at, wide, wide + slice);
  ck_narrow(j->dtype, slice, out, wide);
  ck_free(wide, bytes);
  return true;
}

static void range(void *context, int64_t begin, int64_t end) {
  job *j = context;
  for (int64_t at = begin; at < end; at++) {
    char *out = j->out + at * j->axis * j->inner * j->size;
    const char *src = j->src + at * j->count * j->inner * j->size;
    switch (j->dtype) {
      case CK_BOOL: case CK_U8: scatter_u8(j, at, out, src); break;
      case CK_I8: scatter_i8(j, at, out, src); break;
      case CK_I16: scatter_i16(j, at, out, src); break;
      case CK_I32: scatter_i32(j, at, out, src); break;
      case CK_U32: scatter_u32(j, at, out, src); break;
      case CK_I64: scatter_i64(j, at, out, src); break;
      case CK_F32: scatter_f32(j, at, out, src); break;
      case CK_F64: scatter_f64(j, at, out, src); break;
      default:
        if (!scatter_half(j, at, out, src)) __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
    }
  }
}

int32_t ck_scatter_reduce(int32_t op, int32_t dtype, int64_t outer, int64_t axis, int64_t inner, int64_t count, void *out,
                          int32_t index_dtype, const void *idx, const void *src) {
  if (!ck_is_dtype(dtype) || (op != CK_MUL && op != CK_MAXIMUM && op != CK_MINIMUM)) return CK_UNSUPPORTED;
  job j = {op, dtype, index_dtype, 0, ck_element_size(dtype), axis, inner, count, out, idx, src};
  if (count * inner > 0) ck_parallel(outer, ck_grain_for(count * inner * 4), &j, range);
  return j.failed ? CK_NO_MEMORY : CK_OK;
}
