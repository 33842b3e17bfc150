// The kernels against naive loops in double.
#include "CKernels.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;
#define CHECK(condition, ...) do { if (!(condition)) { if (failures++ < 40) { printf("%s:%d: ", __func__, __LINE__); \
  printf(__VA_ARGS__); printf("\n"); } } } while (0)

static uint64_t state = 1;
static double uniform(void) { state = state * 6364136223846793005u + 1442695040888963407u; return (double)(state >> 11) * 0x1p-53; }
static const int64_t sizes[] = {0, 1, 15, 16, 17, 63, 64, 65, 1000, 40001};

static double ulp(double got, double want) {
  if (isnan(got) || isnan(want)) return isnan(got) && isnan(want) ? 0 : 1e30;
  if (isinf((float)want) || isinf(got)) return (float)want == (float)got ? 0 : 1e30;
  double scale = fabs(want) < 0x1p-126 ? 0x1p-149 : ldexp(1, ilogb(want) - 23);
  return fabs(got - want) / scale;
}

// A value of any dtype as a double, and back.
static double get(int t, const void *p, int64_t i) {
  float f;
  ck_nd nd = {0, {0}, {{0}}};
  switch (t) {
    case CK_BOOL: case CK_U8: return ((const uint8_t *)p)[i];
    case CK_I8: return ((const int8_t *)p)[i];
    case CK_I16: return ((const int16_t *)p)[i];
    case CK_I32: return ((const int32_t *)p)[i];
    case CK_I64: return (double)((const int64_t *)p)[i];
    case CK_U32: return ((const uint32_t *)p)[i];
    case CK_F32: return ((const float *)p)[i];
    case CK_F64: return ((const double *)p)[i];
    default: ck_cast(t, CK_F32, &nd, &f, (const char *)p + 2 * i); return f;
  }
}
static void set(int t, void *p, int64_t i, double x) {
  ck_nd nd = {0, {0}, {{0}}};
  ck_cast(CK_F64, t, &nd, (char *)p + i * ck_element_size(t), &x);
}
static double half_error(int t) { return t == CK_F16 ? 0x1p-10 : t == CK_BF16 ? 0x1p-7 : t == CK_F32 ? 1e-5 : 1e-12; }
static int near(int t, double got, double want) {
  if (isnan(want)) return isnan(got);
  if (got == want) return 1;
  return t >= CK_F16 && fabs(got - want) <= half_error(t) * (fabs(want) + 0.1);
}

static double ln(double x) { return log(x); }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static void unary_ulp(void) {
  const struct { int op; double (*f)(double); double bound; const char *name; } ops[] = {
    {CK_EXP, exp, 1.1, "exp"}, {CK_LOG, ln, 2, "log"}, {CK_TANH, tanh, 2, "tanh"}, {CK_ERF, erf, 1.1, "erf"},
    {CK_SIGMOID, sigmoid, 3, "sigmoid"}, {CK_SIN, sin, 2, "sin"}, {CK_COS, cos, 2, "cos"}, {CK_SQRT, sqrt, 1, "sqrt"},
    {CK_EXPM1, expm1, 3, "expm1"}, {CK_LOG1P, log1p, 3, "log1p"}, {CK_EXP2, exp2, 1, "exp2"}, {CK_LOG2, log2, 1, "log2"},
    {CK_LOG10, log10, 2, "log10"}, {CK_TAN, tan, 2, "tan"}, {CK_ASIN, asin, 2, "asin"}, {CK_ACOS, acos, 2, "acos"},
    {CK_ATAN, atan, 2, "atan"}, {CK_SINH, sinh, 2, "sinh"}, {CK_COSH, cosh, 2, "cosh"}, {CK_ASINH, asinh, 3, "asinh"},
    {CK_ACOSH, acosh, 3, "acosh"}, {CK_ATANH, atanh, 3, "atanh"}};
  enum { N = 1 << 16 };
  static float a[N], o[N];
  for (unsigned k = 0; k < sizeof ops / sizeof *ops; k++) {
    double worst = 0, at = 0;
    for (uint64_t first = 0; first < 0x100000000u; first += (uint64_t)N * 997) {
      for (int i = 0; i < N; i++) { uint32_t u = (uint32_t)(first + (uint64_t)i * 997); memcpy(a + i, &u, 4); }
      ck_unary_flat(ops[k].op, CK_F32, N, o, a);
      for (int i = 0; i < N; i++) {
        double e = ulp(o[i], ops[k].f(a[i]));
        if (e > worst) { worst = e; at = a[i]; }
      }
    }
    printf("  %s %.2f ulp\n", ops[k].name, worst);
    CHECK(worst <= ops[k].bound, "%s: %g ulp at %g", ops[k].name, worst, at);
  }
  const int odd[] = {CK_TANH, CK_EXPM1, CK_LOG1P, CK_ERF, CK_TAN, CK_ASIN, CK_ATAN, CK_SINH, CK_ASINH, CK_ATANH, CK_TRUNC};
  for (unsigned k = 0; k < sizeof odd / sizeof *odd; k++) {
    float z = -0.0f, r;
    ck_unary_flat(odd[k], CK_F32, 1, &r, &z);
    CHECK(r == 0 && signbit(r), "op %d at -0", odd[k]);
  }
}

