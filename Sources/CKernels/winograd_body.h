// Tiles and kernels to and fro, and the products between. Included once per level. Vectors run over channels, which come in
// multiples of 16.
enum { L(LANES) = CK_VECTOR / 4, L(MOST) = CK_LEVEL == 2 ? 4 : 2, L(PANEL) = L(MOST) * L(LANES) };
typedef float L(vec) __attribute__((vector_size(CK_VECTOR), aligned(4)));
#define LOAD(p) (*(const L(vec) *)(p))
#define STORE(p, v) (*(L(vec) *)(p) = (v))

// MARK: products of R rows by V vectors of columns; of a, either the rows or the columns are adjacent

#define TILE(NAME, R, V, AR, AC)                                                                              \
  static __attribute__((noinline)) void L(NAME##_##R##_##V)(int64_t depth, const float *a, int64_t lda,       \
                                       const float *b, int64_t ldb, float *c, int64_t ldc, bool add) {        \
    L(vec) s[R][V];                                                                                           \
    for (int r = 0; r < R; r++)                                                                               \
      for (int v = 0; v < V; v++) s[r][v] = add ? LOAD(c + r * ldc + v * L(LANES)) : (L(vec)){0};             \
    for (int64_t p = 0; p < depth; p++) {                                                                     \
      const L(vec) *y = (const L(vec) *)(b + p * ldb);                                                        \
      for (int r = 0; r < R; r++) {                                                                           \
        const float x = a[r * (AR) + p * (AC)];                                                               \
        for (int v = 0; v < V; v++) s[r][v] = x * y[v] + s[r][v];                                             \
      }                                                                                                       \
    }                                                                                                         \
    for (int r = 0; r < R; r++)                                                                               \
      for (int v = 0; v < V; v++) STORE(c + r * ldc + v * L(LANES), s[r][v]);                                 \
  }
// rows: a[r * lda + p]; columns: a[p * lda + r]
#define BOTH(R, V) TILE(rows, R, V, lda, 1) TILE(columns, R, V, 1, lda)
#define ALL(V) BOTH(6, V) BOTH(4, V) BOTH(2, V)
ALL(2)
#if CK_LEVEL == 2
ALL(1)
ALL(3)
ALL(4)
#endif
#undef ALL
#undef BOTH
#undef TILE

// c = a b, or c += a b: an even number of rows, `width` columns (up to L(PANEL)).
#define PRODUCT(NAME, STEP)                                                                                         \
  static void L(NAME##_product)(int64_t rows, int64_t width, int64_t depth, const float *a, int64_t lda,            \
                                const float *b, int64_t ldb, float *c, int64_t ldc, bool add) {                     \
    typedef void kernel(int64_t, const float *, int64_t, const float *, int64_t, float *, int64_t, bool);           \
    static kernel *const kernels[3][4] = {KERNELS(NAME, 2), KERNELS(NAME, 4), KERNELS(NAME, 6)};                    \
    for (int64_t i = 0; i < rows;) {                                                                                \
      const int64_t r = ck_min64(6, rows - i);                                                                      \
      kernels[r / 2 - 1][width / L(LANES) - 1](depth, a + i * (STEP), lda, b, ldb, c + i * ldc, ldc, add);          \
      i += r;                                                                                                       \
    }                                                                                                               \
  }
#if CK_LEVEL == 2
#define KERNELS(NAME, R) {L(NAME##_##R##_1), L(NAME##_##R##_2), L(NAME##_##R##_3), L(NAME##_##R##_4)}
#else
#define KERNELS(NAME, R) {NULL, L(NAME##_##R##_2), NULL, NULL}
#endif
PRODUCT(rows, lda)
PRODUCT(columns, 1)
#undef KERNELS
#undef PRODUCT

// MARK: transforms of vectors that are `step` apart to some that are `to` apart

#define TRANSFORM(NAME) \
  static inline __attribute__((always_inline)) void L(NAME)(L(vec) *o, const L(vec) *d, int to, int step)
