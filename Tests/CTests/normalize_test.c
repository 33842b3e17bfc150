// A rectifier in the kernels of normalisation against one behind them, bit by bit.
#include "check.h"

typedef struct { int64_t n, c, s, groups; } shape;
static const shape shapes[] = {
  // Channels side by side: below and above a block of columns, and more rows than a piece of them has.
  {5, 3, 1, 0}, {200, 300, 1, 0}, {4000, 20, 1, 0}, {37, 67, 1, 0},
  // Planes of a channel over the batch.
  {3, 4, 70, 0}, {2, 3, 5000, 0}, {2, 2, 1, 0}, {4, 5, 3, 0},
  // Groups of channels, and single channels, of each example.
  {3, 6, 35, 2}, {2, 4, 1100, 4}, {3, 4, 7, 1}, {2, 2, 5000, 1},
};

static char X[ROOM * 8], G[ROOM * 8], Y[ROOM * 8], DX[ROOM * 8], WANT[ROOM * 8], F[ROOM * 8];
enum { STATISTICS = 4096 };
static double mean[STATISTICS], variance[STATISTICS], w[STATISTICS], v[STATISTICS], dw[2][STATISTICS], db[2][STATISTICS];

// Bit by bit, but for what is not a number.
static bool same(int t, int64_t n, const void *a, const void *b) {
  const size_t size = (size_t)ck_element_size(t);
  for (int64_t i = 0; i < n; i++)
    if (memcmp((const char *)a + (size_t)i * size, (const char *)b + (size_t)i * size, size) != 0 &&
        !(isnan(get(t, a, i)) && isnan(get(t, b, i)))) return false;
  return true;
}

// `scale`: of the weights. Of the smallest numbers of 16 bits many results are rounded to 0.
static void rectified(int t, const shape *p, int affine, double scale) {
  const int64_t count = p->n * p->c * p->s;
  for (int64_t i = 0; i < count; i++) {
    set(t, X, i, uniform() * 4 - 1.5);
    set(t, G, i, uniform() - 0.5);
  }
  set(t, X, count / 2, NAN);
  for (int64_t i = 0; i < p->c; i++) {
    set(t, w, i, i % 5 ? (uniform() * 2 - 0.5) * scale : 0);  // with no bias, results are 0 themselves
    set(t, v, i, i % 3 ? (uniform() - 0.5) * scale : 0);
  }
  const void *weight = affine > 0 ? w : NULL, *bias = affine > 1 ? v : NULL;
  CHECK(ck_normalize(t, p->n, p->c, p->s, p->groups, 1e-3, true, false, WANT, mean, variance, NULL, X, weight, bias) == 0,
        "status");
  CHECK(ck_normalize(t, p->n, p->c, p->s, p->groups, 1e-3, true, true, Y, mean, variance, F, X, weight, bias) == 0,
        "status");
  int64_t zeros = 0;
  for (int64_t i = 0; i < count; i++) {
    if (get(t, WANT, i) < 0) set(t, WANT, i, 0);
    zeros += get(t, WANT, i) == 0;
    if (get(t, WANT, i) <= 0) set(t, G, i, 0);  // for the gradient behind
  }
  CHECK(same(t, count, Y, WANT), "dtype %d, %ld channels of %ld", t, (long)p->c, (long)p->s);
  CHECK(count < 100 || (zeros > count / 20 && zeros < count), "%ld of %ld are rectified", (long)zeros, (long)count);
  CHECK(ck_normalize_grad(t, p->n, p->c, p->s, p->groups, 1e-3, true, WANT, dw[0], db[0], G, X, mean, variance, weight,
                          NULL) == 0, "status");
  // What does not pass may be anything.
  for (int64_t i = 0; i < count; i++) if (get(t, Y, i) <= 0) set(t, G, i, i % 2 ? NAN : 7);
  CHECK(ck_normalize_grad(t, p->n, p->c, p->s, p->groups, 1e-3, true, DX, dw[1], db[1], G, X, mean, variance, weight,
                          F) == 0, "status");
  CHECK(same(t, count, DX, WANT), "dtype %d, %ld channels of %ld", t, (long)p->c, (long)p->s);
  CHECK(same(t, p->c, dw[0], dw[1]) && same(t, p->c, db[0], db[1]),
        "dtype %d, %ld channels of %ld", t, (long)p->c, (long)p->s);
}

int main(void) {
  for (int t = CK_F16; t <= CK_F64; t++)
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
      for (int affine = 0; affine < 3; affine++) {
        rectified(t, &shapes[i], affine, 1);
        if (affine) rectified(t, &shapes[i], affine, t == CK_F16 ? 0x1p-24 : t == CK_F64 ? 0x1p-1060 : 0x1p-133);
      }
  CHECK(ck_normalize(CK_F32, 2, 4, 1, 2, 1e-3, true, true, Y, mean, variance, NULL, X, NULL, NULL) == CK_UNSUPPORTED,
        "rows");
  return report("normalize");
}