static double binary(int op, double x, double y) {
  switch (op) {
    case CK_ADD: return x + y;
    case CK_SUB: return x - y;
    case CK_MUL: return x * y;
    case CK_DIV: return x / y;
    case CK_MAXIMUM: return isnan(x) || x > y ? x : y;
    case CK_MINIMUM: return isnan(x) || x < y ? x : y;
    case CK_ATAN2: return atan2(x, y);
    case CK_REMAINDER: return x - y * floor(x / y);
    case CK_FLOOR_DIV: return floor(x / y);
    default: return pow(x, y);
  }
}

static void elementwise(void) {
  for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int t = 1; t <= CK_F64; t++)
      for (int steps = 0; steps < 4; steps++) {
        const int64_t n = sizes[s];
        const size_t e = (size_t)ck_element_size(t);
        char *a = malloc(e * (size_t)n + 8), *b = malloc(e * (size_t)n + 8), *o = malloc(e * (size_t)n + 8);
        for (int64_t i = 0; i < n || i == 0; i++) { set(t, a, i, floor(uniform() * 6) + 1); set(t, b, i, 1 + floor(uniform() * 3) / (t >= CK_F16 ? 2 : 1)); }
        for (int op = 0; op < CK_BINARY_OPS; op++) {
          if (op == CK_ATAN2 && t < CK_F16) continue;
          CHECK(ck_binary_flat(op, t, n, o, a, steps & 1, b, steps >> 1) == CK_OK, "op %d dtype %d", op, t);
          for (int64_t i = 0; i < n; i++) {
            double x = get(t, a, steps & 1 ? i : 0), y = get(t, b, steps >> 1 ? i : 0), w = binary(op, x, y), g = get(t, o, i);
            if (op == CK_SUB && t < CK_F16) { if (x < y && (t == CK_U8 || t == CK_U32)) continue; }
            if (op == CK_DIV && t < CK_F16) w = trunc(w);
            if (t < CK_I16 && w > 127) continue;
            CHECK(near(t, g, w), "op %d dtype %d n %ld steps %d: %g %g -> %g, not %g", op, t, (long)n, steps, x, y, g, w);
          }
        }
        bool *c = malloc((size_t)n + 8);
        for (int kind = 0; kind < 6; kind++) {
          ck_compare_flat(kind, t, n, c, a, steps & 1, b, steps >> 1);
          for (int64_t i = 0; i < n; i++) {
            double x = get(t, a, steps & 1 ? i : 0), y = get(t, b, steps >> 1 ? i : 0);
            bool w = kind == CK_EQ ? x == y : kind == CK_NE ? x != y : kind == CK_LT ? x < y : kind == CK_LE ? x <= y : kind == CK_GT ? x > y : x >= y;
            CHECK(c[i] == w, "compare %d dtype %d", kind, t);
          }
        }
        free(a); free(b); free(o); free(c);
      }
  int32_t m = INT32_MIN, one = -1, zero = 0, r;
  ck_binary_flat(CK_DIV, CK_I32, 1, &r, &m, 1, &one, 1); CHECK(r == INT32_MIN, "min / -1");
  ck_binary_flat(CK_DIV, CK_I32, 1, &r, &m, 1, &zero, 1); CHECK(r == 0, "x / 0");
}

static int64_t offset(const ck_nd *nd, int p, int64_t i) {
  int64_t o = 0;
  for (int d = nd->rank - 1; d >= 0; d--) { o += i % nd->shape[d] * nd->strides[p][d]; i /= nd->shape[d]; }
  return o;
}
static void random_strides(ck_nd *nd, int p, int broadcasts) {  // a permuted, padded layout, with broadcasts
  int order[8], r = nd->rank;
  for (int i = 0; i < r; i++) order[i] = i;
  for (int i = r - 1; i > 0; i--) { int k = (int)(uniform() * (i + 1)), x = order[i]; order[i] = order[k]; order[k] = x; }
  int64_t stride = uniform() < 0.7 ? 1 : 2;
  for (int i = 0; i < r; i++) {
    if (broadcasts && uniform() < 0.25) { nd->strides[p][order[i]] = 0; continue; }
    nd->strides[p][order[i]] = stride;
    stride *= nd->shape[order[i]] + (uniform() < 0.3);
  }
}
enum { ROOM = 400000 };
static char A[ROOM * 8], B[ROOM * 8], O[ROOM * 8], P[ROOM];

