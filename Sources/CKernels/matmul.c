// Matrix products that are too small for oneDNN, or in dtypes that it does not take.
#include "internal.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#define CK_BODY "matmul_body.h"
#include "levels.h"

void ck_matmul_small_f32(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, bool a_transposed, const float *b,
                         int64_t ldb, bool b_transposed, float *c, int64_t ldc) {
  const int64_t ar = a_transposed ? 1 : lda, ac = a_transposed ? lda : 1;
  if (n == 1 && ac == 1 && (b_transposed || ldb == 1)) {
    CK_PICK(dots)(m, k, b, a, lda, c, ldc);
    return;
  }
  if (b_transposed && m <= 2 && ac == 1) {  // too few rows to pay for turning b
    for (int64_t i = 0; i < m; i++) CK_PICK(dots)(n, k, a + i * lda, b, ldb, c + i * ldc, 1);
    return;
  }
  if (!b_transposed) {
    CK_PICK(small)(m, n, k, a, ar, ac, b, ldb, c, ldc);
    return;
  }
  // A transposed b is turned in panels of columns that fit the cache.
  float panel[4096];
  const int64_t width = k <= 64 ? 64 : k <= 256 ? 16 : 0;
  if (width) {
    for (int64_t j = 0; j < n; j += width) {
      const int64_t w = ck_min64(width, n - j);
      for (int64_t q = 0; q < w; q++)
        for (int64_t p = 0; p < k; p++) panel[p * w + q] = b[(j + q) * ldb + p];
      CK_PICK(small)(m, w, k, a, ar, ac, panel, w, c + j, ldc);
    }
    return;
  }
  const size_t bytes = (size_t)(k * 16) * sizeof(float);
  float *turned = ck_alloc(bytes);
  for (int64_t j = 0; j < n; j += 16) {
    const int64_t w = ck_min64(16, n - j);
    if (!turned) {  // no memory: one product after the other
      for (int64_t i = 0; i < m; i++)
        for (int64_t q = j; q < j + w; q++) {
          float sum = 0;
          for (int64_t p = 0; p < k; p++) sum += a[i * ar + p * ac] * b[q * ldb + p];
          c[i * ldc + q] = sum;
        }
      continue;
    }
    for (int64_t q = 0; q < w; q++)
      for (int64_t p = 0; p < k; p++) turned[p * w + q] = b[(j + q) * ldb + p];
    CK_PICK(small)(m, w, k, a, ar, ac, turned, w, c + j, ldc);
  }
  if (turned) ck_free(turned, bytes);
}

void ck_matmul_finish_f32(int64_t m, int64_t n, float *c, const float *bias, const float *added, bool rectified) {
  CK_PICK(finish)(m, n, c, bias, added, rectified);
}

// MARK: batches

typedef struct {
  const ck_nd *batch;
  int64_t m, n, k, lda, ldb, ldc;
  bool a_transposed, b_transposed;
  const float *a, *b;
  float *c;
} batch_job;

static void batch_range(void *context, int64_t begin, int64_t end) {
  const batch_job *j = context;
  for (int64_t i = begin; i < end; i++) {
    const float *a = j->a, *b = j->b;
    float *c = j->c;
    int64_t rest = i;
    for (int d = j->batch->rank - 1; d >= 0; d--) {
      const int64_t at = rest % j->batch->shape[d];
      rest /= j->batch->shape[d];
      c += at * j->batch->strides[0][d];
      a += at * j->batch->strides[1][d];
      b += at * j->batch->strides[2][d];
    }
    ck_matmul_small_f32(j->m, j->n, j->k, a, j->lda, j->a_transposed, b, j->ldb, j->b_transposed, c, j->ldc);
  }
}

void ck_matmul_small_batch_f32(const ck_nd *batch, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                               bool a_transposed, const float *b, int64_t ldb, bool b_transposed, float *c, int64_t ldc) {
  batch_job j = {batch, m, n, k, lda, ldb, ldc, a_transposed, b_transposed, a, b, c};
  int64_t count = 1;
  for (int d = 0; d < batch->rank; d++) count *= batch->shape[d];
  ck_parallel(count, ck_grain_for(m * n * k / 16), &j, batch_range);  // some 16 products in the time of one element
}

// MARK: generic

typedef struct {
  int32_t dtype, wide;
  int64_t n, k, ar, ac, ldc, size;
  const char *a;
  char *b, *c;     // b: a contiguous copy [k, n] in the wide dtype
  int32_t failed;
} job;

enum { DEPTH = 128, WIDTH = 256 };  // a block of b that stays in the L2 cache

static void range(void *context, int64_t begin, int64_t end) {
  job *j = context;
  const int64_t wide = ck_element_size(j->wide);
  _Alignas(64) char x[DEPTH * 8], sum[WIDTH * 8];
  const size_t bytes = (size_t)((end - begin) * WIDTH * wide);
  char *sums = ck_alloc(bytes);
  if (!sums) {
    __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  for (int64_t q = 0; q < j->n; q += WIDTH) {
    const int64_t w = ck_min64(WIDTH, j->n - q);
    memset(sums, 0, bytes);
    for (int64_t p = 0; p < j->k; p += DEPTH) {
      const int64_t d = ck_min64(DEPTH, j->k - p);
      for (int64_t i = begin; i < end; i++) {
        const ck_nd nd = {1, {d}, {{1}, {j->ac}, {0}, {0}}};
        char *s = sums + (i - begin) * WIDTH * wide, *b = j->b + (p * j->n + q) * wide;
        ck_cast(j->dtype, j->wide, &nd, x, j->a + (i * j->ar + p * j->ac) * j->size);
        memcpy(sum, s, (size_t)(w * wide));
        void *xs = x, *to = sum, *from = b;
        if (j->wide == CK_F32) CK_PICK(axpy_f32)(w, to, xs, from, j->n, d);
        else if (j->wide == CK_F64) CK_PICK(axpy_f64)(w, to, xs, from, j->n, d);
        else CK_PICK(axpy_i64)(w, to, xs, from, j->n, d);
        memcpy(s, sum, (size_t)(w * wide));
      }
    }
    for (int64_t i = begin; i < end; i++)
      ck_cast_flat(j->wide, j->dtype, w, j->c + (i * j->ldc + q) * j->size, sums + (i - begin) * WIDTH * wide);
  }
  ck_free(sums, bytes);
}

int32_t ck_matmul_generic(int32_t dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row, int64_t a_column,
                          const void *b, int64_t b_row, int64_t b_column, void *c, int64_t ldc) {
  if (!ck_is_dtype(dtype) || dtype == CK_BOOL) return CK_UNSUPPORTED;
  if (m == 0 || n == 0) return CK_OK;
  const int32_t wide = dtype == CK_F64 ? CK_F64 : ck_is_float(dtype) ? CK_F32 : CK_I64;
  const size_t bytes = (size_t)(k * n * ck_element_size(wide));
  job j = {dtype, wide, n, k, a_row, a_column, ldc, ck_element_size(dtype), a, ck_alloc(bytes), c, 0};
  if (!j.b) return CK_NO_MEMORY;
  const ck_nd nd = {2, {k, n}, {{n, 1}, {b_row, b_column}, {0}, {0}}};
  ck_cast(dtype, wide, &nd, j.b, b);
  ck_parallel(m, ck_grain_for(n * ck_max64(k, 1)), &j, range);
  ck_free(j.b, bytes);
  return j.failed ? CK_NO_MEMORY : CK_OK;
}
