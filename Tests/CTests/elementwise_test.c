// Elementwise kernels against naive loops in double.
#include "check.h"

static char P[ROOM];

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

static void strided(void) {
  for (int trial = 0; trial < 3000; trial++) {
    ck_nd nd = {.rank = (int)(uniform() * 5)};
    int64_t total = 1;
    const int t = 1 + (int)(uniform() * 10), big = trial % 50 == 0;
    for (int d = 0; d < nd.rank; d++) total *= nd.shape[d] = big && d < 3 ? 34 : (int64_t)(uniform() * 9) + (trial % 40 != 0);
    for (int p = 0; p < 4; p++) random_strides(&nd, p, p > 0);
    if (total > 60000) continue;
    for (int i = 0; i < ROOM / (big ? 1 : 20); i++) P[i] = uniform() < 0.5;
    for (int i = 0; i < ROOM / (big ? 1 : 20); i++) { set(t, A, i, floor(uniform() * 9)); set(t, B, i, floor(uniform() * 9)); }
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

int main(void) {
  halves(); unary_ulp(); elementwise(); strided(); bounds(); streams();
  return report("elementwise");
}
