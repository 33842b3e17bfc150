// The face over oneDNN against naive sums: products plain, transposed, batched and broadcast; convolutions and their
// gradients by every algorithm and in both orders of the images.
#include "conednn.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Where an element of [n, channels, height, width] lies.
static int place(int last, int c, int h, int w, int n, int i, int y, int x) {
  return last ? ((n * h + y) * w + x) * c + i : ((n * c + i) * h + y) * w + x;
}

static int convolutions(void) {
  static const struct { int n, g, c, o, h, w, kh, kw, stride, dilation, low, high; } cases[] = {
    {2, 1, 16, 16, 9, 8, 3, 3, 1, 1, 1, 1}, {2, 1, 3, 5, 7, 6, 2, 3, 2, 1, 0, 1}, {1, 2, 4, 6, 8, 8, 3, 3, 1, 2, 2, 2},
    {3, 1, 32, 16, 5, 5, 1, 1, 1, 1, 0, 0}};
  int bad = 0, ran = 0;
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    const int n = cases[k].n, g = cases[k].g, c = cases[k].c, o = cases[k].o, h = cases[k].h, w = cases[k].w;
    const int kh = cases[k].kh, kw = cases[k].kw, s = cases[k].stride, d = cases[k].dilation;
    const int oh = (h + cases[k].low + cases[k].high - d * (kh - 1) - 1) / s + 1;
    const int ow = (w + cases[k].low + cases[k].high - d * (kw - 1) - 1) / s + 1;
    const int counts[3] = {n * c * h * w, o * (c / g) * kh * kw, n * o * oh * ow};
    for (int bits = 0; bits < 36; bits++) {
      const int last = bits % 2, direction = bits / 2 % 3, algorithm = bits / 6 % 3, bias = bits / 18;
      if (bias && direction != DN_FORWARD) continue;
      dn_convolution_spec spec;
      memset(&spec, 0, sizeof spec);
      spec = (dn_convolution_spec){.direction = direction, .algorithm = algorithm, .channels_last = last, .dtype = DN_F32,
        .axes = 2, .bias = bias, .n = n, .groups = g, .channels = c, .outputs = o, .size = {h, w}, .kernel = {kh, kw},
        .out = {oh, ow}, .stride = {s, s}, .dilation = {d, d}, .low = {cases[k].low, cases[k].low},
        .high = {cases[k].high, cases[k].high}};
      dn_convolution *handle;
      if (dn_convolution_create(&spec, &handle)) {
        // Only Winograd's method may not apply.
        if (algorithm != DN_WINOGRAD && bad++ < 5) printf("convolution %zu %d: not made\n", k, bits);
        continue;
      }
      ran++;
      float *operands[3], *wanted[3], b[32];
      for (int i = 0; i < 3; i++) {
        operands[i] = malloc(sizeof(float) * (size_t)counts[i]);
        wanted[i] = calloc(sizeof(float), (size_t)counts[i]);
        for (int j = 0; j < counts[i]; j++) operands[i][j] = (float)((j * 7 + i) % 11 - 5) / 8;
      }
      for (int i = 0; i < 32; i++) b[i] = (float)i / 4;
      const int result = direction == DN_FORWARD ? 2 : direction == DN_INPUT_GRADIENT ? 0 : 1;
      for (int q = 0; q < n; q++)
        for (int j = 0; j < o; j++)
          for (int y = 0; y < oh; y++)
            for (int x = 0; x < ow; x++) {
              const int at = place(last, o, oh, ow, q, j, y, x);
              if (result == 2 && bias) wanted[2][at] += b[j];
              for (int i = 0; i < c / g; i++)
                for (int u = 0; u < kh; u++)
                  for (int v = 0; v < kw; v++) {
                    const int yy = y * s + u * d - cases[k].low, xx = x * s + v * d - cases[k].low;
                    if (yy < 0 || yy >= h || xx < 0 || xx >= w) continue;
                    const int px = place(last, c, h, w, q, j / (o / g) * (c / g) + i, yy, xx);
                    const int pw = ((j * (c / g) + i) * kh + u) * kw + v;
                    if (result == 2) wanted[2][at] += operands[0][px] * operands[1][pw];
                    if (result == 0) wanted[0][px] += operands[2][at] * operands[1][pw];
                    if (result == 1) wanted[1][pw] += operands[0][px] * operands[2][at];
                  }
            }
      void *workspace = aligned_alloc(64, dn_convolution_workspace(handle) + 64);
      int status = 0;
      for (int run = 0; run < 2; run++)
        status |= dn_convolution_execute(handle, operands[0], operands[1], bias ? b : NULL, operands[2], workspace);
      if (status && bad++ < 5) printf("convolution %zu %d: status %d\n", k, bits, status);
      for (int j = 0; j < counts[result]; j++)
        if (fabs(operands[result][j] - wanted[result][j]) > 1e-3 && bad++ < 5)
          printf("convolution %zu %d: %g, not %g\n", k, bits, operands[result][j], wanted[result][j]);
      for (int i = 0; i < 3; i++) free(operands[i]), free(wanted[i]);
      free(workspace);
      dn_convolution_destroy(handle);
    }
  }
  printf("%d convolutions\n", ran);
  return bad;
}

