// Reductions of contiguous stretches, and of columns. 16-bit floats come as f32, integers and bools as int64.
#define LOOP(n) _Pragma("clang loop vectorize(assume_safety) interleave_count(2)") for (int64_t i = 0; i < (n); i++)
#define TAKE_ADD(x, y) ((x) + (y))
#define TAKE_MUL(x, y) ((x) * (y))
#define TAKE_MAX(x, y) ((y) > (x) || (y) != (y) ? (y) : (x))
#define TAKE_MIN(x, y) ((y) < (x) || (y) != (y) ? (y) : (x))

// 64 running results whose order is the same on every level; NaN is kept, since no comparison replaces it.
#define STRETCH(name, t, T, U, TAKE)                                                     \
  static void L(row_##name##_##t)(int64_t n, void *result, const void *a_) {             \
    const T *a = a_;                                                                     \
    T r[64];                                                                             \
    if (n < 64) {                                                                        \
      T x = a[0];                                                                        \
      for (int64_t i = 1; i < n; i++) x = (T)TAKE((U)x, (U)a[i]);                        \
      *(T *)result = x;                                                                  \
      return;                                                                            \
    }                                                                                    \
    for (int i = 0; i < 64; i++) r[i] = a[i];                                            \
    int64_t at = 64;                                                                     \
    for (; at + 64 <= n; at += 64)                                                       \
      for (int i = 0; i < 64; i++) r[i] = (T)TAKE((U)r[i], (U)a[at + i]);                \
    for (int64_t i = 0; at + i < n; i++) r[i] = (T)TAKE((U)r[i], (U)a[at + i]);          \
    for (int half = 32; half; half /= 2)                                                 \
      for (int i = 0; i < half; i++) r[i] = (T)TAKE((U)r[i], (U)r[i + half]);            \
    *(T *)result = r[0];                                                                 \
  }                                                                                      \
  static void L(col_##name##_##t)(int64_t n, void *result, const void *a_) {             \
    T *o = result;                                                                       \
    const T *a = a_;                                                                     \
    LOOP(n) o[i] = (T)TAKE((U)o[i], (U)a[i]);                                            \
  }                                                                                      \
  static void L(four_##name##_##t)(int64_t n, void *result, const void *a_, int64_t row) { \
    T *o = result;                                                                       \
    const T *a = a_, *b = a + row, *c = b + row, *d = c + row;                           \
    LOOP(n) {                                                                            \
      T x = (T)TAKE((U)o[i], (U)a[i]);                                                   \
      x = (T)TAKE((U)x, (U)b[i]);                                                        \
      x = (T)TAKE((U)x, (U)c[i]);                                                        \
      o[i] = (T)TAKE((U)x, (U)d[i]);                                                     \
    }                                                                                    \
  }
#define STRETCHES(t, T, U) STRETCH(add, t, T, U, TAKE_ADD) STRETCH(mul, t, T, U, TAKE_MUL) \
  STRETCH(max, t, T, T, TAKE_MAX) STRETCH(min, t, T, T, TAKE_MIN)
STRETCHES(f32, float, float)
STRETCHES(f64, double, double)
STRETCHES(i64, int64_t, uint64_t)

#define TABLE(way, t) {L(way##_add_##t), L(way##_mul_##t), L(way##_max_##t), L(way##_min_##t)}
static const stretch L(row)[3][4] = {TABLE(row, f32), TABLE(row, f64), TABLE(row, i64)};
static const stretch L(col)[3][4] = {TABLE(col, f32), TABLE(col, f64), TABLE(col, i64)};
// Four rows at once, `row` elements apart.
static const stretch_of_four L(four)[3][4] = {TABLE(four, f32), TABLE(four, f64), TABLE(four, i64)};
#undef STRETCH
#undef STRETCHES
#undef TABLE
#undef LOOP