static void strided(void) {
  for (int trial = 0; trial < 3000; trial++) {
    ck_nd nd = {.rank = (int)(uniform() * 5)};
    int64_t total = 1;
    const int t = 1 + (int)(uniform() * 10), big = trial % 50 == 0;
    for (int d = 0; d < nd.rank; d++) total *= nd.shape[d] = big && d < 3 ? 34 : (int64_t)(uniform() * 9) + (trial % 40 != 0);
    for (int p = 0; p < 4; p++) random_strides(&nd, p, p > 0);
    if (total > 60000) continue;
    for (int i = 0; i < ROOM / (big ? 1 : 40); i++) P[i] = uniform() < 0.5;
    for (int i = 0; i < ROOM / (big ? 1 : 40); i++) { set(t, A, i, floor(uniform() * 9)); set(t, B, i, floor(uniform() * 9)); }
#define EACH(call, want) { CHECK((call) == CK_OK, "status"); for (int64_t i = 0; i < total; i++) { \
      const int64_t o = offset(&nd, 0, i), x = offset(&nd, 1, i), y = offset(&nd, 2, i), z = offset(&nd, 3, i); (void)x; (void)y; (void)z; \
      const double g = get(to, O, o), w = (want); CHECK(near(to, g, w), #call " dtype %d to %d rank %d: %g, not %g", t, to, nd.rank, g, w); if (failures > 40) return; } }
    int to = t;
    EACH(ck_binary(CK_ADD, t, &nd, O, A, B), get(t, A, x) + get(t, B, y))
    EACH(ck_unary(CK_SQUARE, t, &nd, O, A), get(t, A, x) * get(t, A, x))
    EACH(ck_copy(t, &nd, O, A), get(t, A, x))
    ck_nd w = nd;
    EACH(ck_where(t, &w, O, (bool *)P, A, B), P[x] ? get(t, A, y) : get(t, B, z))
    to = (int)(uniform() * CK_C64);
    EACH(ck_cast(t, to, &nd, O, A), to == CK_BOOL ? get(t, A, x) != 0 : get(t, A, x))
    to = CK_BOOL;
    EACH(ck_compare(CK_LT, t, &nd, (bool *)O, A, B), get(t, A, x) < get(t, B, y))
    // reductions: the first dimensions are kept, the others reduced
    ck_reduce_nd r = {.kept = (int)(uniform() * (nd.rank + 1))};
    r.reduced = nd.rank - r.kept;
    int64_t kept = 1, reduced = 1;
    for (int d = 0; d < r.kept; d++) { kept *= r.kept_shape[d] = nd.shape[d]; r.kept_strides[d] = nd.strides[1][d]; }
    for (int d = 0; d < r.reduced; d++) { reduced *= r.reduced_shape[d] = nd.shape[r.kept + d]; r.reduced_strides[d] = nd.strides[1][r.kept + d]; }
    for (int kind = CK_RED_SUM; kind <= CK_RED_MIN; kind++) {
      if ((kind >= CK_RED_MAX && reduced == 0) || (kind == CK_RED_MEAN && t < CK_F16)) continue;
      to = ck_reduce_dtype(kind, t);
      CHECK(ck_reduce(kind, t, &r, O, A) == CK_OK, "reduce %d dtype %d", kind, t);
      for (int64_t k = 0; k < kept; k++) {
        double v = kind == CK_RED_MAX ? -INFINITY : kind == CK_RED_MIN ? INFINITY : 0;
        for (int64_t i = 0; i < reduced; i++) {
          const double x = get(t, A, offset(&nd, 1, k * reduced + i));
          v = kind == CK_RED_MAX ? fmax(v, x) : kind == CK_RED_MIN ? fmin(v, x) : v + x;
        }
        if (kind == CK_RED_MEAN) v /= (double)reduced;
        if (to == CK_F16 && fabs(v) > 65504) v = INFINITY;
        CHECK(near(to, get(to, O, k), v), "reduce %d dtype %d: %g, not %g", kind, t, get(to, O, k), v);
      }
    }
    if (reduced > 0) {
      CHECK(ck_argmax(t, &r, (int64_t *)O, A, trial & 1) == CK_OK, "argmax");
      for (int64_t k = 0; k < kept; k++) {
        int64_t best = 0;
        for (int64_t i = 1; i < reduced; i++) {
          double x = get(t, A, offset(&nd, 1, k * reduced + i)), y = get(t, A, offset(&nd, 1, k * reduced + best));
          if (trial & 1 ? x < y : x > y) best = i;
        }
        CHECK(((int64_t *)O)[k] == best, "argmax %ld, not %ld", (long)((int64_t *)O)[k], (long)best);
      }
    }
  }
}

static void halves(void) {
  for (uint32_t h = 0; h < 65536; h++) {
    for (int t = CK_F16; t <= CK_BF16; t++) {
      uint16_t u = (uint16_t)h, v;
      float f;
      ck_cast_flat(t, CK_F32, 1, &f, &u);
      double want = t == CK_F16 ? ldexp(((h >> 10) & 31 ? 1024 : 0) + (h & 1023), (int)((h >> 10) & 31 ? ((h >> 10) & 31) - 25 : (uint32_t)-24)) : 0;
      if (t == CK_F16 && ((h >> 10) & 31) != 31) CHECK(fabsf(f) == (float)want, "f16 %x: %g, not %g", h, f, want);
      ck_cast_flat(CK_F32, t, 1, &v, &f);
      CHECK(v == u || isnan(f), "half %d %x -> %g -> %x", t, u, f, v);
    }
  }
  const float tie[4] = {1 + 0x1p-11f, 1 + 3 * 0x1p-11f, 65520, 0x1p-25f};
  const uint16_t want[4] = {0x3c00, 0x3c02, 0x7c00, 0};
  uint16_t got[4];
  ck_cast_flat(CK_F32, CK_F16, 4, got, tie);
  for (int i = 0; i < 4; i++) CHECK(got[i] == want[i], "round %g: %x", tie[i], got[i]);
}

// Logits [3, n, inner] in A; every third label is the ignored one.
static void entropy(int t, int64_t n, int64_t inner) {
  enum { ROWS = 1024 };
  const int64_t rows = 3 * inner;
  static int64_t labels[ROWS];
  static double loss[ROWS], scale[ROWS];
  if (rows > ROWS) return;
  for (int64_t r = 0; r < rows; r++) {
    labels[r] = r % 3 == 2 ? -100 : r % n;
    if (t == CK_F64) scale[r] = 0.5;
    else ((float *)scale)[r] = 0.5f;
  }
  CHECK(ck_cross_entropy(t, 3, n, inner, CK_I64, A, labels, -100, loss).code == 0, "entropy");
  ck_cross_entropy_grad(t, 3, n, inner, CK_I64, O, A, labels, -100, scale);
  for (int64_t r = 0; r < rows; r++) {
    const int64_t at = r / inner * n * inner + r % inner;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += exp(get(t, A, at + i * inner));
    CHECK(near(t, get(t, loss, r), r % 3 == 2 ? 0 : log(sum) - get(t, A, at + labels[r] * inner)), "loss");
    for (int64_t i = 0; i < n; i++)
      CHECK(near(t, get(t, O, at + i * inner),
                 r % 3 == 2 ? 0 : (exp(get(t, A, at + i * inner)) / sum - (i == labels[r])) / 2),
            "entropy grad");
  }
  labels[1] = n;
  const ck_status bad = ck_cross_entropy(t, 3, n, inner, CK_I64, A, labels, -100, loss);
  CHECK(bad.code == CK_BAD_INDEX && bad.value == n, "bad label");
}

static void rows(void) {
  for (int t = CK_F16; t <= CK_F64; t++)
    for (unsigned s = 1; s < 9; s++)
      for (int inner = 1; inner < 100; inner = inner * 4 + 1) {
        const int64_t n = sizes[s], total = 3 * n * inner;
        if (total > ROOM / 8) continue;
        for (int64_t i = 0; i < total; i++) { set(t, A, i, uniform() * 8 - 4); set(t, B, i, uniform() - 0.5); }
        for (int log_ = 0; log_ < 2; log_++) {
          CHECK((log_ ? ck_log_softmax : ck_softmax)(t, 3, n, inner, O, A) == 0, "status");
          for (int64_t r = 0; r < 3 * inner; r++) {
            const int64_t at = r / inner * n * inner + r % inner;
            double sum = 0, dot = 0, plain = 0;
            for (int64_t i = 0; i < n; i++) sum += exp(get(t, A, at + i * inner));
            for (int64_t i = 0; i < n; i++) {
              double x = get(t, A, at + i * inner), w = log_ ? x - log(sum) : exp(x) / sum;
              CHECK(near(t, get(t, O, at + i * inner), w), "softmax %d dtype %d n %ld: %g, not %g", log_, t, (long)n, get(t, O, at + i * inner), w);
              plain += get(t, B, at + i * inner);
              dot += get(t, O, at + i * inner) * get(t, B, at + i * inner);
            }
            if (r + 1 < 3 * inner) continue;
            static char G[ROOM];
            (log_ ? ck_log_softmax_grad : ck_softmax_grad)(t, 3, n, inner, G, O, B);
            for (int64_t i = 0; i < n; i++) {
              double y = get(t, O, at + i * inner), dy = get(t, B, at + i * inner), w = log_ ? dy - exp(y) * plain : y * (dy - dot);
              CHECK(near(t, get(t, G, at + i * inner), w), "softmax grad %d dtype %d: %g, not %g", log_, t, get(t, G, at + i * inner), w);
            }
          }
        }
        if (t == CK_F32 || t == CK_F64) entropy(t, n, inner);
      }
}

static void indexing(void) {
  for (int t = 0; t <= CK_F64; t++)
    for (int inner = 1; inner < 200; inner = inner * 5 + 1) {
      const int64_t outer = 3, axis = 7, count = 11;
      int64_t idx[20000], k[11];
      for (int64_t i = 0; i < outer * count * inner; i++) idx[i] = (int64_t)(uniform() * 7);
      for (int i = 0; i < count; i++) k[i] = (int64_t)(uniform() * 7);
      for (int64_t i = 0; i < outer * axis * inner; i++) set(t, A, i, floor(uniform() * 2));
      for (int64_t i = 0; i < outer * count * inner; i++) set(t, B, i, floor(uniform() * 4));
      CHECK(ck_gather(t, outer, axis, inner, count, O, A, CK_I64, idx).code == 0, "gather");
      for (int64_t i = 0; i < outer * count * inner; i++)
        CHECK(get(t, O, i) == get(t, A, (i / (count * inner) * axis + idx[i]) * inner + i % inner), "gather");
      CHECK(ck_take(t, outer, axis, inner, count, O, A, CK_I64, k).code == 0, "take");
      for (int64_t i = 0; i < outer * count * inner; i++)
        CHECK(get(t, O, i) == get(t, A, (i / (count * inner) * axis + k[i / inner % count]) * inner + i % inner), "take");
      for (int take = 0; take < 2; take++) {
        static double want[20000];
        for (int64_t i = 0; i < outer * axis * inner; i++) want[i] = get(t, A, i);
        for (int64_t i = 0; i < outer * count * inner; i++)
          want[(i / (count * inner) * axis + (take ? k[i / inner % count] : idx[i])) * inner + i % inner] += get(t, B, i);
        memcpy(O, A, sizeof A / 8);
        CHECK((take ? ck_take_add(t, outer, axis, inner, count, O, CK_I64, k, B) : ck_scatter_add(t, outer, axis, inner, count, O, CK_I64, idx, B)).code == 0, "add");
        for (int64_t i = 0; i < outer * axis * inner; i++)
          CHECK(get(t, O, i) == (t == CK_BOOL ? want[i] != 0 : want[i]), "add %d dtype %d: %g, not %g", take, t, get(t, O, i), want[i]);
      }
      k[5] = 7;
      CHECK(ck_take(t, outer, axis, inner, count, O, A, CK_I64, k).code == CK_BAD_INDEX, "bad");
    }
}

static void randoms(void) {
  int64_t zero[3] = {0, 0, 0}, ones[3] = {-1, -1, -1};
  uint32_t w[5];
  ck_random_bits(zero, 4, w);
  CHECK(w[0] == 0x6627e8d5 && w[1] == 0xe169c58d && w[2] == 0xbc57ac4c && w[3] == 0x9b00dbd8, "philox %x", w[0]);
  (void)ones;
  enum { N = 100001 };
  static float f[N];
  static double d[N];
  static uint32_t bits[2 * N];
  int64_t key[3] = {42, 3, 9};
  ck_random_bits(key, 2 * N, bits);
  ck_random_uniform_f32(key, N, f);
  for (int i = 0; i < N; i++) CHECK(f[i] == fminf((float)bits[i] * 0x1p-32f, 1 - 0x1p-24f), "uniform");
  ck_random_normal_f32(key, N, f);
  double sum = 0, square = 0;
  for (int i = 0; i < N; i++) {
    double u = fminf((float)bits[2 * i] * 0x1p-32f, 1 - 0x1p-24f), v = fminf((float)bits[2 * i + 1] * 0x1p-32f, 1 - 0x1p-24f);
    CHECK(fabs(f[i] - sqrt(-2 * log((float)(1 - u))) * cos(6.283185307179586 * v)) < 2e-6, "normal %d: %g", i, f[i]);
    sum += f[i]; square += f[i] * f[i];
  }
  CHECK(fabs(sum / N) < 0.02 && fabs(square / N - 1) < 0.02, "moments");
  ck_random_uniform_f64(key, N, d);
  for (int i = 0; i < N; i++) CHECK(d[i] == bits[2 * i] * 0x1p-32 + bits[2 * i + 1] * 0x1p-64, "uniform f64");
  ck_random_normal_f64(key, N, d);
}

static void matrices(void) {
  static const int64_t dims[][3] = {{1, 1, 1}, {8, 8, 8}, {7, 13, 5}, {1, 256, 256}, {16, 64, 16}, {65, 67, 33}, {13, 129, 70}, {6, 15, 300}, {3, 5, 0}};
  for (unsigned q = 0; q < sizeof dims / sizeof *dims; q++)
    for (int t = 1; t <= CK_F64; t++)
      for (int flags = 0; flags < 4; flags++) {
        const int64_t m = dims[q][0], n = dims[q][1], k = dims[q][2], at = flags & 1, bt = flags >> 1;
        const int64_t lda = (at ? m : k) + 2, ldb = (bt ? k : n) + 1, ldc = n + 3;
        for (int64_t i = 0; i < lda * (at ? k : m); i++) set(t, A, i, floor(uniform() * 3));
        for (int64_t i = 0; i < ldb * (bt ? n : k); i++) set(t, B, i, floor(uniform() * 3));
        for (int small = 0; small <= (t == CK_F32); small++) {
          memset(O, 7, sizeof O / 8);
          if (small) ck_matmul_small_f32(m, n, k, (float *)A, lda, at, (float *)B, ldb, bt, (float *)O, ldc);
          else CHECK(ck_matmul_generic(t, m, n, k, A, at ? 1 : lda, at ? lda : 1, B, bt ? 1 : ldb, bt ? ldb : 1, O, ldc) == 0, "status");
          for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < ldc; j++) {
              char guard[8];
              memset(guard, 7, 8);
              double s = 0;
              if (j >= n) { CHECK(!memcmp(guard, O + (i * ldc + j) * ck_element_size(t), (size_t)ck_element_size(t)), "written beyond"); continue; }
              for (int64_t p = 0; p < k; p++) s += get(t, A, at ? p * lda + i : i * lda + p) * get(t, B, bt ? j * ldb + p : p * ldb + j);
              if (t <= CK_I8 && s > 127) continue;
              CHECK(near(t, get(t, O, i * ldc + j), s), "small %d dtype %d %ldx%ldx%ld: %g, not %g", small, t, (long)m, (long)n, (long)k, get(t, O, i * ldc + j), s);
            }
        }
      }
}

