// Vectorised loops over contiguous data; `steps` tells which inputs are a single element. Included once per level.
#include "math_body.h"
#include "bfloat16_body.h"
#define LOOP(n) _Pragma("clang loop vectorize(assume_safety) interleave_count(2)") for (int64_t i = 0; i < (n); i++)
#define PLAIN(n) for (int64_t i = 0; i < (n); i++)
#define ARGUMENTS int64_t n, void *o_, const void *a_, const void *b_, const void *c_, int steps

// MARK: unary

#define UNARY(name, T, FOR, value)                                  \
  static void L(name)(ARGUMENTS) {                                  \
    T *o = o_;                                                      \
    const T *a = a_;                                                \
    FOR(n) { const T x = a[i]; o[i] = (T)(value); }                 \
  }
#define FLOAT_UNARY(t, T)                                           \
  UNARY(neg_##t, T, LOOP, -x)                                       \
  UNARY(abs_##t, T, LOOP, __builtin_elementwise_abs(x))             \
  UNARY(sign_##t, T, LOOP, x != x ? x : (T)(x > 0) - (T)(x < 0))    \
  UNARY(sqrt_##t, T, LOOP, __builtin_elementwise_sqrt(x))           \
  UNARY(rsqrt_##t, T, LOOP, 1 / __builtin_elementwise_sqrt(x))      \
  UNARY(reciprocal_##t, T, LOOP, 1 / x)                             \
  UNARY(square_##t, T, LOOP, x * x)                                 \
  UNARY(relu_##t, T, LOOP, x < 0 ? 0 : x)                           \
  UNARY(floor_##t, T, LOOP, __builtin_elementwise_floor(x))         \
  UNARY(ceil_##t, T, LOOP, __builtin_elementwise_ceil(x))           \
  UNARY(trunc_##t, T, LOOP, __builtin_elementwise_trunc(x))
FLOAT_UNARY(f32, float)
FLOAT_UNARY(f64, double)
UNARY(round_f32, float, LOOP, __builtin_rintf(x))
UNARY(round_f64, double, LOOP, __builtin_rint(x))
UNARY(exp_f32, float, LOOP, L(exp_)(x))
UNARY(log_f32, float, LOOP, L(log_)(x))
UNARY(tanh_f32, float, LOOP, L(tanh_)(x))
UNARY(sigmoid_f32, float, LOOP, L(sigmoid_)(x))
UNARY(erf_f32, float, LOOP, L(erf_)(x))
UNARY(exp_f64, double, PLAIN, exp(x))
UNARY(log_f64, double, PLAIN, log(x))
UNARY(tanh_f64, double, PLAIN, tanh(x))
UNARY(sigmoid_f64, double, PLAIN, (x < 0 ? exp(x) : 1) / (1 + exp(-fabs(x))))
UNARY(sin_f64, double, PLAIN, sin(x))
UNARY(cos_f64, double, PLAIN, cos(x))
UNARY(erf_f64, double, PLAIN, erf(x))
UNARY(expm1_f32, float, LOOP, L(expm1_)(x))
UNARY(expm1_f64, double, PLAIN, expm1(x))
UNARY(log1p_f32, float, LOOP, L(log1p_)(x))
UNARY(log1p_f64, double, PLAIN, log1p(x))
UNARY(silu_f32, float, LOOP, x * L(sigmoid_)(x))
UNARY(silu_f64, double, PLAIN, x * ((x < 0 ? exp(x) : 1) / (1 + exp(-fabs(x)))))
UNARY(gelu_f32, float, LOOP, L(gelu_)(x))
UNARY(gelu_f64, double, PLAIN, 0.5 * x * (1 + erf(x * 0.70710678118654752440)))
UNARY(gelu_tanh_f32, float, LOOP, L(gelu_tanh_)(x))
UNARY(gelu_tanh_f64, double, PLAIN, 0.5 * x * (1 + tanh(0.79788456080286535588 * x * (1 + 0.044715 * x * x))))

UNARY(gelu_slope_f32, float, LOOP, L(gelu_slope_)(x))
UNARY(gelu_tanh_slope_f32, float, LOOP, L(gelu_tanh_slope_)(x))
static void L(gelu_slope_f64)(ARGUMENTS) {
  double *o = o_;
  const double *a = a_;
  PLAIN(n) {
    const double z = a[i] > 40 ? 40 : a[i] < -40 ? -40 : a[i];
    o[i] = 0.5 * (1 + erf(z * 0.70710678118654752440)) + z * (0.39894228040143267794 * exp(-0.5 * z * z));
  }
}
static void L(gelu_tanh_slope_f64)(ARGUMENTS) {
  double *o = o_;
  const double *a = a_;
  PLAIN(n) {
    const double z = a[i] > 12 ? 12 : a[i] < -12 ? -12 : a[i], s = z * z;
    const double t = tanh(0.79788456080286535588 * z * (1 + 0.044715 * s));
    o[i] = 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * (0.79788456080286535588 * (1 + 0.134145 * s));
  }
}

// Functions that are rare in networks, by libm.
#define LIBM(name)                              \
  UNARY(name##_f32, float, PLAIN, name##f(x))   \
  UNARY(name##_f64, double, PLAIN, name(x))
LIBM(exp2)
LIBM(log2)
LIBM(log10)
LIBM(tan)
LIBM(asin)
LIBM(acos)
LIBM(atan)
LIBM(sinh)
LIBM(cosh)
LIBM(asinh)
LIBM(acosh)
LIBM(atanh)

// Blocks with an argument beyond the reduction's range take libm for those elements.
#define PERIODIC(name, quadrant, libm)                                                      \
  static void L(name)(ARGUMENTS) {                                                          \
    for (int64_t at = 0; at < n; at += 64) {                                                \
      const float *a = (const float *)a_ + at;                                              \
      float *o = (float *)o_ + at;                                                          \
      const int64_t count = n - at < 64 ? n - at : 64;                                      \
      int32_t far = 0;                                                                      \
      for (int64_t i = 0; i < count; i++) far |= !(__builtin_fabsf(a[i]) <= 1e5f);          \
      if (far) {                                                                            \
        for (int64_t i = 0; i < count; i++)                                                 \
          o[i] = __builtin_fabsf(a[i]) <= 1e5f ? L(sincos_)(a[i], quadrant) : libm(a[i]);   \
      } else {                                                                              \
        LOOP(count) o[i] = L(sincos_)(a[i], quadrant);                                      \
      }                                                                                     \
    }                                                                                       \
  }
PERIODIC(sin_f32, 0, sinf)
PERIODIC(cos_f32, 1, cosf)

#define INT_UNARY(t, T, U)                                          \
  UNARY(neg_##t, T, LOOP, (U)0 - (U)x)                              \
  UNARY(abs_##t, T, LOOP, x < 0 ? (U)0 - (U)x : (U)x)               \
  UNARY(sign_##t, T, LOOP, (x > 0) - (x < 0))                       \
  UNARY(square_##t, T, LOOP, (U)x * (U)x)                           \
  UNARY(relu_##t, T, LOOP, x < 0 ? 0 : x)
#define UINT_UNARY(t, T, U)                                         \
  UNARY(neg_##t, T, LOOP, (U)0 - (U)x)                              \
  UNARY(sign_##t, T, LOOP, x != 0)                                  \
  UNARY(square_##t, T, LOOP, (U)x * (U)x)
INT_UNARY(i8, int8_t, uint32_t)
INT_UNARY(i16, int16_t, uint32_t)
INT_UNARY(i32, int32_t, uint32_t)
INT_UNARY(i64, int64_t, uint64_t)
UINT_UNARY(u8, uint8_t, uint32_t)
UINT_UNARY(u32, uint32_t, uint32_t)
UNARY(not_bool, uint8_t, LOOP, x == 0)
UNARY(same_8, uint8_t, LOOP, x)
UNARY(same_16, uint16_t, LOOP, x)
UNARY(same_32, uint32_t, LOOP, x)
UNARY(same_64, uint64_t, LOOP, x)

#include "complex_body.h"

#define INTS(name)                                                                                       \
  [CK_I8] = L(name##_i8), [CK_I16] = L(name##_i16), [CK_I32] = L(name##_i32), [CK_I64] = L(name##_i64),  \
  [CK_U8] = L(name##_u8), [CK_U32] = L(name##_u32)
#define FLOATS(name) [CK_F32] = L(name##_f32), [CK_F64] = L(name##_f64)
#define NUMBERS(name) FLOATS(name), [CK_C64] = L(name##_c64), [CK_C128] = L(name##_c128)
#define COPIES [CK_U8] = L(same_8), [CK_I8] = L(same_8), [CK_I16] = L(same_16), [CK_I32] = L(same_32), \
  [CK_I64] = L(same_64), [CK_U32] = L(same_32)
#define abs_u8 same_8
#define abs_u32 same_32
#define relu_u8 same_8
#define relu_u32 same_32
#define INTS_COPY_UNSIGNED(name) [CK_I8] = L(name##_i8), [CK_I16] = L(name##_i16), [CK_I32] = L(name##_i32), \
  [CK_I64] = L(name##_i64), [CK_U8] = L(same_8), [CK_U32] = L(same_32)
static const ck_loop L(unary)[CK_UNARY_OPS][CK_DTYPES] = {
  [CK_NEG] = {INTS(neg), NUMBERS(neg)}, [CK_ABS] = {INTS_COPY_UNSIGNED(abs), FLOATS(abs)},
  [CK_SIGN] = {INTS(sign), FLOATS(sign)}, [CK_SQUARE] = {INTS(square), FLOATS(square)},
  [CK_RELU] = {INTS_COPY_UNSIGNED(relu), FLOATS(relu)}, [CK_EXP] = {NUMBERS(exp)}, [CK_LOG] = {NUMBERS(log)},
  [CK_SQRT] = {NUMBERS(sqrt)}, [CK_RSQRT] = {FLOATS(rsqrt)}, [CK_RECIPROCAL] = {FLOATS(reciprocal)},
  [CK_TANH] = {NUMBERS(tanh)}, [CK_SIGMOID] = {FLOATS(sigmoid)}, [CK_SIN] = {NUMBERS(sin)}, [CK_COS] = {NUMBERS(cos)},
  [CK_ERF] = {FLOATS(erf)}, [CK_FLOOR] = {COPIES, FLOATS(floor)}, [CK_CEIL] = {COPIES, FLOATS(ceil)},
  [CK_ROUND] = {COPIES, FLOATS(round)}, [CK_TRUNC] = {COPIES, FLOATS(trunc)},
  [CK_EXPM1] = {FLOATS(expm1)}, [CK_EXP2] = {FLOATS(exp2)}, [CK_LOG1P] = {FLOATS(log1p)}, [CK_LOG2] = {FLOATS(log2)},
  [CK_LOG10] = {FLOATS(log10)}, [CK_TAN] = {NUMBERS(tan)}, [CK_ASIN] = {FLOATS(asin)}, [CK_ACOS] = {FLOATS(acos)},
  [CK_ATAN] = {FLOATS(atan)}, [CK_SINH] = {NUMBERS(sinh)}, [CK_COSH] = {NUMBERS(cosh)}, [CK_ASINH] = {FLOATS(asinh)},
  [CK_ACOSH] = {FLOATS(acosh)}, [CK_ATANH] = {FLOATS(atanh)}, [CK_SILU] = {FLOATS(silu)}, [CK_GELU] = {FLOATS(gelu)},
  [CK_GELU_TANH] = {FLOATS(gelu_tanh)}, [CK_GELU_SLOPE] = {FLOATS(gelu_slope)},
  [CK_GELU_TANH_SLOPE] = {FLOATS(gelu_tanh_slope)}, [CK_LOGICAL_NOT] = {[CK_BOOL] = L(not_bool)},
  [CK_CONJ] = {[CK_C64] = L(conj_c64), [CK_C128] = L(conj_c128)},
};
#undef abs_u8
#undef abs_u32
#undef relu_u8
#undef relu_u32

// Copies whole cache lines past the caches; both sides begin at one. The caller fences.
static void L(stream)(int64_t bytes, void *o_, const void *a_) {
  typedef char line __attribute__((vector_size(CK_VECTOR)));
  line *o = o_;
  const line *a = a_;
  for (int64_t i = 0; i < bytes / CK_VECTOR; i++) __builtin_nontemporal_store(a[i], o + i);
}

// MARK: binary. The element x of a, y of b.

#define BINARY(name, O, T, FOR, value)                                             \
  static void L(name)(ARGUMENTS) {                                                 \
    O *o = o_;                                                                     \
    const T *a = a_, *b = b_;                                                      \
    if (steps == 3) { FOR(n) { const T x = a[i], y = b[i]; o[i] = (O)(value); } }  \
    else if (steps == 1) { const T y = *b; FOR(n) { const T x = a[i]; o[i] = (O)(value); } } \
    else if (steps == 2) { const T x = *a; FOR(n) { const T y = b[i]; o[i] = (O)(value); } } \
    else { const T x = *a, y = *b; FOR(n) o[i] = (O)(value); }                     \
  }
#define NUMBER_BINARY(t, T, U)                              \
  BINARY(add_##t, T, T, LOOP, (U)x + (U)y)                  \
  BINARY(sub_##t, T, T, LOOP, (U)x - (U)y)                  \
  BINARY(mul_##t, T, T, LOOP, (U)x * (U)y)                  \
  BINARY(max_##t, T, T, LOOP, x > y || x != x ? x : y)      \
  BINARY(min_##t, T, T, LOOP, x < y || x != x ? x : y)
#define COMPARISONS(t, T)                                   \
  BINARY(eq_##t, uint8_t, T, LOOP, x == y)                  \
  BINARY(ne_##t, uint8_t, T, LOOP, x != y)                  \
  BINARY(lt_##t, uint8_t, T, LOOP, x < y)                   \
  BINARY(le_##t, uint8_t, T, LOOP, x <= y)                  \
  BINARY(gt_##t, uint8_t, T, LOOP, x > y)                   \
  BINARY(ge_##t, uint8_t, T, LOOP, x >= y)
#define INTEGER(t, T, U)                                                                               \
  NUMBER_BINARY(t, T, U)                                                                               \
  COMPARISONS(t, T)                                                                                    \
  BINARY(div_##t, T, T, PLAIN, y == 0 ? 0 : y == (T)-1 && (T)-1 < 0 ? (T)((U)0 - (U)x) : (T)(x / y))   \
  static inline T L(ipow_##t)(T x, T y) {                                                              \
    if ((T)-1 < 0 && y < (T)1 && y != 0) return x == 1 ? 1 : x == (T)-1 ? (y & 1 ? x : 1) : 0;         \
    U power = (U)x, result = 1;                                                                        \
    for (uint64_t e = (uint64_t)y; e; e >>= 1, power *= power)                                         \
      if (e & 1) result *= power;                                                                      \
    return (T)result;                                                                                  \
  }                                                                                                    \
  BINARY(pow_##t, T, T, PLAIN, L(ipow_##t)(x, y))                                                      \
  static inline T L(imod_##t)(T x, T y) {                                                              \
    if (y == 0 || ((T)-1 < 0 && y == (T)-1)) return 0;                                                 \
    const T r = (T)(x % y);                                                                            \
    return r != 0 && (r < 0) != (y < 0) ? (T)(r + y) : r;                                              \
  }                                                                                                    \
  static inline T L(ifloor_##t)(T x, T y) {                                                            \
    if (y == 0) return 0;                                                                              \
    if ((T)-1 < 0 && y == (T)-1) return (T)((U)0 - (U)x);                                              \
    return (T)(x / y - (x % y != 0 && (x < 0) != (y < 0)));                                            \
  }                                                                                                    \
  BINARY(rem_##t, T, T, PLAIN, L(imod_##t)(x, y))                                                      \
  BINARY(floordiv_##t, T, T, PLAIN, L(ifloor_##t)(x, y))
INTEGER(i8, int8_t, uint32_t)
INTEGER(i16, int16_t, uint32_t)
INTEGER(i32, int32_t, uint32_t)
INTEGER(i64, int64_t, uint64_t)
INTEGER(u8, uint8_t, uint32_t)
INTEGER(u32, uint32_t, uint32_t)
NUMBER_BINARY(f32, float, float)
NUMBER_BINARY(f64, double, double)
COMPARISONS(f32, float)
COMPARISONS(f64, double)
BINARY(div_f32, float, float, LOOP, x / y)
BINARY(div_f64, double, double, LOOP, x / y)
BINARY(pow_f32, float, float, PLAIN, powf(x, y))
BINARY(pow_f64, double, double, PLAIN, pow(x, y))
BINARY(atan2_f32, float, float, PLAIN, atan2f(x, y))
BINARY(atan2_f64, double, double, PLAIN, atan2(x, y))
// The remainder of fmod is exact; the quotient is made of it, so that both agree.
#define FLOOR_DIVISION(t, T, FMOD, FLOOR, COPYSIGN)                             \
  static inline T L(mod_##t)(T x, T y) {                                        \
    const T r = FMOD(x, y);                                                     \
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;                            \
  }                                                                             \
  static inline T L(floor_of_##t)(T x, T y) {                                   \
    if (y == 0) return x / y;                                                   \
    const T r = FMOD(x, y);                                                     \
    const T q = (x - r) / y - (r != 0 && (r < 0) != (y < 0) ? 1 : 0);           \
    const T below = FLOOR(q);                                                   \
    return q == 0 ? COPYSIGN(0, x / y) : q - below > (T)0.5 ? below + 1 : below;  \
  }                                                                             \
  BINARY(rem_##t, T, T, PLAIN, L(mod_##t)(x, y))                                \
  BINARY(floordiv_##t, T, T, PLAIN, L(floor_of_##t)(x, y))
FLOOR_DIVISION(f32, float, fmodf, floorf, copysignf)
FLOOR_DIVISION(f64, double, fmod, floor, copysign)
BINARY(or_bool, uint8_t, uint8_t, LOOP, x | y)
BINARY(and_bool, uint8_t, uint8_t, LOOP, x & y)
BINARY(xor_bool, uint8_t, uint8_t, LOOP, x ^ y)

static const ck_loop L(binary)[CK_BINARY_OPS][CK_DTYPES] = {
  [CK_ADD] = {INTS(add), NUMBERS(add), [CK_BOOL] = L(or_bool)}, [CK_SUB] = {INTS(sub), NUMBERS(sub)},
  [CK_MUL] = {INTS(mul), NUMBERS(mul), [CK_BOOL] = L(and_bool)}, [CK_DIV] = {INTS(div), NUMBERS(div)},
  [CK_MAXIMUM] = {INTS(max), FLOATS(max), [CK_BOOL] = L(or_bool)},
  [CK_MINIMUM] = {INTS(min), FLOATS(min), [CK_BOOL] = L(and_bool)}, [CK_POW] = {INTS(pow), FLOATS(pow)},
  [CK_ATAN2] = {FLOATS(atan2)}, [CK_REMAINDER] = {INTS(rem), FLOATS(rem)},
  [CK_FLOOR_DIV] = {INTS(floordiv), FLOATS(floordiv)},
};
#define COMPARE(name) {INTS(name), FLOATS(name), [CK_BOOL] = L(name##_u8)}
static const ck_loop L(compare)[6][CK_DTYPES] = {
  [CK_EQ] = {INTS(eq), NUMBERS(eq), [CK_BOOL] = L(eq_u8)}, [CK_NE] = {INTS(ne), NUMBERS(ne), [CK_BOOL] = L(ne_u8)}, [CK_LT] = COMPARE(lt),
  [CK_LE] = COMPARE(le), [CK_GT] = COMPARE(gt), [CK_GE] = COMPARE(ge),
};
static const ck_loop L(logic)[3] = {[CK_AND] = L(and_bool), [CK_OR] = L(or_bool), [CK_XOR] = L(xor_bool)};

// MARK: bounds. Inputs: x and the two bounds; or a gradient, x and the bounds.

#define CLAMP(name, T)                                                                       \
  static void L(name)(ARGUMENTS) {                                                           \
    T *o = o_;                                                                               \
    const T *a = a_, *bounds = b_, low = bounds[0], high = bounds[1];                        \
    if (steps & 1) { LOOP(n) { const T x = a[i], r = x < low ? low : x; o[i] = r > high ? high : r; } } \
    else { const T x = *a, r = x < low ? low : x; LOOP(n) o[i] = r > high ? high : r; }      \
  }
// All gradients are read, also those that come to nothing: loads that wait for the comparison wait for the memory twice.
#define BETWEEN(name, T, U, outside)                                                         \
  static void L(name)(ARGUMENTS) {                                                           \
    T *o = o_;                                                                               \
    const T *a = a_, *b = b_, *bounds = c_, low = bounds[0], high = bounds[1];               \
    if ((steps & 3) == 3) {                                                                  \
      U all = 0;                                                                             \
      LOOP(n) {                                                                              \
        const T g = a[i], x = b[i];                                                          \
        U u;                                                                                 \
        memcpy(&u, &g, sizeof u);                                                            \
        all |= u;                                                                            \
        o[i] = (outside) ? 0 : g;                                                            \
      }                                                                                      \
      __asm__ volatile("" : : "r"(all));                                                     \
    } else if (steps & 1) { const T x = *b; LOOP(n) { const T g = a[i]; o[i] = (outside) ? 0 : g; } } \
    else if (steps & 2) { const T g = *a; LOOP(n) { const T x = b[i]; o[i] = (outside) ? 0 : g; } } \
    else { const T g = *a, x = *b; LOOP(n) o[i] = (outside) ? 0 : g; }                       \
  }
CLAMP(clamp_f32, float)
CLAMP(clamp_f64, double)
BETWEEN(between_f32, float, uint32_t, (x < low) | (x > high) | (x != x))
BETWEEN(between_f64, double, uint64_t, (x < low) | (x > high) | (x != x))
BETWEEN(inside_f32, float, uint32_t, (x <= low) | (x >= high))
BETWEEN(inside_f64, double, uint64_t, (x <= low) | (x >= high))
static const ck_loop L(clamp)[CK_DTYPES] = {FLOATS(clamp)};
static const ck_loop L(clamp_grad)[2][CK_DTYPES] = {{FLOATS(between)}, {FLOATS(inside)}};

// MARK: where, by the size of an element. Inputs: condition, a, b.

#define WHERE(name, T)                                                            \
  static void L(name)(ARGUMENTS) {                                                \
    T *o = o_;                                                                    \
    const uint8_t *p = a_;                                                        \
    const T *a = b_, *b = c_;                                                     \
    if (!(steps & 1)) { const bool first = *p; const T *from = first ? a : b;     \
      if (steps & (first ? 2 : 4)) { LOOP(n) o[i] = from[i]; }                    \
      else { const T x = *from; LOOP(n) o[i] = x; } }                             \
    else if ((steps & 6) == 6) { LOOP(n) { const T x = a[i], y = b[i]; o[i] = p[i] ? x : y; } }  \
    else if (steps & 2) { const T y = *b; LOOP(n) { const T x = a[i]; o[i] = p[i] ? x : y; } } \
    else if (steps & 4) { const T x = *a; LOOP(n) { const T y = b[i]; o[i] = p[i] ? x : y; } } \
    else { const T x = *a, y = *b; LOOP(n) o[i] = p[i] ? x : y; }                 \
  }
WHERE(where_8, uint8_t)
WHERE(where_16, uint16_t)
WHERE(where_32, uint32_t)
WHERE(where_64, uint64_t)
WHERE(where_128, ck_wide)
static const ck_loop L(where)[5] = {L(where_8), L(where_16), L(where_32), L(where_64), L(where_128)};
static const ck_loop L(same)[4] = {L(same_8), L(same_16), L(same_32), L(same_64)};

// MARK: casts between all dtypes but the 16-bit floats, which the driver converts from and to f32

#define CAST(f, F, t, T)                                                                   \
  static void L(cast_##f##_##t)(ARGUMENTS) {                                               \
    T *o = o_;                                                                             \
    const F *a = a_;                                                                       \
    LOOP(n) o[i] = (T)a[i];                                                                \
  }
#define TO_BOOL(f, F)                                                                      \
  static void L(cast_##f##_bool)(ARGUMENTS) {                                              \
    uint8_t *o = o_;                                                                       \
    const F *a = a_;                                                                       \
    LOOP(n) o[i] = a[i] != 0;                                                              \
  }
// `below` and `above` are exact in F: the first values outside of T's range after truncation.
#define SATURATE(f, F, t, T, low, high, below, above)                                      \
  static void L(cast_##f##_##t)(ARGUMENTS) {                                               \
    T *o = o_;                                                                             \
    const F *a = a_;                                                                       \
    LOOP(n) {                                                                              \
      const F x = a[i], safe = x > (F)(below) && x < (F)(above) ? x : 0;                   \
      const T y = (T)safe;                                                                 \
      o[i] = x >= (F)(above) ? (T)(high) : x <= (F)(below) ? (T)(low) : y;                 \
    }                                                                                      \
  }
#define FROM_INT(f, F) TO_BOOL(f, F) CAST(f, F, u8, uint8_t) CAST(f, F, i8, int8_t) CAST(f, F, i16, int16_t)   \
  CAST(f, F, i32, int32_t) CAST(f, F, i64, int64_t) CAST(f, F, u32, uint32_t) CAST(f, F, f32, float)           \
  CAST(f, F, f64, double) TO_COMPLEX(f, F)
#define FROM_FLOAT(f, F) TO_BOOL(f, F) CAST(f, F, f32, float) CAST(f, F, f64, double) TO_COMPLEX(f, F)  \
  SATURATE(f, F, u8, uint8_t, 0, UINT8_MAX, 0, 0x1p8)                                      \
  SATURATE(f, F, i8, int8_t, INT8_MIN, INT8_MAX, -0x1p7, 0x1p7)                            \
  SATURATE(f, F, i16, int16_t, INT16_MIN, INT16_MAX, -0x1p15, 0x1p15)                      \
  SATURATE(f, F, i32, int32_t, INT32_MIN, INT32_MAX, -0x1p31, 0x1p31)                      \
  SATURATE(f, F, u32, uint32_t, 0, UINT32_MAX, 0, 0x1p32)                                  \
  SATURATE(f, F, i64, int64_t, INT64_MIN, INT64_MAX, -0x1p63, 0x1p63)
FROM_INT(u8, uint8_t)
FROM_INT(i8, int8_t)
FROM_INT(i16, int16_t)
FROM_INT(i32, int32_t)
FROM_INT(i64, int64_t)
FROM_INT(u32, uint32_t)
FROM_FLOAT(f32, float)
FROM_FLOAT(f64, double)
#define CASTS(f) {INTS(cast_##f), NUMBERS(cast_##f), [CK_BOOL] = L(cast_##f##_bool)}
static const ck_loop L(casts)[CK_DTYPES][CK_DTYPES] = {
  [CK_BOOL] = CASTS(u8), [CK_U8] = CASTS(u8), [CK_I8] = CASTS(i8), [CK_I16] = CASTS(i16), [CK_I32] = CASTS(i32),
  [CK_I64] = CASTS(i64), [CK_U32] = CASTS(u32), [CK_F32] = CASTS(f32), [CK_F64] = CASTS(f64),
  [CK_C64] = {[CK_C128] = L(cast_c64_c128)}, [CK_C128] = {[CK_C64] = L(cast_c128_c64)},
};

// MARK: 16-bit floats

static void L(widen_bf16)(int64_t n, float *o, const uint16_t *a) { LOOP(n) o[i] = L(bf16_value)(a[i]); }
static void L(narrow_bf16)(int64_t n, uint16_t *o, const float *a) { LOOP(n) o[i] = L(bf16_bits)(a[i]); }
#if CK_LEVEL > 0 || defined(__aarch64__)
static void L(widen_f16)(int64_t n, float *o, const uint16_t *a_) {
  const _Float16 *a = (const _Float16 *)a_;
  LOOP(n) o[i] = (float)a[i];
}
static void L(narrow_f16)(int64_t n, uint16_t *o_, const float *a) {
  _Float16 *o = (_Float16 *)o_;
  LOOP(n) o[i] = (_Float16)a[i];
}
#else  // after Giesen: rounding by the float adder
static void L(widen_f16)(int64_t n, float *o, const uint16_t *a) {
  LOOP(n) {
    const uint32_t h = a[i], sign = (h & 0x8000u) << 16, u = (h & 0x7fffu) << 13, e = u & 0x0f800000u;
    const float normal = L(float_of)(u + (e == 0x0f800000u ? 0x70000000u : 0x38000000u));
    const float small = L(float_of)(u + 0x38800000u) - 6.103515625e-5f;
    o[i] = L(float_of)(L(as_bits)(e == 0 ? small : normal) | sign);
  }
}
static void L(narrow_f16)(int64_t n, uint16_t *o, const float *a) {
  LOOP(n) {
    const uint32_t u = L(as_bits)(a[i]), m = u & 0x7fffffffu;
    const uint32_t special = m > 0x7f800000u ? 0x7e00u | ((m >> 13) & 0x3ffu) : 0x7c00u;
    const uint32_t small = L(as_bits)(L(float_of)(m) + 0.5f) - 0x3f000000u;
    const uint32_t normal = (m + 0xc8000fffu + ((m >> 13) & 1u)) >> 13;
    o[i] = (uint16_t)((m >= 0x47800000u ? special : m < 0x38800000u ? small : normal) | ((u >> 16) & 0x8000u));
  }
}
#endif
#undef UNARY
#undef FLOAT_UNARY
#undef LIBM
#undef FLOOR_DIVISION
#undef PERIODIC
#undef INT_UNARY
#undef UINT_UNARY
#undef INTS
#undef INTS_COPY_UNSIGNED
#undef FLOATS
#undef COPIES
#undef BINARY
#undef NUMBER_BINARY
#undef COMPARISONS
#undef INTEGER
#undef COMPARE
#undef CLAMP
#undef BETWEEN
#undef WHERE
#undef CAST
#undef TO_BOOL
#undef SATURATE
#undef FROM_INT
#undef FROM_FLOAT
#undef CASTS
#undef NUMBERS
#undef TO_COMPLEX
#undef COMPLEX_UNARY
#undef COMPLEX_BINARY
#undef COMPLEX_LIBM
#undef COMPLEX_COMPARE
