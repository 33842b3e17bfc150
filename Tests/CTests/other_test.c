// Random numbers, products of matrices and the pool, against naive loops in double.
#include "check.h"

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

static void finishes(void) {
  enum { ROWS = 3, COLUMNS = 37 };
  float start[ROWS * COLUMNS], bias[COLUMNS], added[ROWS * COLUMNS], c[ROWS * COLUMNS];
  for (int i = 0; i < ROWS * COLUMNS; i++) start[i] = (float)(i % 9) - 4, added[i] = (float)(i % 4) / 2 - 1;
  for (int i = 0; i < COLUMNS; i++) bias[i] = (float)(i % 3) - 1;
  start[40] = NAN;
  for (int flags = 0; flags < 8; flags++) {
    memcpy(c, start, sizeof c);
    ck_matmul_finish_f32(ROWS, COLUMNS, c, flags & 1 ? bias : NULL, flags & 2 ? added : NULL, flags & 4);
    for (int i = 0; i < ROWS * COLUMNS; i++) {
      float x = start[i] + (flags & 1 ? bias[i % COLUMNS] : 0) + (flags & 2 ? added[i] : 0);
      if (flags & 4 && x < 0) x = 0;
      CHECK(c[i] == x || (isnan(c[i]) && isnan(x)), "finish %d at %d: %g, not %g", flags, i, c[i], x);
    }
  }
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

static void scratch(void) {
  if (getenv("MARTLET_POOL")) return;
  ck_pool_empty();
  const int64_t before = ck_pool_statistics().cached_bytes;
  size_t large = (size_t)9 << 20, small = (size_t)3 << 20, tiny = 100, larger = (size_t)17 << 20;
  char *a = ck_take_scratch(&large);
  CHECK(a && large >= (size_t)9 << 20, "taken");
  memset(a, 1, large);
  ck_return_scratch(a, large);
  // What is idle serves a smaller call; a second one at the same time gets its own.
  char *b = ck_take_scratch(&small), *c = ck_take_scratch(&larger), *d = ck_take_scratch(&tiny);
  CHECK(b == a && small == large && c && c != a && d, "reused");
  memset(c, 1, larger);
  memset(d, 1, tiny);
  ck_return_scratch(b, small);
  ck_return_scratch(c, larger);
  ck_return_scratch(d, tiny);
  // The smallest that will do; where none will, the largest is replaced.
  size_t middle = (size_t)5 << 20, largest = (size_t)30 << 20;
  char *e = ck_take_scratch(&middle);
  CHECK(e == a, "the smallest that will do");
  char *f = ck_take_scratch(&largest);
  CHECK(f && largest >= (size_t)30 << 20, "the largest is replaced");
  ck_return_scratch(e, middle);
  ck_return_scratch(f, largest);
  CHECK(ck_pool_statistics().cached_bytes - before <= (int64_t)(large + largest) + (1 << 20), "two blocks are kept");
  ck_pool_empty();
  CHECK(ck_pool_statistics().cached_bytes - before <= 1 << 20, "all given back");
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
  pool(); scratch(); randoms(); matrices(); batches(); finishes();
  return report("other");
}