static void others(void) {
  for (int t = 1; t <= CK_F64; t++)
    for (int largest = 0; largest < 2; largest++) {
      for (int i = 0; i < 300; i++) set(t, A, i, floor(uniform() * 20));
      if (t >= CK_F16) set(t, A, 150, NAN);
      int64_t at[30];
      CHECK(ck_topk(t, 3, 100, 10, largest, O, at, A) == 0, "topk");
      for (int r = 0; r < 3; r++)
        for (int i = 0; i < 10; i++) {
          int before = 0;
          const double x = get(t, A, r * 100 + at[r * 10 + i]);
          for (int j = 0; j < 100; j++) {
            const double y = get(t, A, r * 100 + j);
            if (isnan(x) || isnan(y)) { before += isnan(x) == isnan(y) ? j < at[r * 10 + i] : isnan(y) == largest; continue; }
            before += y == x ? j < at[r * 10 + i] : largest ? y > x : y < x;
          }
          CHECK(before == i, "topk place %d is %d", i, before);
        }
    }
  for (int t = CK_F32; t <= CK_F64; t++)
    for (int decoupled = 0; decoupled < 2; decoupled++) {
      const int n = 1003;
      static char M[8100], V[8100];
      for (int i = 0; i < n; i++) { set(t, A, i, uniform()); set(t, B, i, uniform() - 0.5); set(t, M, i, uniform()); set(t, V, i, uniform()); }
      ck_adam(t, n, O, O + 9000, O + 18000, NULL, A, B, M, V, NULL, 0.01, 0.9, 0.999, 1e-8, 0.1, decoupled, 0.19, 0.002);
      for (int i = 0; i < n; i++) {
        double p = get(t, A, i), g = get(t, B, i), m = get(t, M, i), v = get(t, V, i);
        if (decoupled) p -= 0.01 * 0.1 * p; else g += 0.1 * p;
        m = 0.9 * m + 0.1 * g; v = 0.999 * v + 0.001 * g * g;
        p -= 0.01 / 0.19 * m / (sqrt(v) / sqrt(0.002) + 1e-8);
        CHECK(near(t, get(t, O, i), p) && near(t, get(t, O + 9000, i), m) && near(t, get(t, O + 18000, i), v), "adam %g, not %g", get(t, O, i), p);
      }
    }
}

