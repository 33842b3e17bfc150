// Winograd's method against direct sums in double: borders, paddings, channels of one and several panels, many tiles and few;
// and equal bits for any number of threads.
#include "check.h"

typedef struct { int64_t n, c, k, h, w, low, high; } example;

static float *numbers(int64_t count) {
  float *p = malloc(sizeof(float) * (size_t)count);
  for (int64_t i = 0; i < count; i++) p[i] = (float)(uniform() * 2 - 1);
  return p;
}

// The direct sum for one direction: 0 gives y, 1 x, 2 w. `in` are x, w and y.
static double *direct(const example *e, int direction, float *const in[3], const float *bias, const int64_t counts[3]) {
  const int64_t oh = e->h + e->low + e->high - 2, ow = e->w + e->low + e->high - 2;
  double *out = calloc(sizeof(double), (size_t)counts[direction == 0 ? 2 : direction == 1 ? 0 : 1]);
  for (int64_t q = 0; q < e->n; q++)
    for (int64_t i = 0; i < oh; i++)
      for (int64_t j = 0; j < ow; j++)
        for (int64_t o = 0; o < e->k; o++) {
          const int64_t y = ((q * oh + i) * ow + j) * e->k + o;
          if (direction == 0 && bias) out[y] += bias[o];
          for (int64_t u = 0; u < 3; u++)
            for (int64_t v = 0; v < 3; v++) {
              const int64_t row = i + u - e->low, column = j + v - e->low;
              if (row < 0 || row >= e->h || column < 0 || column >= e->w) continue;
              for (int64_t c = 0; c < e->c; c++) {
                const int64_t x = ((q * e->h + row) * e->w + column) * e->c + c, w = (o * e->c + c) * 9 + u * 3 + v;
                if (direction == 0) out[y] += (double)in[0][x] * in[1][w];
                else if (direction == 1) out[x] += (double)in[2][y] * in[1][w];
                else out[w] += (double)in[0][x] * in[2][y];
              }
            }
        }
  return out;
}

static void agrees(const example *e) {
  const int64_t oh = e->h + e->low + e->high - 2, ow = e->w + e->low + e->high - 2;
  const int64_t counts[3] = {e->n * e->h * e->w * e->c, e->k * e->c * 9, e->n * oh * ow * e->k};
  float *bias = numbers(e->k);
  for (int direction = 0; direction < 3; direction++)
    for (int threads = 1; threads <= 3; threads++) {
      static float *first;
      static double *want;
      float *in[3] = {numbers(counts[0]), numbers(counts[1]), numbers(counts[2])};
      const int result = direction == 0 ? 2 : direction == 1 ? 0 : 1;
      state = 1;  // the same numbers for each number of threads
      for (int i = 0; i < 3; i++)
        for (int64_t a = 0; a < counts[i]; a++) in[i][a] = i == result ? NAN : (float)(uniform() * 2 - 1);
      const float *added = direction == 0 && e->h % 2 ? bias : NULL;
      if (threads == 1) want = direct(e, direction, in, added, counts);
      const ck_winograd sizes = {e->n, e->c, e->k, {e->h, e->w}, {oh, ow}, {e->low, e->low}, direction, threads, false, false};
      CHECK(ck_winograd_applies(&sizes), "applies");
      const size_t bytes = ck_winograd_bytes(&sizes);
      char *work = aligned_alloc(64, bytes + 64);
      memset(work, 0xff, bytes + 64);
      const ck_epilogue end = {.bias = added};
      ck_winograd_run(&sizes, in[0], in[1], &end, in[2], work);
      for (int i = 0; i < 64; i++) CHECK(work[bytes + (size_t)i] == (char)0xff, "work memory exceeded");
      double error = 0, square = 0, worst = 0;
      for (int64_t a = 0; a < counts[result]; a++) {
        const double d = in[result][a] - want[a];
        error += d * d;
        square += want[a] * want[a];
        worst = isnan(d) ? INFINITY : fmax(worst, fabs(d));
      }
      const double scale = sqrt(square / (double)counts[result]), rms = sqrt(error / (double)counts[result]) / scale;
      if (getenv("VERBOSE") && threads == 1)
        printf("%ldx%ldx%ldx%ld->%ld direction %d: rms %.2g, worst %.2g\n", (long)e->n, (long)e->c, (long)e->h, (long)e->w,
               (long)e->k, direction, rms, worst / scale);
      CHECK(rms < (direction == 2 ? 6e-6 : 3e-6) && worst < 3e-5 * scale, "%ldx%ldx%ldx%ld->%ld direction %d: rms %g, worst %g", (long)e->n,
            (long)e->c, (long)e->h, (long)e->w, (long)e->k, direction, rms, worst / scale);
      if (threads == 1) {
        first = in[result];
        in[result] = NULL;
      } else {
        CHECK(!memcmp(first, in[result], sizeof(float) * (size_t)counts[result]), "bits of %d threads", threads);
      }
      for (int i = 0; i < 3; i++) free(in[i]);
      free(work);
      if (threads == 3) {
        free(first);
        free(want);
      }
    }
  free(bias);
}

