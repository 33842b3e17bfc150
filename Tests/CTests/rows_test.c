// Kernels of rows against naive loops in double.
#include "check.h"

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
      // As one parameter, and as three of which the second is empty.
      const int64_t size = ck_element_size(t), cut = 400 * (decoupled == 1);
      ck_update parts[3];
      for (int i = 0; i < 3; i++) {
        const int64_t at = i == 0 ? 0 : cut * size;
        parts[i] = (ck_update){i == 0 ? cut : i == 1 ? 0 : n - cut, O + at, O + 9000 + at, O + 18000 + at, NULL, A + at, B + at,
                               M + at, V + at, NULL, 0.01, 0.19, 0.002, CK_F32};
      }
      ck_adam(t, 3, parts, 0.9, 0.999, 1e-8, 0.1, decoupled);
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

int main(void) {
  rows(); others(); sorting(); sums();
  return report("rows");
}