// Whole rows in order, by comparison of all pairs: numbers with repetitions, both zeros, infinities and NaN.
static void sorting(void) {
  enum { N = 700 };
  static int64_t at[2 * N];
  for (int t = 1; t <= CK_F64; t++)
    for (int largest = 0; largest < 2; largest++) {
      for (int i = 0; i < 2 * N; i++) set(t, A, i, i % 3 ? floor(uniform() * 40) - (t == CK_U8 || t == CK_U32 ? 0 : 20) : uniform() * 1e4);
      if (t >= CK_F16)
        for (int i = 0; i < 2 * N; i += 50) {
          const double odd[] = {NAN, -NAN, INFINITY, -INFINITY, 0, -0.0, 1e-7, -1e-7};
          set(t, A, i, odd[i / 50 % 8]);
        }
      CHECK(ck_topk(t, 2, N, N, largest, O, at, A) == 0, "status");
      for (int r = 0; r < 2; r++)
        for (int i = 0; i < N; i++) {
          const double x = get(t, A, r * N + at[r * N + i]), out = get(t, O, r * N + i);
          CHECK(out == x || (isnan(out) && isnan(x)), "dtype %d value %g at %d, not %g", t, out, i, x);
          if (i == 0) continue;
          const double y = get(t, A, r * N + at[r * N + i - 1]);  // comes before x
          const bool same = x == y || (isnan(x) && isnan(y));
          const bool less = isnan(x) ? !isnan(y) : y < x;
          CHECK(same ? at[r * N + i - 1] < at[r * N + i] : less != (bool)largest, "dtype %d place %d: %g before %g", t, i, y, x);
        }
    }
}

