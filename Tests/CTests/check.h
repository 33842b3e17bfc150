// What the tests of the kernels share: numbers of any dtype, and how they are compared.
#ifndef CHECK_H
#define CHECK_H
#include "CKernels.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;
#define CHECK(condition, ...) do { if (!(condition)) { if (failures++ < 40) { printf("%s:%d: ", __func__, __LINE__); \
  printf(__VA_ARGS__); printf("\n"); } } } while (0)

static uint64_t state = 1;
static inline double uniform(void) { state = state * 6364136223846793005u + 1442695040888963407u; return (double)(state >> 11) * 0x1p-53; }
static const int64_t sizes[] = {0, 1, 15, 16, 17, 63, 64, 65, 1000, 40001};

static inline double ulp(double got, double want) {
  if (isnan(got) || isnan(want)) return isnan(got) && isnan(want) ? 0 : 1e30;
  if (isinf((float)want) || isinf(got)) return (float)want == (float)got ? 0 : 1e30;
  double scale = fabs(want) < 0x1p-126 ? 0x1p-149 : ldexp(1, ilogb(want) - 23);
  return fabs(got - want) / scale;
}

// A value of any dtype as a double, and back.
static inline double get(int t, const void *p, int64_t i) {
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
static inline void set(int t, void *p, int64_t i, double x) {
  ck_nd nd = {0, {0}, {{0}}};
  ck_cast(CK_F64, t, &nd, (char *)p + i * ck_element_size(t), &x);
}
static inline double half_error(int t) { return t == CK_F16 ? 0x1p-10 : t == CK_BF16 ? 0x1p-7 : t == CK_F32 ? 1e-5 : 1e-12; }
static inline int near(int t, double got, double want) {
  if (isnan(want)) return isnan(got);
  if (got == want) return 1;
  return t >= CK_F16 && fabs(got - want) <= half_error(t) * (fabs(want) + 0.1);
}

// What kernels read and write.
enum { ROOM = 400000 };
static char A[ROOM * 8], B[ROOM * 8], O[ROOM * 8];

// Ends a test: what it was, and how many checks failed.
static inline int report(const char *name) {
  printf("%s: level %d, %d threads, ", name, ck_cpu_level(), ck_max_threads());
  printf(failures ? "%d FAILURES\n" : "all passed\n", failures);
  return failures != 0;
}
#endif