// B^T, 6 to 6
TRANSFORM(image) {
  const L(vec) d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
  const L(vec) a = d4 - Q * Q * d2, b = d3 - Q * Q * d1, e = d4 - P * P * d2, f = d3 - P * P * d1;
  o[0] = P * P * Q * Q * d0 + (d4 - (P * P + Q * Q) * d2);
  o[to] = a + P * b;
  o[2 * to] = a - P * b;
  o[3 * to] = e + Q * f;
  o[4 * to] = e - Q * f;
  o[5 * to] = P * P * Q * Q * d1 + (d5 - (P * P + Q * Q) * d3);
}
// A^T, 6 to 4
TRANSFORM(result) {
  const L(vec) s = d[step] + d[2 * step], t = d[step] - d[2 * step];
  const L(vec) u = d[3 * step] + d[4 * step], v = d[3 * step] - d[4 * step];
  o[0] = d[0] + s + u;
  o[to] = P * t + Q * v;
  o[2 * to] = P * P * s + Q * Q * u;
  o[3 * to] = P * P * P * t + (Q * Q * Q * v + d[5 * step]);
}
// A, 4 to 6
TRANSFORM(spread) {
  const L(vec) d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step];
  const L(vec) a = d0 + P * P * d2, b = d1 + P * P * d3, e = d0 + Q * Q * d2, f = d1 + Q * Q * d3;
  o[0] = d0;
  o[to] = a + P * b;
  o[2 * to] = a - P * b;
  o[3 * to] = e + Q * f;
  o[4 * to] = e - Q * f;
  o[5 * to] = d3;
}
// G, 3 to 6
TRANSFORM(kernel) {
  const L(vec) a = OVER_P * (d[0] + P * P * d[2 * step]), b = OVER_P * P * d[step];
  const L(vec) e = OVER_Q * (d[0] + Q * Q * d[2 * step]), f = OVER_Q * Q * d[step];
  o[0] = OVER_0 * d[0];
  o[to] = a + b;
  o[2 * to] = a - b;
  o[3 * to] = e + f;
  o[4 * to] = e - f;
  o[5 * to] = d[2 * step];
}
// G^T, 6 to 3
TRANSFORM(fold) {
  const L(vec) s = OVER_P * (d[step] + d[2 * step]), t = OVER_P * P * (d[step] - d[2 * step]);
  const L(vec) u = OVER_Q * (d[3 * step] + d[4 * step]), v = OVER_Q * Q * (d[3 * step] - d[4 * step]);
  o[0] = OVER_0 * d[0] + s + u;
  o[to] = t + v;
  o[2 * to] = P * P * s + (Q * Q * u + d[5 * step]);
}
#undef TRANSFORM

// MARK: images and kernels, of float32 or bfloat16 (`half`)