static void bounds(void) {
  const struct { double low, high; } all[] = {{-0.5, 0.25}, {NAN, 0.25}, {-0.5, NAN}, {1, -1}};
  const double odd[] = {-0.5, 0.25, NAN, INFINITY, -INFINITY};
  for (int t = CK_F16; t <= CK_F64; t++)
    for (int b = 0; b < 4; b++)
      for (int open = 0; open < 2; open++)
        for (int form = 0; form < 4; form++) {  // contiguous, every other element, one gradient, one x
          const int64_t n = 1001, step = form == 1 ? 2 : 1, sg = form == 2 ? 0 : step, sx = form == 3 ? 0 : step;
          const double low = all[b].low, high = all[b].high;
          for (int64_t i = 0; i < 2 * n; i++) { set(t, A, i, uniform() * 2 - 1); set(t, B, i, i % 7 ? uniform() * 4 - 2 : odd[i / 7 % 5]); }
          ck_nd nd = {1, {n}, {{step}, {sx}, {0}, {0}}};
          CHECK(ck_clamp(t, &nd, O, B, low, high) == 0, "status");
          for (int64_t i = 0; i < n; i++) {
            const double x = get(t, B, i * sx), raised = x < low ? low : x;
            CHECK(near(t, get(t, O, i * step), raised > high ? high : raised), "clamp");
          }
          nd = (ck_nd){1, {n}, {{step}, {sg}, {sx}, {0}}};
          CHECK(ck_clamp_grad(t, &nd, open, O, A, B, low, high) == 0, "status");
          for (int64_t i = 0; i < n; i++) {
            const double x = get(t, B, i * sx), g = get(t, A, i * sg);
            const bool out = open ? x <= low || x >= high : x < low || x > high || isnan(x);  // as PyTorch
            CHECK(get(t, O, i * step) == (out ? 0 : g), "clamp_grad of %g", x);
          }
        }
}

