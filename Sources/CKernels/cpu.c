// Which body of the kernels this processor runs.
#include "internal.h"
#include <stdlib.h>

int32_t ck_level = CK_BASELINE;
bool ck_has_bf16_dots;

__attribute__((constructor)) static void choose(void) {
  int32_t best = CK_BASELINE;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
    best = CK_AVX2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw"))
      best = CK_AVX512;
  }
#endif
  const char *cap = getenv("MARTLET_CPU");
  if (cap && !strcmp(cap, "baseline")) best = CK_BASELINE;
  if (cap && !strcmp(cap, "avx2") && best > CK_AVX2) best = CK_AVX2;
  ck_level = best;
#if defined(__x86_64__)
  ck_has_bf16_dots = best == CK_AVX512 && __builtin_cpu_supports("avx512bf16");
#endif
}

int32_t ck_cpu_level(void) { return ck_level; }

int64_t ck_element_size(int32_t dtype) {
  static const int8_t sizes[CK_DTYPES] = {1, 1, 1, 2, 4, 8, 4, 2, 2, 4, 8, 8, 16};
  return ck_is_dtype(dtype) ? sizes[dtype] : 0;
}
