// f32 functions as plain expressions that vectorise. Error bounds: exp 1, expm1 3, tanh 2, erf 1, log 2, log1p 3,
// sin and cos 1 ulp.
// The compiler fuses a * b + c where the level has FMA. Included once per level.
static inline uint32_t L(as_bits)(float x) { uint32_t u; memcpy(&u, &x, 4); return u; }
static inline float L(float_of)(uint32_t u) { float x; memcpy(&x, &u, 4); return x; }
static inline float L(csign)(float x, float s) {
  return L(float_of)((L(as_bits)(x) & 0x7fffffffu) | (L(as_bits)(s) & 0x80000000u));
}

static inline float L(exp_)(float x) {
  float c = x > 89.0f ? 89.0f : x;
  c = c < -104.0f ? -104.0f : c;
  const float m = c * 1.442695041f + 12582912.0f, n = m - 12582912.0f;  // rounds by the magic constant
  float r = n * -0.693145752f + c;
  r = n * -1.428606820e-6f + r;
  float p = 1.98756914e-4f;
  p = p * r + 1.39819994e-3f;
  p = p * r + 8.33345205e-3f;
  p = p * r + 4.16657962e-2f;
  p = p * r + 1.66666657e-1f;
  p = p * r + 0.5f;
  p = (p * r) * r + r + 1.0f;
  const int32_t i = (int32_t)(L(as_bits)(m) - 0x4B400000u), h = i >> 1;
  const uint32_t g = (uint32_t)i - (uint32_t)h;  // two factors: no early overflow, gradual underflow
  return p * L(float_of)(((uint32_t)h + 127u) << 23) * L(float_of)((g + 127u) << 23);
}

static inline float L(expm1_)(float x) {
  const float big = L(exp_)(x) - 1.0f;
  float p = 2.48015873e-5f;
  p = p * x + 1.98412698e-4f;
  p = p * x + 1.38888889e-3f;
  p = p * x + 8.33333333e-3f;
  p = p * x + 4.16666667e-2f;
  p = p * x + 1.66666667e-1f;
  p = p * x + 0.5f;
  const float small = (p * x) * x + x;
  return L(csign)(__builtin_fabsf(x) < 0.5f ? small : big, x);
}

static inline float L(tanh_)(float x) {
  float t = __builtin_fabsf(x);
  t = t > 10.0f ? 10.0f : t;
  const float big = 1.0f - 2.0f / (L(exp_)(2.0f * t) + 1.0f), s = t * t;
  float q = 0.0157394409f;
  q = q * s + -0.052302558f;
  q = q * s + 0.133152470f;
  q = q * s + -0.333327681f;
  return L(csign)(t > 0.55f ? big : t + t * (s * q), x);
}

static inline float L(sigmoid_)(float x) {
  const float e = L(exp_)(-__builtin_fabsf(x));
  return (x < 0 ? e : 1.0f) / (1.0f + e);
}

static inline float L(erf_)(float x) {  // Juffa
  const float t = __builtin_fabsf(x), u = t > 4.0f ? 4.0f : t, s = u * u;
  float r = -1.72853470e-5f * u + 3.83197126e-4f;
  const float v = -3.88396438e-3f * u + 2.42546219e-2f;
  r = r * s + v;
  r = r * u + -1.06777877e-1f;
  r = r * u + -6.34846687e-1f;
  r = r * u + -1.28717512e-1f;
  r = r * u - u;
  const float big = 1.0f - L(exp_)(r);
  float q = -5.96761703e-4f;
  q = q * s + 4.99119423e-3f;
  q = q * s + -2.67681349e-2f;
  q = q * s + 1.12819925e-1f;
  q = q * s + -3.76125336e-1f;
  q = q * s + 1.28379166e-1f;
  return L(csign)(t > 0.927734375f ? big : u + u * q, x);
}

static inline float L(log_)(float x) {  // after Cephes
  const bool tiny = x < 1.17549435e-38f;
  const uint32_t u = L(as_bits)(tiny ? x * 8388608.0f : x) - 0x3f3504f3u;  // mantissa in [sqrt(1/2), sqrt(2))
  const float e = (float)((int32_t)u >> 23) - (tiny ? 23.0f : 0.0f);
  const float f = L(float_of)((u & 0x007fffffu) + 0x3f3504f3u) - 1.0f, z = f * f;
  float p = 7.0376836292e-2f;
  p = p * f + -1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f + -1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f + -1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f + -2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  float y = (p * f) * z;
  y = e * -2.12194440e-4f + y;
  y = -0.5f * z + y;
  y = e * 0.693359375f + (f + y);
  y = x > 3.4028234e38f ? x : y;
  y = x == 0 ? -__builtin_inff() : y;
  return x < 0 || x != x ? __builtin_nanf("") : y;
}

static inline float L(log1p_)(float x) {  // what the rounding of 1 + x has lost comes back to first order
  const float u = 1.0f + x, y = L(log_)(u) + (x - (u - 1.0f)) / u;
  return u == 1.0f || x > 3.4028234e38f ? x : u == 0 ? -__builtin_inff() : y;
}

static inline float L(gelu_)(float x) { return 0.5f * x * (1.0f + L(erf_)(x * 0.707106781f)); }
static inline float L(gelu_tanh_)(float x) {  // (1 + tanh(u)) / 2 is the sigmoid of 2 u
  return x * L(sigmoid_)(1.595769122f * x * (1.0f + 0.044715f * x * x));
}

// Their derivatives. Beyond the bounds those are 0 or 1, and factors would overflow.
static inline float L(gelu_slope_)(float x) {
  const float z = x > 40.0f ? 40.0f : x < -40.0f ? -40.0f : x;
  return 0.5f * (1.0f + L(erf_)(z * 0.707106781f)) + z * (0.398942280f * L(exp_)(-0.5f * z * z));
}
static inline float L(gelu_tanh_slope_)(float x) {
  const float z = x > 12.0f ? 12.0f : x < -12.0f ? -12.0f : x, s = z * z;
  const float p = L(sigmoid_)(1.595769122f * z * (1.0f + 0.044715f * s));
  return p + z * (p * (1.0f - p)) * (1.595769122f * (1.0f + 0.134145f * s));
}

// For |x| <= 1e5, in double, where the reduction is exact to 2^-60. quadrant: 0 sine, 1 cosine.
static inline float L(sincos_)(float x, uint32_t quadrant) {
  const double d = x, m = d * 0.63661977236758134308 + 6755399441055744.0, n = m - 6755399441055744.0;
  uint64_t u;
  memcpy(&u, &m, 8);
  const uint32_t k = (uint32_t)u + quadrant;
  double r = n * -1.5707963267341256142 + d;
  r = n * -6.0771005065061922e-11 + r;
  const double s = r * r;
  double p = -2.50507602534068634195e-8;
  p = p * s + 2.75573137070700676789e-6;
  p = p * s + -1.98412698298579493134e-4;
  p = p * s + 8.33333333332248946124e-3;
  p = p * s + -1.66666666666666324348e-1;
  p = (p * s) * r + r;
  double q = -2.75573143513906633035e-7;
  q = q * s + 2.48015872894767294178e-5;
  q = q * s + -1.38888888888741095749e-3;
  q = q * s + 4.16666666666666019037e-2;
  q = (q * s + -0.5) * s + 1.0;
  const float y = (float)(k & 1u ? q : p);
  return k & 2u ? -y : y;
}
