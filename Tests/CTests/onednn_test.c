// The face over oneDNN against a naive product: plain, transposed, batched, broadcast.
#include "conednn.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  const dn_version_t v = dn_version();
  printf("oneDNN %d.%d.%d\n", v.major, v.minor, v.patch);
  if (!dn_available()) return 1;
  enum { M = 33, N = 70, K = 65, BATCH = 3 };
  static float a[BATCH * M * K], b[BATCH * K * N], c[BATCH * M * N];
  for (int i = 0; i < BATCH * M * K; i++) a[i] = (float)(i % 13) - 6;
  for (int i = 0; i < BATCH * K * N; i++) b[i] = (float)(i % 7) - 3;
  int bad = 0;
  for (int flags = 0; flags < 16; flags++) {
    const int at = flags & 1, bt = flags >> 1 & 1, batch = flags & 4 ? BATCH : 1, share = flags >> 3;
    const dn_matmul_spec spec = {M, N, K, batch, M * K, at ? 1 : K, at ? M : 1, share ? 0 : K * N, bt ? 1 : N,
                                 bt ? K : 1, M * N, N, DN_F32, flags & 1 ? 1 : 0};
    dn_matmul *h;
    int status = dn_matmul_create(&spec, &h);
    if (status) { printf("create %d: status %d\n", flags, status); bad++; continue; }
    void *scratch = malloc(dn_matmul_scratchpad(h) + 64);
    for (int run = 0; run < 2; run++) status |= dn_matmul_execute(h, a, b, c, scratch);
    for (int q = 0; q < batch; q++)
      for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
          double s = 0;
          for (int p = 0; p < K; p++)
            s += a[q * M * K + (at ? p * M + i : i * K + p)] * b[(share ? 0 : q * K * N) + (bt ? j * K + p : p * N + j)];
          if (fabs(s - c[(q * M + i) * N + j]) > 1e-3 && bad++ < 5) printf("case %d: %g, not %g\n", flags, c[(q * M + i) * N + j], s);
        }
    if (status) { printf("execute %d: status %d\n", flags, status); bad++; }
    free(scratch);
    dn_matmul_destroy(h);
  }
  puts(bad ? "FAILED" : "all passed");
  return bad != 0;
}
