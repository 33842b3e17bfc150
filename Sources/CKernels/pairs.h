// Products of matrices of bfloat16 with sums in F32, by the instruction that multiplies pairs: element p of a row of the left
// and of a column of the right matrix is a pair of neighbours in what is summed over. For processors with ck_has_bf16_dots.
#ifndef CK_PAIRS_H
#define CK_PAIRS_H
#include "internal.h"

typedef uint32_t __attribute__((may_alias)) ck_pair;

#if defined(__x86_64__)
#include <immintrin.h>
// R rows and 16 V columns, the last 16 of them as far as the mask says; added to c, or not.
#define PAIRS(R, V)                                                                                                      \
  __attribute__((noinline, target("avx512f,avx512vl,avx512dq,avx512bw,avx512bf16")))                                     \
  static void pairs_##R##_##V(bool adds, __mmask16 last, int64_t k, const ck_pair *a, int64_t ar, int64_t ac,            \
                              const ck_pair *b, int64_t ldb, float *c, int64_t ldc) {                                    \
    __m512 s[R][V];                                                                                                      \
    for (int r = 0; r < R; r++)                                                                                          \
      for (int v = 0; v < V; v++)                                                                                        \
        s[r][v] = adds ? _mm512_maskz_loadu_ps(v == V - 1 ? last : 0xffff, c + r * ldc + 16 * v) : _mm512_setzero_ps();  \
    for (int64_t p = 0; p < k; p++) {                                                                                    \
      __m512bh y[V];                                                                                                     \
      for (int v = 0; v < V; v++)                                                                                        \
        y[v] = (__m512bh)_mm512_maskz_loadu_epi32(v == V - 1 ? last : 0xffff, b + p * ldb + 16 * v);                     \
      for (int r = 0; r < R; r++) {                                                                                      \
        const __m512bh x = (__m512bh)_mm512_set1_epi32((int32_t)a[r * ar + p * ac]);                                     \
        for (int v = 0; v < V; v++) s[r][v] = _mm512_dpbf16_ps(s[r][v], x, y[v]);                                        \
      }                                                                                                                  \
    }                                                                                                                    \
    for (int r = 0; r < R; r++)                                                                                          \
      for (int v = 0; v < V; v++) _mm512_mask_storeu_ps(c + r * ldc + 16 * v, v == V - 1 ? last : 0xffff, s[r][v]);      \
  }
PAIRS(1, 1)
PAIRS(2, 1)
PAIRS(8, 1)
PAIRS(1, 4)
PAIRS(2, 4)
PAIRS(4, 4)
PAIRS(6, 4)
#undef PAIRS

// c = a b, or c += a b: m rows, n columns, k pairs. Pair p of row i of the left is a[i * ar + p * ac].
static inline void ck_multiply_pairs(bool adds, int64_t m, int64_t n, int64_t k, const ck_pair *a, int64_t ar, int64_t ac,
                                     const ck_pair *b, int64_t ldb, float *c, int64_t ldc) {
#define ROWS(R, V) \
  for (; i + R <= m; i += R) pairs_##R##_##V(adds, last, k, a + i * ar, ar, ac, b + at, ldb, c + i * ldc + at, ldc)
  for (int64_t at = 0; at < n;) {
    const int64_t rest = n - at, columns = rest > 48 ? ck_min64(rest, 64) : ck_min64(rest, 16);
    const __mmask16 last = (__mmask16)(0xffff >> (15 - (columns - 1) % 16));
    int64_t i = 0;
    if (columns > 16) {
      ROWS(6, 4);
      ROWS(4, 4);
      ROWS(2, 4);
      ROWS(1, 4);
    } else {
      ROWS(8, 1);
      ROWS(2, 1);
      ROWS(1, 1);
    }
    at += columns;
  }
#undef ROWS
}
#else
static inline void ck_multiply_pairs(bool adds, int64_t m, int64_t n, int64_t k, const ck_pair *a, int64_t ar, int64_t ac,
                                     const ck_pair *b, int64_t ldb, float *c, int64_t ldc) {
  (void)adds, (void)m, (void)n, (void)k, (void)a, (void)ar, (void)ac, (void)b, (void)ldb, (void)c, (void)ldc;
  __builtin_unreachable();
}
#endif

// Rows of bfloat16 in pairs of neighbours: row p of `to` has the elements of rows 2 p and 2 p + 1, zeros for one too many.
static inline void ck_pair_rows(int64_t rows, int64_t n, const uint16_t *from, int64_t stride, ck_pair *to, int64_t width) {
  for (int64_t r = 0; r < rows; r += 2, to += width) {
    const uint16_t *a = from + r * stride, *b = a + stride;
    if (r + 1 < rows)
      for (int64_t i = 0; i < n; i++) to[i] = (uint32_t)a[i] | (uint32_t)b[i] << 16;
    else
      for (int64_t i = 0; i < n; i++) to[i] = a[i];
  }
}

#endif
