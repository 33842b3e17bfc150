// Small f32 matrix products: blocks of R rows by V vectors of columns. Included once per level.
enum { L(LANES) = CK_VECTOR / 4 };
typedef float L(vec) __attribute__((vector_size(CK_VECTOR), aligned(4)));

// `width` columns (at most V vectors); the last vector of a narrow block goes through a buffer.
#define TILE(R, V)                                                                                          \
  static __attribute__((noinline)) void L(tile_##R##_##V)(int64_t k, const float *a, int64_t ar, int64_t ac, \
                                      const float *b, int64_t ldb, float *c, int64_t ldc) {                 \
    L(vec) s[R][V];                                                                                         \
    for (int r = 0; r < R; r++)                                                                             \
      for (int v = 0; v < V; v++) s[r][v] = (L(vec)){0};                                                    \
    for (int64_t p = 0; p < k; p++) {                                                                       \
      const L(vec) *y = (const L(vec) *)(b + p * ldb);                                                      \
      for (int r = 0; r < R; r++) {                                                                         \
        const float x = a[r * ar + p * ac];                                                                 \
        for (int v = 0; v < V; v++) s[r][v] = x * y[v] + s[r][v];                                           \
      }                                                                                                     \
    }                                                                                                       \
    for (int r = 0; r < R; r++)                                                                             \
      for (int v = 0; v < V; v++) ((L(vec) *)(c + r * ldc))[v] = s[r][v];                                   \
  }
TILE(1, 1)
TILE(2, 1)
TILE(4, 1)
TILE(1, 2)
TILE(4, 2)
#if CK_LEVEL == 2
TILE(1, 4)
TILE(2, 4)
TILE(6, 4)
#endif
#undef TILE

// Any number of rows, by the widest tile that fits; m rows of V vectors.
static void L(strip)(int vectors, int64_t m, int64_t k, const float *a, int64_t ar, int64_t ac, const float *b,
                     int64_t ldb, float *c, int64_t ldc) {
  int64_t i = 0;
#define ROWS(R, V) for (; i + R <= m; i += R) L(tile_##R##_##V)(k, a + i * ar, ar, ac, b, ldb, c + i * ldc, ldc)
#if CK_LEVEL == 2
  if (vectors == 4) { ROWS(6, 4); ROWS(2, 4); ROWS(1, 4); return; }
#endif
  if (vectors == 2) { ROWS(4, 2); ROWS(1, 2); return; }
  ROWS(4, 1);
  ROWS(2, 1);
  ROWS(1, 1);
#undef ROWS
}

static void L(small)(int64_t m, int64_t n, int64_t k, const float *a, int64_t ar, int64_t ac, const float *b,
                     int64_t ldb, float *c, int64_t ldc) {
  int64_t j = 0;
#if CK_LEVEL == 2
  for (; j + 64 <= n; j += 64) L(strip)(4, m, k, a, ar, ac, b + j, ldb, c + j, ldc);
#endif
  for (; j + 2 * L(LANES) <= n; j += 2 * L(LANES)) L(strip)(2, m, k, a, ar, ac, b + j, ldb, c + j, ldc);
  for (; j + L(LANES) <= n; j += L(LANES)) L(strip)(1, m, k, a, ar, ac, b + j, ldb, c + j, ldc);
  const int64_t rest = n - j;
  if (rest == 0) return;
#if CK_LEVEL == 2
  const __mmask16 mask = (__mmask16)((1u << rest) - 1);
  for (int64_t i = 0; i < m; i += 4) {
    const int64_t rows = m - i < 4 ? m - i : 4;
    __m512 s[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    const float *x[4];
    for (int r = 0; r < 4; r++) x[r] = a + (i + (r < rows ? r : 0)) * ar;
    for (int64_t p = 0; p < k; p++) {
      const __m512 y = _mm512_maskz_loadu_ps(mask, b + p * ldb + j);
      for (int r = 0; r < 4; r++) s[r] = _mm512_fmadd_ps(_mm512_set1_ps(x[r][p * ac]), y, s[r]);
    }
    for (int64_t r = 0; r < rows; r++) _mm512_mask_storeu_ps(c + (i + r) * ldc + j, mask, s[r]);
  }
#else
  for (int64_t i = 0; i < m; i++) {
    float s[8] = {0};
    for (int64_t p = 0; p < k; p++)
      for (int64_t q = 0; q < rest; q++) s[q] = a[i * ar + p * ac] * b[p * ldb + j + q] + s[q];
    memcpy(c + i * ldc + j, s, (size_t)rest * sizeof(float));
  }
#endif
}

// Scalar products of x with n rows of b; the results are `step` apart. Four rows share what is loaded of x.
static void L(dots)(int64_t n, int64_t k, const float *x, const float *b, int64_t ldb, float *c, int64_t step) {
  for (int64_t j = 0; j < n; j += 4) {
    const float *row[4];
    for (int r = 0; r < 4; r++) row[r] = b + (j + r < n ? j + r : j) * ldb;
    L(vec) s[4][2] = {{{0}}};
    int64_t p = 0;
    for (; p + 2 * L(LANES) <= k; p += 2 * L(LANES))
      for (int r = 0; r < 4; r++)
        for (int v = 0; v < 2; v++)
          s[r][v] = *(const L(vec) *)(x + p + v * L(LANES)) * *(const L(vec) *)(row[r] + p + v * L(LANES)) + s[r][v];
    for (int r = 0; r < 4 && j + r < n; r++) {
      const L(vec) both = s[r][0] + s[r][1];
      float lane[L(LANES)], sum = 0;
      memcpy(lane, &both, sizeof lane);
      for (int half = L(LANES) / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
      for (int64_t q = p; q < k; q++) sum += x[q] * row[r][q];
      c[(j + r) * step] = lane[0] + sum;
    }
  }
}

#define LOOP(n) _Pragma("clang loop vectorize(assume_safety)") for (int64_t i = 0; i < (n); i++)
static void L(finish)(int64_t m, int64_t n, float *c, const float *bias, const float *added, bool rectified) {
  for (int64_t r = 0; r < m; r++, c += n) {
    if (bias) LOOP(n) c[i] += bias[i];
    if (added) LOOP(n) c[i] += added[r * n + i];
    if (rectified) LOOP(n) c[i] = c[i] < 0 ? 0 : c[i];
  }
}
#undef LOOP

// Generic products by rows: c[i, :] += x * b[p, :], in the dtype that is accumulated in.
#define AXPY(t, T, U)                                                                               \
  static void L(axpy_##t)(int64_t n, T *c, const T *x, const T *b, int64_t ldb, int64_t k) {        \
    for (int64_t p = 0; p < k; p++) {                                                               \
      const T y = x[p], *row = b + p * ldb;                                                         \
      _Pragma("clang loop vectorize(assume_safety)")                                                \
      for (int64_t i = 0; i < n; i++) c[i] = (T)((U)y * (U)row[i] + (U)c[i]);                       \
    }                                                                                               \
  }
AXPY(f32, float, float)
AXPY(f64, double, double)
AXPY(i64, int64_t, uint64_t)
#undef AXPY