// Results that are too large for the caches take another way; begin and end lie within cache lines.
static void streams(void) {
  const int64_t n = 9000007;
  float *a = malloc((size_t)n * 4), *b = malloc((size_t)n * 4), *o = malloc((size_t)(n + 8) * 4);
  for (int64_t i = 0; i < n; i++) { a[i] = (float)uniform(); b[i] = (float)(i & 1023); }
  float *to = o + 3;
  to[-1] = to[n] = 7;
  CHECK(ck_binary_flat(CK_MUL, CK_F32, n, to, a, 1, b, 1) == 0, "status");
  int64_t wrong = 0;
  for (int64_t i = 0; i < n; i++) wrong += to[i] != a[i] * b[i];
  CHECK(wrong == 0 && to[-1] == 7 && to[n] == 7, "%ld products", (long)wrong);
  CHECK(ck_binary_flat(CK_ADD, CK_F32, n, to, a, 0, b, 1) == 0, "status");
  for (int64_t i = 0; i < n; i++) wrong += to[i] != a[0] + b[i];
  CHECK(ck_unary_flat(CK_NEG, CK_F32, n, to, a) == 0, "status");
  for (int64_t i = 0; i < n; i++) wrong += to[i] != -a[i];
  CHECK(wrong == 0 && to[-1] == 7 && to[n] == 7, "%ld elements", (long)wrong);
  CHECK(ck_binary_flat(CK_SUB, CK_F32, n, b, b, 1, a, 1) == 0, "status");  // over its input
  for (int64_t i = 0; i < n; i++) wrong += b[i] != (float)(i & 1023) - a[i];
  CHECK(wrong == 0, "%ld in place", (long)wrong);
  free(a); free(b); free(o);
}

