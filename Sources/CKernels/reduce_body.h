// Reductions of contiguous stretches, and of columns. 16-bit floats come as f32, integers and bools as int64; columns of
// bfloat16 also as they are.
#include "bfloat16_body.h"
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
  }
#define STRETCHES(t, T, U) STRETCH(add, t, T, U, TAKE_ADD) STRETCH(mul, t, T, U, TAKE_MUL) \
  STRETCH(max, t, T, T, TAKE_MAX) STRETCH(min, t, T, T, TAKE_MIN)
STRETCHES(f32, float, float)
STRETCHES(f64, double, double)
STRETCHES(i64, int64_t, uint64_t)

// `count` rows of n elements, `row` apart, one after the other; S is what holds V(x) in memory. Of short rows the results stay
// in registers while they pass by; of long ones four are read at once.
#define ROWS_OF(name, s, T, S, U, TAKE, V)                                               \
  static void L(rows_##name##_##s)(int64_t n, void *result, const void *a_, int64_t row, int64_t count) { \
    T *o = result;                                                                       \
    const S *a = a_;                                                                     \
    int64_t at = 0, k = 1;                                                               \
    if (n * (int64_t)sizeof(S) <= 128) {                                                 \
      for (; at + 32 <= n; at += 32) COLUMNS(T, U, TAKE, V, 32)                          \
      for (; at + 16 <= n; at += 16) COLUMNS(T, U, TAKE, V, 16)                          \
    }                                                                                    \
    if (at == n) return;                                                                 \
    o += at, a += at, n -= at;                                                           \
    LOOP(n) o[i] = V(a[i]);                                                              \
    for (; k + 4 <= count; k += 4) {                                                     \
      const S *x = a + k * row, *y = x + row, *z = y + row, *w = z + row;                \
      LOOP(n) {                                                                          \
        T r = o[i], v = V(x[i]);                                                         \
        r = (T)TAKE((U)r, (U)v), v = V(y[i]);                                            \
        r = (T)TAKE((U)r, (U)v), v = V(z[i]);                                            \
        r = (T)TAKE((U)r, (U)v), v = V(w[i]);                                            \
        o[i] = (T)TAKE((U)r, (U)v);                                                      \
      }                                                                                  \
    }                                                                                    \
    for (; k < count; k++)                                                               \
      LOOP(n) {                                                                          \
        const T r = o[i], v = V(a[k * row + i]);                                         \
        o[i] = (T)TAKE((U)r, (U)v);                                                      \
      }                                                                                  \
  }
#define COLUMNS(T, U, TAKE, V, n) {                                                      \
    T r[n];                                                                              \
    for (int i = 0; i < n; i++) r[i] = V(a[at + i]);                                     \
    for (int64_t l = 1; l < count; l++)                                                  \
      for (int i = 0; i < n; i++) {                                                      \
        const T v = V(a[l * row + at + i]);                                              \
        r[i] = (T)TAKE((U)r[i], (U)v);                                                   \
      }                                                                                  \
    for (int i = 0; i < n; i++) o[at + i] = r[i];                                        \
  }
#define ITSELF(x) (x)
#define ROWS(s, T, S, U, V) ROWS_OF(add, s, T, S, U, TAKE_ADD, V) ROWS_OF(mul, s, T, S, U, TAKE_MUL, V) \
  ROWS_OF(max, s, T, S, T, TAKE_MAX, V) ROWS_OF(min, s, T, S, T, TAKE_MIN, V)
ROWS(f32, float, float, float, ITSELF)
ROWS(f64, double, double, double, ITSELF)
ROWS(i64, int64_t, int64_t, uint64_t, ITSELF)
ROWS(bf16, float, uint16_t, float, L(bf16_value))

#define TABLE(way, t) {L(way##_add_##t), L(way##_mul_##t), L(way##_max_##t), L(way##_min_##t)}
static const stretch L(row)[3][4] = {TABLE(row, f32), TABLE(row, f64), TABLE(row, i64)};
static const stretch L(col)[3][4] = {TABLE(col, f32), TABLE(col, f64), TABLE(col, i64)};
static const stretch_of_rows L(rows)[4][4] = {TABLE(rows, f32), TABLE(rows, f64), TABLE(rows, i64), TABLE(rows, bf16)};
#undef STRETCH
#undef STRETCHES
#undef ROWS
#undef ROWS_OF
#undef COLUMNS
#undef ITSELF
#undef TABLE
#undef LOOP