typedef uint16_t L(halves) __attribute__((vector_size(CK_VECTOR / 2), aligned(2)));
typedef uint32_t L(words) __attribute__((vector_size(CK_VECTOR), aligned(4)));
static inline __attribute__((always_inline)) L(vec) L(get)(const void *p, int64_t at, bool half) {
  if (!half) return LOAD((const float *)p + at);
  return (L(vec))(__builtin_convertvector(*(const L(halves) *)((const uint16_t *)p + at), L(words)) << 16);
}
// Rounded to the nearest, ties to even.
static inline __attribute__((always_inline)) void L(put)(void *p, int64_t at, L(vec) v, bool half) {
  if (!half) {
    STORE((float *)p + at, v);
    return;
  }
  const L(words) bits = (L(words))v, rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const L(words) is_nan = (L(words))(v != v);
  *(L(halves) *)((uint16_t *)p + at) =
    __builtin_convertvector((rounded & ~is_nan) | (((bits >> 16) | 64) & is_nan), L(halves));
}
static inline float L(get_one)(const void *p, int64_t at, bool half) {
  if (!half) return ((const float *)p)[at];
  const uint32_t bits = (uint32_t)((const uint16_t *)p)[at] << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// MARK: tiles

// Transformed tiles first..<first + count of an image, 6x6 numbers each: out[place * area + tile * ld + channel].
// sides: 6 for tiles of the input, 4 for those of the gradient of the output.
static inline __attribute__((always_inline)) void L(tiles_from)(const tiles *g, int sides, int64_t first, int64_t count,
                                                                const void *x, const float *zeros, float *out,
                                                                int64_t ld, int64_t area, bool half) {
  const int64_t n = g->channels, size = half ? 2 : 4;
  for (int64_t t = 0; t < count; t++) {
    const place at = place_of(g, first + t);
    const char *from[36];
    for (int i = 0; i < sides; i++)
      for (int j = 0; j < sides; j++) {
        const int64_t row = 4 * at.row - g->low[0] + i, column = 4 * at.column - g->low[1] + j;
        const bool in = row >= 0 && row < g->size[0] && column >= 0 && column < g->size[1];
        from[i * sides + j] =
          in ? (const char *)x + ((at.image * g->size[0] + row) * g->size[1] + column) * n * size : (const char *)zeros;
      }
    for (int64_t c = 0; c < n; c += L(LANES)) {
      L(vec) d[6], mid[36], o[6];
      if (sides == 6) {
        for (int j = 0; j < 6; j++) {
          for (int i = 0; i < 6; i++) d[i] = L(get)(from[i * 6 + j], c, half);
          if (j > 1)
            for (int i = 0; i < 6; i++) __builtin_prefetch(from[i * 6 + j] + (c + 4 * n) * size);
          L(image)(mid + j, d, 6, 1);
        }
      } else {
        for (int j = 0; j < 4; j++) {
          for (int i = 0; i < 4; i++) d[i] = L(get)(from[i * 4 + j], c, half);
          for (int i = 0; i < 4; i++) __builtin_prefetch(from[i * 4 + j] + (c + 4 * n) * size);
          L(spread)(mid + j, d, 6, 1);
        }
      }
      float *to = out + t * ld + c;
      for (int i = 0; i < 6; i++) {
        if (sides == 6) L(image)(o, mid + i * 6, 1, 1);
        else L(spread)(o, mid + i * 6, 1, 1);
        for (int j = 0; j < 6; j++) STORE(to + (i * 6 + j) * area, o[j]);
      }
    }
  }
}

static void L(tiles_in)(const tiles *g, int sides, int64_t first, int64_t count, const void *x, const float *zeros,
                        float *out, int64_t ld, int64_t area, bool half) {
  if (half) L(tiles_from)(g, sides, first, count, x, zeros, out, ld, area, true);
  else L(tiles_from)(g, sides, first, count, x, zeros, out, ld, area, false);
}

// v, or the bound that it is beyond; NaN stays.
static inline L(vec) L(bounded)(L(vec) v, float low, float high) {
  typedef int32_t mask __attribute__((vector_size(CK_VECTOR)));
  const L(vec) least = (L(vec)){0} + low, most = (L(vec)){0} + high;
  const mask below = v < least, above = v > most;
  return (L(vec))(((mask)v & ~(below | above)) | ((mask)least & below) | ((mask)most & above));
}

// The images that tiles of products stand for, with what follows.
static inline __attribute__((always_inline)) void L(tiles_to)(const tiles *g, int64_t first, int64_t count,
                                                              const float *m, int64_t ld, int64_t area,
                                                              const ck_epilogue *end, void *y, bool half) {
  const int64_t n = g->channels;
  for (int64_t t = 0; t < count; t++) {
    const place at = place_of(g, first + t);
    const int64_t rows = ck_min64(4, g->size[0] - 4 * at.row), columns = ck_min64(4, g->size[1] - 4 * at.column);
    const int64_t corner = ((at.image * g->size[0] + 4 * at.row) * g->size[1] + 4 * at.column) * n;
    for (int64_t c = 0; c < n; c += L(LANES)) {
      L(vec) d[6], mid[24], o[4];
      const float *from = m + t * ld + c;
      for (int j = 0; j < 6; j++) {
        for (int i = 0; i < 6; i++) d[i] = LOAD(from + (i * 6 + j) * area);
        L(result)(mid + j, d, 6, 1);
      }
      const L(vec) b = end->bias ? LOAD(end->bias + c) : (L(vec)){0};
      for (int i = 0; i < rows; i++) {
        L(result)(o, mid + i * 6, 1, 1);
        for (int j = 0; j < columns; j++) {
          const int64_t place = corner + (i * g->size[1] + j) * n + c;
          __builtin_prefetch((char *)y + (place + 4 * n) * (half ? 2 : 4), 1);
          L(vec) v = o[j] + b;
          if (end->added) v += L(get)(end->added, place, half);
          if (end->bounded) v = L(bounded)(v, end->low, end->high);
          L(put)(y, place, v, half);
        }
      }
    }
  }
}

static void L(tiles_out)(const tiles *g, int64_t first, int64_t count, const float *m, int64_t ld, int64_t area,
                         const ck_epilogue *end, void *y, bool half) {
  if (half) L(tiles_to)(g, first, count, m, ld, area, end, y, true);
  else L(tiles_to)(g, first, count, m, ld, area, end, y, false);
}

// MARK: kernels

// Transformed kernels of the columns first..<first + width: out[place * area + row * width + column].
static void L(kernels_in)(const void *w, int64_t column_step, int64_t row_step, bool turned, int64_t rows, int64_t first,
                          int64_t width, float *out, int64_t area, bool half) {
  const int64_t vectors = width / L(LANES);
  for (int64_t at = 0; at < rows * vectors; at++) {  // as the kernels lie in memory
    const int64_t r = turned ? at / vectors : at % rows, v = (turned ? at % vectors : at / rows) * L(LANES);
    float lanes[9][L(LANES)];
    const int64_t from = (first + v) * column_step + r * row_step;
    for (int l = 0; l < L(LANES); l++)
      for (int i = 0; i < 9; i++) lanes[turned ? 8 - i : i][l] = L(get_one)(w, from + l * column_step + i, half);
    L(vec) g[9], mid[18], o[6];
    for (int i = 0; i < 9; i++) g[i] = LOAD(lanes[i]);
    for (int j = 0; j < 3; j++) L(kernel)(mid + j, g + j, 3, 3);
    float *to = out + r * width + v;
    for (int i = 0; i < 6; i++) {
      L(kernel)(o, mid + i * 3, 1, 1);
      for (int j = 0; j < 6; j++) STORE(to + (i * 6 + j) * area, o[j]);
    }
  }
}

// The gradient of kernels, w[column * column_step + row * 9 + tap], from sums of products,
// m[place * area + row * width + column].
static void L(kernels_out)(const float *m, int64_t rows, int64_t width, int64_t area, void *w, int64_t column_step,
                           bool half) {
  for (int64_t v = 0; v < width; v += L(LANES))
    for (int64_t r = 0; r < rows; r++) {
      L(vec) d[6], mid[18], o[3];
      const float *from = m + r * width + v;
      for (int j = 0; j < 6; j++) {
        for (int i = 0; i < 6; i++) d[i] = LOAD(from + (i * 6 + j) * area);
        L(fold)(mid + j, d, 6, 1);
      }
      float lanes[9][L(LANES)];
      for (int i = 0; i < 3; i++) {
        L(fold)(o, mid + i * 6, 1, 1);
        for (int j = 0; j < 3; j++) STORE(lanes[i * 3 + j], o[j]);
      }
      const int64_t to = v * column_step + r * 9;
      if (half) {
        uint16_t rounded[9][L(LANES)];
        for (int i = 0; i < 9; i++) L(put)(rounded[i], 0, LOAD(lanes[i]), true);
        for (int l = 0; l < L(LANES); l++)
          for (int i = 0; i < 9; i++) ((uint16_t *)w)[to + l * column_step + i] = rounded[i][l];
        continue;
      }
      for (int l = 0; l < L(LANES); l++)
        for (int i = 0; i < 9; i++) ((float *)w)[to + l * column_step + i] = lanes[i][l];
    }
}
static int64_t L(panel)(void) { return L(PANEL); }
#undef LOAD
#undef STORE
