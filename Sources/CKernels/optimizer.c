// Optimizer updates.
#include "internal.h"

enum { WIDENED = 1024 };  // elements of a gradient of 16 bits at a time

typedef struct {
  int32_t parameters;
  const ck_update *update;
  double beta1, beta2, epsilon, decay;
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

typedef void (*step)(const job *, const ck_update *, const void *, int64_t, int64_t);

// Elements `begin ..< end` of a parameter. A gradient of 16 bits is widened piece by piece.
static void run_part(const job *j, step body, int64_t size, const ck_update *u, int64_t begin, int64_t end) {
  if (!ck_is_half(u->gradient)) {
    body(j, u, (const char *)u->g + begin * size, begin, end);
    return;
  }
  float wide[WIDENED];
  for (int64_t at = begin; at < end; at += WIDENED) {
    const int64_t n = ck_min64(WIDENED, end - at);
    ck_widen(u->gradient, n, wide, (const char *)u->g + at * 2);
    body(j, u, wide, at, at + n);
  }
}

// Elements `begin ..< end` of all parameters in a row.
#define RANGE(name, T)                                                       \
  static void name##_range(void *context, int64_t begin, int64_t end) {      \
    const uint64_t old = flush_denormals();                                  \
    const job *j = context;                                                  \
    int64_t first = 0;                                                       \
    for (int32_t i = 0; i < j->parameters && first < end; i++) {             \
      const ck_update *u = &j->update[i];                                    \
      const int64_t from = ck_max64(begin, first), to = ck_min64(end, first + u->count); \
      if (from < to) run_part(j, CK_PICK(name), sizeof(T), u, from - first, to - first); \
      first += u->count;                                                     \
    }                                                                        \
    restore_denormals(old);                                                  \
  }
RANGE(adam_f32, float)
RANGE(adam_f64, double)
RANGE(sgd_f32, float)
RANGE(sgd_f64, double)

static int64_t elements(int32_t parameters, const ck_update *update) {
  int64_t sum = 0;
  for (int32_t i = 0; i < parameters; i++) sum += update[i].count;
  return sum;
}

int32_t ck_adam(int32_t dtype, int32_t parameters, const ck_update *update, double beta1, double beta2, double epsilon,
                double weight_decay, bool decoupled) {
  job j = {parameters, update, beta1, beta2, epsilon, weight_decay, decoupled, false};
  if (dtype != CK_F32 && dtype != CK_F64) return CK_UNSUPPORTED;
  ck_parallel(elements(parameters, update), 8192, &j, dtype == CK_F32 ? adam_f32_range : adam_f64_range);
  return CK_OK;
}

int32_t ck_sgd(int32_t dtype, int32_t parameters, const ck_update *update, double momentum, double dampening,
               double weight_decay, bool nesterov, bool first) {
  job j = {parameters, update, momentum, dampening, 0, weight_decay, nesterov, first};
  if (dtype != CK_F32 && dtype != CK_F64) return CK_UNSUPPORTED;
  ck_parallel(elements(parameters, update), 16384, &j, dtype == CK_F32 ? sgd_f32_range : sgd_f64_range);
  return CK_OK;
}
