// Loops over complex numbers, which are pairs of parts. Part of elementwise_body.h.

#define COMPLEX_UNARY(name, T, re, im)                                             \
  static void L(name)(ARGUMENTS) {                                                 \
    T *o = o_;                                                                     \
    const T *a = a_;                                                               \
    LOOP(n) { const T x = a[2 * i], y = a[2 * i + 1]; o[2 * i] = re; o[2 * i + 1] = im; } \
  }
COMPLEX_UNARY(neg_c64, float, -x, -y)
COMPLEX_UNARY(neg_c128, double, -x, -y)
COMPLEX_UNARY(conj_c64, float, x, -y)
COMPLEX_UNARY(conj_c128, double, x, -y)

#define COMPLEX_LIBM(name)                                                         \
  UNARY(name##_c64, float _Complex, PLAIN, c##name##f(x))                          \
  UNARY(name##_c128, double _Complex, PLAIN, c##name(x))
COMPLEX_LIBM(exp)
COMPLEX_LIBM(log)
COMPLEX_LIBM(sqrt)
COMPLEX_LIBM(sin)
COMPLEX_LIBM(cos)
COMPLEX_LIBM(tan)
COMPLEX_LIBM(sinh)
COMPLEX_LIBM(cosh)
COMPLEX_LIBM(tanh)

// The element x + y i of a, u + v i of b.
#define COMPLEX_BINARY(name, T, re, im)                                            \
  static void L(name)(ARGUMENTS) {                                                 \
    T *o = o_;                                                                     \
    const T *a = a_, *b = b_;                                                      \
    if (steps == 3) { LOOP(n) { const T x = a[2 * i], y = a[2 * i + 1], u = b[2 * i], v = b[2 * i + 1];            \
      o[2 * i] = re; o[2 * i + 1] = im; } }                                        \
    else if (steps == 1) { const T u = b[0], v = b[1]; LOOP(n) { const T x = a[2 * i], y = a[2 * i + 1];           \
      o[2 * i] = re; o[2 * i + 1] = im; } }                                        \
    else if (steps == 2) { const T x = a[0], y = a[1]; LOOP(n) { const T u = b[2 * i], v = b[2 * i + 1];           \
      o[2 * i] = re; o[2 * i + 1] = im; } }                                        \
    else { const T x = a[0], y = a[1], u = b[0], v = b[1]; LOOP(n) { o[2 * i] = re; o[2 * i + 1] = im; } }         \
  }
COMPLEX_BINARY(add_c64, float, x + u, y + v)
COMPLEX_BINARY(add_c128, double, x + u, y + v)
COMPLEX_BINARY(sub_c64, float, x - u, y - v)
COMPLEX_BINARY(sub_c128, double, x - u, y - v)
COMPLEX_BINARY(mul_c64, float, x * u - y * v, x * v + y * u)
COMPLEX_BINARY(mul_c128, double, x * u - y * v, x * v + y * u)
// The real part of (x + y i) / (u + v i) by Smith's method: with the ratio of the divisor's parts, of which the larger is below.
// By 0 as numbers without imaginary part are divided.
static inline double L(quotient)(double x, double y, double u, double v) {
  const bool first = fabs(u) >= fabs(v);
  const double p = first ? u : v, ratio = (first ? v : u) / p;
  const double result = ((first ? x : y) + (first ? y : x) * ratio) / (p + (first ? v : u) * ratio);
  return p == 0 ? x / fabs(u) : result;
}
// The squares of finite floats are in the range of double, and their products exact.
static inline double L(quotient_c64)(double x, double y, double u, double v) {
  const double norm = u * u + v * v;
  return norm > 0 && norm < INFINITY ? (x * u + y * v) / norm : L(quotient)(x, y, u, v);
}
COMPLEX_BINARY(div_c64, float, (float)L(quotient_c64)(x, y, u, v), (float)L(quotient_c64)(y, -(double)x, u, v))
COMPLEX_BINARY(div_c128, double, L(quotient)(x, y, u, v), L(quotient)(y, -x, u, v))

#define COMPLEX_COMPARE(name, T, value)                                            \
  static void L(name)(ARGUMENTS) {                                                 \
    uint8_t *o = o_;                                                               \
    const T *a = a_, *b = b_;                                                      \
    const int64_t p = steps & 1 ? 2 : 0, q = steps & 2 ? 2 : 0;                    \
    LOOP(n) { const T x = a[p * i], y = a[p * i + 1], u = b[q * i], v = b[q * i + 1]; o[i] = value; } \
  }
COMPLEX_COMPARE(eq_c64, float, (x == u) & (y == v))
COMPLEX_COMPARE(eq_c128, double, (x == u) & (y == v))
COMPLEX_COMPARE(ne_c64, float, (x != u) | (y != v))
COMPLEX_COMPARE(ne_c128, double, (x != u) | (y != v))

static void L(magnitude_c64)(ARGUMENTS) {
  float *o = o_;
  const float *a = a_;
  const int64_t p = steps & 1 ? 2 : 0;
  LOOP(n) {
    const double x = a[p * i], y = a[p * i + 1];
    o[i] = (float)__builtin_elementwise_sqrt(x * x + y * y);
  }
}
static void L(magnitude_c128)(ARGUMENTS) {
  double *o = o_;
  const double *a = a_;
  const int64_t p = steps & 1 ? 2 : 0;
  PLAIN(n) o[i] = hypot(a[p * i], a[p * i + 1]);
}

#define TO_COMPLEX(f, F)                                                           \
  static void L(cast_##f##_c64)(ARGUMENTS) {                                       \
    float *o = o_;                                                                 \
    const F *a = a_;                                                               \
    LOOP(n) { o[2 * i] = (float)a[i]; o[2 * i + 1] = 0; }                          \
  }                                                                                \
  static void L(cast_##f##_c128)(ARGUMENTS) {                                      \
    double *o = o_;                                                                \
    const F *a = a_;                                                               \
    LOOP(n) { o[2 * i] = (double)a[i]; o[2 * i + 1] = 0; }                         \
  }
static void L(cast_c64_c128)(ARGUMENTS) {
  double *o = o_;
  const float *a = a_;
  LOOP(2 * n) o[i] = a[i];
}
static void L(cast_c128_c64)(ARGUMENTS) {
  float *o = o_;
  const double *a = a_;
  LOOP(2 * n) o[i] = (float)a[i];
}
