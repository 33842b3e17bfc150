// Random numbers: Philox-4x32-10, a pure function of the key, so every value is the same in any split.
#include "internal.h"

typedef struct { int64_t key[3]; void *out; int64_t count; } job;
#define CK_BODY "random_body.h"
#include "levels.h"

enum { VALUES = 4096 };  // values made at a time by a thread

#define ENTRY(name, T)                                                                             \
  static void name##_range(void *context, int64_t begin, int64_t end) {                            \
    const job *j = context;                                                                        \
    const int64_t first = begin * VALUES;                                                          \
    CK_PICK(name)(j->key, first, ck_min64(end * VALUES, j->count) - first, (T *)j->out + first);   \
  }                                                                                                \
  void ck_random_##name(const int64_t *key, int64_t count, T *out) {                               \
    job j = {{key[0], key[1], key[2]}, out, count};                                                \
    ck_parallel((count + VALUES - 1) / VALUES, 4, &j, name##_range);                               \
  }
ENTRY(bits, uint32_t)
ENTRY(uniform_f32, float)
ENTRY(uniform_f64, double)
ENTRY(normal_f32, float)
ENTRY(normal_f64, double)
