// Optimizer updates.
#include "internal.h"

typedef struct {
  void *p_out, *m_out, *v_out, *top_out;
  const void *p, *g, *m, *v, *top;
  double rate, beta1, beta2, epsilon, decay, bias1, bias2;
  bool flag, first;  // flag: decoupled decay, or Nesterov's momentum
} job;
#define CK_BODY "optimizer_body.h"
#include "levels.h"

// The moments of what gets no gradient any more decay into denormal numbers, with which many processors compute tens of
// times slower. Updates take and leave them as zeros.
#if defined(__x86_64__)
#include <immintrin.h>
static uint64_t flush_denormals(void) {
  const uint32_t old = _mm_getcsr();
  _mm_setcsr(old | 0x8040);  // FTZ, DAZ
  return old;
}
static void restore_denormals(uint64_t old) { _mm_setcsr((uint32_t)old); }
#elif defined(__aarch64__)
static uint64_t flush_denormals(void) {
  uint64_t old;
  __asm__ volatile("mrs %0, fpcr" : "=r"(old));
  __asm__ volatile("msr fpcr, %0" : : "r"(old | 1ull << 24));
  return old;
}
static void restore_denormals(uint64_t old) { __asm__ volatile("msr fpcr, %0" : : "r"(old)); }
#else
static uint64_t flush_denormals(void) { return 0; }
static void restore_denormals(uint64_t old) { (void)old; }
#endif

#define RANGE(name)                                                          \
  static void name##_range(void *context, int64_t begin, int64_t end) {      \
    const uint64_t old = flush_denormals();                                  \
    CK_PICK(name)(context, begin, end);                                      \
    restore_denormals(old);                                                  \
  }
RANGE(adam_f32)
RANGE(adam_f64)
RANGE(sgd_f32)
RANGE(sgd_f64)

int32_t ck_adam(int32_t dtype, int64_t count, void *p_out, void *m_out, void *v_out, void *top_out, const void *p,
                const void *g, const void *m, const void *v, const void *top, double rate, double beta1, double beta2,
                double epsilon, double weight_decay, bool decoupled, double bias1, double bias2) {
  job j = {p_out, m_out, v_out, top_out, p, g, m, v, top, rate, beta1, beta2, epsilon, weight_decay, bias1, bias2, decoupled, false};
  if (dtype != CK_F32 && dtype != CK_F64) return CK_UNSUPPORTED;
  ck_parallel(count, 8192, &j, dtype == CK_F32 ? adam_f32_range : adam_f64_range);
  return CK_OK;
}

int32_t ck_sgd(int32_t dtype, int64_t count, void *p_out, void *b_out, const void *p, const void *g, const void *b,
               double rate, double momentum, double dampening, double weight_decay, bool nesterov, bool first) {
  job j = {p_out, b_out, NULL, NULL, p, g, b, NULL, NULL, rate, momentum, dampening, 0, weight_decay, 1, 1, nesterov, first};
  if (dtype != CK_F32 && dtype != CK_F64) return CK_UNSUPPORTED;
  ck_parallel(count, 16384, &j, dtype == CK_F32 ? sgd_f32_range : sgd_f64_range);
  return CK_OK;
}
