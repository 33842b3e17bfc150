// Products of pairs of bfloat16: gradients of a convolution's weights against sums in double, and equal bits for any number of
// threads. On processors without the instruction there is nothing to test.
#include "check.h"

extern void omp_set_num_threads(int threads);

typedef struct { ck_window w; int64_t images, outputs; } example;

static uint16_t *numbers(int64_t count, double *wide) {
  uint16_t *p = malloc(sizeof *p * (size_t)(count + 1));
  for (int64_t i = 0; i < count; i++) {
    const float f = (float)(uniform() * 2 - 1);
    uint32_t bits;
    memcpy(&bits, &f, 4);
    p[i] = (uint16_t)(bits >> 16);
    wide[i] = get(CK_BF16, p, i);
  }
  return p;
}

static void agrees(const example *e) {
  const ck_window *w = &e->w;
  const int64_t size = w->size[0] * w->size[1] * w->size[2], out = w->out[0] * w->out[1] * w->out[2];
  const int64_t places = w->kernel[0] * w->kernel[1] * w->kernel[2], count = e->outputs * w->channels * places;
  double *x = malloc(sizeof *x * (size_t)(e->images * size * w->channels));
  double *y = malloc(sizeof *y * (size_t)(e->images * out * e->outputs)), *want = calloc(sizeof *want, (size_t)count);
  uint16_t *bx = numbers(e->images * size * w->channels, x), *by = numbers(e->images * out * e->outputs, y);
  for (int64_t image = 0; image < e->images; image++)
    for (int64_t p = 0; p < out; p++)
      for (int64_t k = 0; k < places; k++) {
        const int64_t at[3] = {p / w->out[2] / w->out[1], p / w->out[2] % w->out[1], p % w->out[2]};
        const int64_t tap[3] = {k / w->kernel[2] / w->kernel[1], k / w->kernel[2] % w->kernel[1], k % w->kernel[2]};
        int64_t index = 0;
        bool inside = true;
        for (int d = 0; d < 3; d++) {
          const int64_t i = at[d] * w->stride[d] + tap[d] * w->dilation[d] - w->low[d];
          inside = inside && i >= 0 && i < w->size[d];
          index = index * w->size[d] + i;
        }
        for (int64_t o = 0; inside && o < e->outputs; o++)
          for (int64_t c = 0; c < w->channels; c++)
            want[(o * w->channels + c) * places + k] +=
                x[(image * size + index) * w->channels + c] * y[(image * out + p) * e->outputs + o];
      }
  uint16_t *first = NULL;
  for (int threads = 1; threads <= 3; threads++) {
    omp_set_num_threads(threads);
    const size_t bytes = ck_pair_gradient_bytes(w, e->images, e->outputs);
    char *work = aligned_alloc(64, (bytes + 64 + 63) / 64 * 64);
    memset(work, 0xff, bytes + 64);
    uint16_t *dw = malloc(sizeof *dw * (size_t)count);
    ck_pair_gradient(w, e->images, e->outputs, dw, bx, by, work);
    for (int i = 0; i < 64; i++) CHECK(work[bytes + (size_t)i] == (char)0xff, "work memory exceeded");
    for (int64_t i = 0; i < count; i++) {
      const double got = get(CK_BF16, dw, i), bound = 1e-4 * sqrt((double)(e->images * out)) + fabs(want[i]) / 250;
      CHECK(fabs(got - want[i]) <= bound, "%ld: %g, not %g", (long)i, got, want[i]);
    }
    if (first) CHECK(!memcmp(first, dw, sizeof *dw * (size_t)count), "other bits with %d threads", threads);
    else first = dw, dw = NULL;
    free(dw);
    free(work);
  }
  free(first);
  free(bx);
  free(by);
  free(x);
  free(y);
  free(want);
}

int main(void) {
  const example examples[] = {
    {{16, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0}}, 1, 6},
    {{64, {1, 8, 8}, {1, 3, 3}, {1, 8, 8}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0}}, 3, 32},
    {{48, {1, 9, 7}, {1, 3, 3}, {1, 5, 4}, {1, 2, 2}, {1, 1, 1}, {0, 1, 1}, {0}}, 5, 37},
    {{100, {1, 11, 13}, {1, 5, 2}, {1, 3, 12}, {1, 2, 1}, {1, 2, 1}, {0, 2, 0}, {0}}, 3, 7},
    {{65, {3, 4, 5}, {2, 3, 1}, {2, 4, 3}, {1, 1, 2}, {1, 1, 1}, {0, 1, 0}, {0}}, 1, 130},
    {{60, {1, 33, 35}, {1, 2, 2}, {1, 33, 35}, {1, 1, 1}, {1, 1, 1}, {0, 0, 1}, {0}}, 2, 13},
    {{124, {1, 1, 1500}, {1, 1, 2}, {1, 1, 1499}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0}}, 1, 64},
    {{17, {1, 1, 600}, {1, 1, 3}, {1, 1, 600}, {1, 1, 1}, {1, 1, 1}, {0, 0, 1}, {0}}, 1, 9},
  };
  for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
    if (ck_pair_gradient_applies(&examples[i].w, examples[i].images, examples[i].outputs)) agrees(&examples[i]);
  return report("pairs");
}
