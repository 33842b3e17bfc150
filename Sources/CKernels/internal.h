// What the kernel files share.
#ifndef CK_INTERNAL_H
#define CK_INTERNAL_H
#include "include/CKernels.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

// Work below this many elements is not worth a parallel region (about 20 us of cheap arithmetic on cached data).
enum { CK_GRAIN = 32768 };

// Results of more bytes than this are written past the caches, from which nobody could read them anyway.
enum { CK_STREAM = 32 << 20 };

// One vectorised loop of an elementwise operation. Bit i of `steps`: input i walks; else it is one element.
typedef ck_elementwise ck_loop;

// An element of 16 bytes, for what only moves it.
typedef struct { uint64_t low, high; } ck_wide;

extern int32_t ck_level;  // set before main by the constructor in cpu.c
extern bool ck_has_bf16_dots;  // whether the processor multiplies pairs of bfloat16 and ck_level allows it

// Kernels exist once per level: the table or function `name` of the level in use.
#if defined(__x86_64__)
#define CK_PICK(name) (ck_level == CK_AVX512 ? name##_avx512 : ck_level == CK_AVX2 ? name##_avx2 : name##_baseline)
#else
#define CK_PICK(name) (name##_baseline)
#endif

// Copies whole cache lines past the caches; both sides begin at one. The caller fences.
void ck_stream(int64_t bytes, void *to, const void *from);
// Loops that convert contiguous 16-bit floats, chosen for this processor. dtype: CK_F16 or CK_BF16.
void ck_widen(int32_t dtype, int64_t n, float *out, const void *a);
void ck_narrow(int32_t dtype, int64_t n, void *out, const float *a);
// Contiguous loops in f32 by op, for kernels that build on them.
ck_loop ck_f32_unary(int32_t op);

// A stable order of a row of the dtype `wide` (float32, float64 or int64): where each element of the sorted row was. NaN is
// the largest. The buffer has ck_sort_bytes(wide, n) bytes.
void ck_sort_row(int32_t wide, int64_t n, bool descending, int64_t *positions, const void *row, void *buffer);
size_t ck_sort_bytes(int32_t wide, int64_t n);

// A reduction of `kept` results over `reduced` elements each, in pieces of fixed size, so that no bit depends on the threads.
enum { CK_REDUCE_BLOCK = 2048, CK_REDUCE_SPAN = 32768, CK_REDUCE_TILE = 2048, CK_REDUCE_ROWS = 1024, CK_REDUCE_GROUP = 64 };
typedef void (*ck_stretch)(int64_t n, void *result, const void *a);
typedef struct {
  int32_t kind, wide, result;  // wide: the dtype that is accumulated in, of wide_size bytes; result: that of the results
  int64_t wide_size, kept, reduced, pieces;
  ck_stretch row, col;         // n elements as one; result[i] with a[i]
  char *partial;               // [pieces, kept] in the wide dtype
  bool direct;                 // that is the output itself
} ck_reduction;
// `piece`: the elements of one. False: no memory. The end brings the pieces together; out NULL: none was made.
bool ck_reduction_begin(ck_reduction *r, int32_t kind, int32_t wide, int32_t result, int64_t kept, int64_t reduced,
                        int64_t piece, void *out);
void ck_reduction_end(ck_reduction *r, void *out);

// Of indices in CK_I64 or CK_I32.
static inline int64_t ck_index_at(int32_t dtype, const void *idx, int64_t i) {
  return dtype == CK_I32 ? ((const int32_t *)idx)[i] : ((const int64_t *)idx)[i];
}

static inline bool ck_is_half(int32_t dtype) { return dtype == CK_F16 || dtype == CK_BF16; }
static inline bool ck_is_float(int32_t dtype) { return dtype >= CK_F16 && dtype <= CK_F64; }
static inline bool ck_is_complex(int32_t dtype) { return dtype == CK_C64 || dtype == CK_C128; }
static inline bool ck_is_dtype(int32_t dtype) { return dtype >= 0 && dtype < CK_DTYPES; }
static inline int64_t ck_min64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t ck_max64(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t ck_grain_for(int64_t cost) { return ck_max64(1, CK_GRAIN / ck_max64(cost, 1)); }

#endif