static void batches(void) {
  static float a[12 * 20 * 9], b[20 * 9 * 7], c[12 * 20 * 12 * 7];
  for (int i = 0; i < 12 * 20 * 9; i++) a[i] = (float)floor(uniform() * 5);
  for (int i = 0; i < 20 * 9 * 7; i++) b[i] = (float)floor(uniform() * 5);
  // [12, 20] products of [12, 9] and [9, 7]; the left matrix is one for each pair, of which all rows are equal, b one for
  // each of the 20.
  const ck_nd nd = {2, {12, 20}, {{20 * 84, 84}, {20 * 9, 9}, {0, 63}, {0}}};
  ck_matmul_small_batch_f32(&nd, 12, 7, 9, a, 0, false, b, 7, false, c, 7);
  for (int p = 0; p < 12; p++)
    for (int q = 0; q < 20; q++)
      for (int i = 0; i < 12; i++)
        for (int j = 0; j < 7; j++) {
          float s = 0;
          for (int k = 0; k < 9; k++) s += a[(p * 20 + q) * 9 + k] * b[q * 63 + k * 7 + j];
          CHECK(c[((p * 20 + q) * 12 + i) * 7 + j] == s, "product %d %d", p, q);
        }
}

// Running sums along each axis, both ways: integers are exact, so every place counts.
static void sums(void) {
  const int64_t shapes[][3] = {{3, 1, 1}, {2, 7, 1}, {3, 8, 1}, {2, 1003, 1}, {2, 5, 3}, {1, 40, 600}, {2, 0, 4}};
  for (int t = 1; t <= CK_F64; t++)
    for (int s = 0; s < 7; s++)
      for (int reversed = 0; reversed < 2; reversed++) {
        const int64_t outer = shapes[s][0], n = shapes[s][1], inner = shapes[s][2];
        const int to = t < CK_F16 ? CK_I64 : t;
        for (int64_t i = 0; i < outer * n * inner; i++) set(t, A, i, (double)(i * 7 % 3 == 0));
        if (t >= CK_F16 && n * outer * inner > 3 * n * inner / 2 && n > 2) set(t, A, inner, INFINITY);
        CHECK(ck_cumsum(t, outer, n, inner, reversed, O, A) == 0, "status");
        for (int64_t o = 0; o < outer; o++)
          for (int64_t k = 0; k < inner; k++) {
            double sum = 0;
            for (int64_t i = 0; i < n; i++) {
              const int64_t at = (o * n + (reversed ? n - 1 - i : i)) * inner + k;
              sum += get(t, A, at);
              CHECK(near(to, get(to, O, at), sum), "dtype %d at %ld of %ld: %g, not %g", t, (long)i, (long)n, get(to, O, at), sum);
            }
          }
      }
}

static void pool(void) {
  static void *p[2000];
  static size_t b[2000];
  for (int round = 0; round < 50; round++)
    for (int i = 0; i < 2000; i++) {
      if (p[i]) { CHECK(*(char *)p[i] == (char)i, "overwritten"); ck_free(p[i], b[i]); }
      b[i] = i % 100 == 0 ? (size_t)(uniform() * 3e6) : (size_t)(uniform() * 5000) * (i % 7 == 0 ? 20 : 1);
      p[i] = ck_alloc(b[i]);
      CHECK(p[i] && (uintptr_t)p[i] % 64 == 0, "alignment");
      memset(p[i], i, b[i] ? b[i] : 1);
    }
  for (int i = 0; i < 2000; i++) ck_free(p[i], b[i]);
  ck_pool_empty();
  ck_pool_stats s = ck_pool_statistics();
  CHECK(s.live_bytes == 0 && s.allocations >= 100000 && s.peak_bytes > 0, "live %ld", (long)s.live_bytes);
  CHECK(ck_alloc((size_t)1 << 60) == NULL, "too large");
}

int main(void) {
  printf("level %d, %d threads\n", ck_cpu_level(), ck_max_threads());
  pool(); halves(); unary_ulp(); elementwise(); strided(); rows(); indexing(); randoms(); matrices(); others(); sorting(); bounds(); streams(); batches(); sums();
  printf(failures ? "%d FAILURES\n" : "all passed\n", failures);
  return failures != 0;
}
