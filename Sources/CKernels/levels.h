// Includes the file CK_BODY once per instruction set. In it, L(name) is the name with the level's suffix.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-parameter"
#pragma clang diagnostic ignored "-Wunused-function"
#pragma clang diagnostic ignored "-Wpass-failed"  // a loop that some level cannot vectorise is still right

#define CK_LEVEL 0
#define L(name) name##_baseline
#define CK_VECTOR 16
#include CK_BODY
#undef CK_LEVEL
#undef L
#undef CK_VECTOR

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define CK_LEVEL 1
#define L(name) name##_avx2
#define CK_VECTOR 32
#include CK_BODY
#undef CK_LEVEL
#undef L
#undef CK_VECTOR
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma,f16c"))), \
                             apply_to = function)
#define CK_LEVEL 2
#define L(name) name##_avx512
#define CK_VECTOR 64
#include CK_BODY
#undef CK_LEVEL
#undef L
#undef CK_VECTOR
#pragma clang attribute pop
#endif

#pragma clang diagnostic pop
#undef CK_BODY