// What follows the sums, and kernels that were packed: the bits of the plain run with the same done by hand.
static void follows(const example *e) {
  const int64_t oh = e->h + e->low + e->high - 2, ow = e->w + e->low + e->high - 2, count = e->n * oh * ow * e->k;
  float *x = numbers(e->n * e->h * e->w * e->c), *w = numbers(e->k * e->c * 9), *bias = numbers(e->k);
  float *plain = numbers(count), *added = numbers(count), *y = malloc(sizeof(float) * (size_t)count);
  ck_winograd sizes = {e->n, e->c, e->k, {e->h, e->w}, {oh, ow}, {e->low, e->low}, 0, 2, false, false};
  void *work = aligned_alloc(64, ck_winograd_bytes(&sizes));
  ck_epilogue end = {.bias = bias};
  ck_winograd_run(&sizes, x, w, &end, plain, work);
  const size_t bytes = ck_winograd_packed_bytes(&sizes);
  char *packed = aligned_alloc(64, bytes + 64);
  memset(packed, 0xff, bytes + 64);
  ck_winograd_pack(&sizes, w, packed);
  for (int i = 0; i < 64; i++) CHECK(packed[bytes + (size_t)i] == (char)0xff, "packed kernels exceeded");
  sizes.packed = true;
  for (int in_place = 0; in_place < 2; in_place++) {
    memcpy(y, added, sizeof(float) * (size_t)count);
    end = (ck_epilogue){bias, in_place ? y : added, true, -0.5f, INFINITY};
    ck_winograd_run(&sizes, x, (float *)packed, &end, y, work);
    for (int64_t i = 0; i < count; i++) {
      const float want = fmaxf(plain[i] + added[i], -0.5f);
      if (y[i] != want) {
        CHECK(false, "%ldx%ld->%ld: %g is %g", (long)e->n, (long)e->c, (long)e->k, (double)want, (double)y[i]);
        break;
      }
    }
  }
  // NaN stays NaN.
  x[0] = NAN;
  end.added = NULL;
  ck_winograd_run(&sizes, x, (float *)packed, &end, y, work);
  CHECK(isnan(y[0]), "NaN");
  free(x), free(w), free(bias), free(plain), free(added), free(y), free(work), free(packed);
}

static uint16_t *halves(float *p, int64_t count) {  // of bfloat16; p becomes what they are
  uint16_t *h = malloc(sizeof(uint16_t) * (size_t)count);
  for (int64_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, p + i, sizeof bits);
    bits = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000;
    h[i] = (uint16_t)(bits >> 16);
    memcpy(p + i, &bits, sizeof bits);
  }
  return h;
}

// Images and kernels of bfloat16: the float32 result, rounded once.
static void halved(const example *e) {
  const int64_t oh = e->h + e->low + e->high - 2, ow = e->w + e->low + e->high - 2;
  const int64_t counts[3] = {e->n * e->h * e->w * e->c, e->k * e->c * 9, e->n * oh * ow * e->k};
  for (int direction = 0; direction < 3; direction++) {
    const int result = direction == 0 ? 2 : direction == 1 ? 0 : 1;
    float *wide[3];
    uint16_t *half[3];
    for (int i = 0; i < 3; i++) half[i] = halves(wide[i] = numbers(counts[i]), counts[i]);
    ck_winograd sizes = {e->n, e->c, e->k, {e->h, e->w}, {oh, ow}, {e->low, e->low}, direction, 2, false, false};
    void *work = aligned_alloc(64, ck_winograd_bytes(&sizes));
    const ck_epilogue end = {0};
    ck_winograd_run(&sizes, wide[0], wide[1], &end, wide[2], work);
    sizes.half = true;
    ck_winograd_run(&sizes, half[0], half[1], &end, half[2], work);
    uint16_t *want = halves(wide[result], counts[result]);
    CHECK(!memcmp(want, half[result], sizeof(uint16_t) * (size_t)counts[result]), "%ldx%ld->%ld direction %d in bfloat16",
          (long)e->n, (long)e->c, (long)e->k, direction);
    for (int i = 0; i < 3; i++) free(wide[i]), free(half[i]);
    free(want), free(work);
  }
}

static void refusals(void) {
  const ck_winograd good = {2, 16, 32, {7, 5}, {7, 3}, {1, 0}, 0, 1, false, false};
  CHECK(ck_winograd_applies(&good), "good");
  ck_winograd bad[7] = {good, good, good, good, good, good, good};
  bad[0].channels = 24;
  bad[1].outputs = 8;
  bad[2].examples = 0;
  bad[3].low[0] = 2;
  bad[4].out[0] = 9;   // would need a padding of 3 behind
  bad[5].out[1] = 2;   // a part of the result
  bad[6].low[1] = -1;
  for (int i = 0; i < 7; i++) CHECK(!ck_winograd_applies(&bad[i]), "bad %d", i);
}

int main(void) {
  refusals();
  static const example examples[] = {
    {1, 16, 16, 3, 3, 0, 0}, {2, 32, 48, 9, 7, 1, 1}, {1, 48, 16, 4, 5, 0, 1}, {3, 16, 80, 5, 6, 1, 0}, {1, 64, 64, 8, 8, 1, 1},
    {2, 16, 32, 33, 18, 1, 1}, {1, 112, 128, 5, 4, 1, 1}, {5, 256, 240, 4, 3, 1, 1}, {1, 16, 16, 1, 1, 1, 1},
    {1, 32, 16, 70, 90, 0, 0}, {3, 144, 512, 3, 5, 1, 1}, {3, 272, 256, 7, 5, 1, 1}, {170, 256, 240, 1, 1, 1, 1},
    {2, 16, 16, 102, 106, 1, 1}};
  for (unsigned i = 0; i < sizeof examples / sizeof *examples; i++) agrees(&examples[i]), follows(&examples[i]), halved(&examples[i]);
  return report("winograd");
}