int main(void) {
  const dn_version_t v = dn_version();
  printf("oneDNN %d.%d.%d\n", v.major, v.minor, v.patch);
  if (!dn_available()) return 1;
  enum { M = 33, N = 70, K = 65, BATCH = 3 };
  static float a[BATCH * M * K], b[BATCH * K * N], c[BATCH * M * N];
  for (int i = 0; i < BATCH * M * K; i++) a[i] = (float)(i % 13) - 6;
  for (int i = 0; i < BATCH * K * N; i++) b[i] = (float)(i % 7) - 3;
  int bad = 0;
  static float bias[N], added[BATCH * M * N];
  for (int i = 0; i < N; i++) bias[i] = (float)(i % 5) - 2;
  for (int i = 0; i < BATCH * M * N; i++) added[i] = (float)(i % 11) / 4 - 1;
  for (int flags = 0; flags < 256; flags++) {
    const int at = flags & 1, bt = flags >> 1 & 1, batch = flags & 4 ? BATCH : 1, share = flags >> 3 & 1;
    const int biased = flags >> 4 & 1, adds = flags >> 5 & 1, function = flags >> 6;
    const dn_matmul_spec spec = {M, N, K, batch, M * K, at ? 1 : K, at ? M : 1, share ? 0 : K * N, bt ? 1 : N,
                                 bt ? K : 1, M * N, N, DN_F32, flags & 1 ? 1 : 0, biased, adds, function, 0};
    dn_matmul *h;
    int status = dn_matmul_create(&spec, &h);
    if (status) { printf("create %d: status %d\n", flags, status); bad++; continue; }
    void *scratch = malloc(dn_matmul_scratchpad(h) + 64);
    for (int run = 0; run < 2; run++) status |= dn_matmul_execute(h, a, b, biased ? bias : NULL, adds ? added : NULL, c, scratch);
    for (int q = 0; q < batch; q++)
      for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
          double s = (biased ? bias[j] : 0) + (adds ? added[(q * M + i) * N + j] : 0);
          for (int p = 0; p < K; p++)
            s += a[q * M * K + (at ? p * M + i : i * K + p)] * b[(share ? 0 : q * K * N) + (bt ? j * K + p : p * N + j)];
          if (function == DN_GELU) s *= 0.5 * (1 + erf(s / sqrt(2)));
          if (function == DN_GELU_TANH) s *= 0.5 * (1 + tanh(sqrt(2 / M_PI) * (s + 0.044715 * s * s * s)));
          if (function == DN_SILU) s /= 1 + exp(-s);
          if (fabs(s - c[(q * M + i) * N + j]) > 1e-3 && bad++ < 5) printf("case %d: %g, not %g\n", flags, c[(q * M + i) * N + j], s);
        }
    if (status) { printf("execute %d: status %d\n", flags, status); bad++; }
    free(scratch);
    dn_matmul_destroy(h);
  }
  bad += convolutions();
  dn_thread_end();
  puts(bad ? "FAILED" : "all passed");
  return bad != 0;
}
