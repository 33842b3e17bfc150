// The run-time words that an eager operation touches: the context of the calling thread and the table of kernels.
#ifndef CK_RUNTIME_H
#define CK_RUNTIME_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__clang__)
#pragma clang assume_nonnull begin
#endif

// Element types; MartletCore's DType has the same raw values.
enum {
  CK_BOOL = 0, CK_U8 = 1, CK_I8 = 2, CK_I16 = 3, CK_I32 = 4, CK_I64 = 5, CK_U32 = 6,
  CK_F16 = 7, CK_BF16 = 8, CK_F32 = 9, CK_F64 = 10,
  CK_C64 = 11, CK_C128 = 12, CK_DTYPES = 13  // complex: pairs of F32, of F64
};

// Bits of ck_context.flags. Zero: an operation on plain tensors runs at once.
// CK_PRECISE: convolutions are made that do not use Winograd's method. CK_ANOMALY: results are searched for NaN.
// CK_BODY: a body of control flow is traced, and what it does with traced tensors from outside is part of it.
// CK_AUTO_BF16, CK_AUTO_F16: products and convolutions of float32 are computed in that dtype. CK_FORCED: operations that
// `lazy` had put off are being run, which error texts say.
enum {
  CK_LAZY = 1, CK_NO_RECORD = 2, CK_ORIGINS = 4, CK_PRECISE = 8, CK_ANOMALY = 16, CK_AUTO_BF16 = 32, CK_AUTO_F16 = 64,
  CK_FORCED = 128, CK_BODY = 256
};
enum { CK_AUTOCAST = CK_AUTO_BF16 | CK_AUTO_F16 };
enum { CK_ARITHMETIC = CK_PRECISE | CK_AUTOCAST };  // which operations are made; how one is handled does not depend on it
enum { CK_SLOW = CK_LAZY | CK_ORIGINS | CK_ANOMALY };  // operations take the path that looks at scopes

// What scopes change for the calling thread. The pointers belong to the scope functions, which outlive their use.
typedef struct ck_context {
  uint32_t flags;
  int32_t depth;          // nesting of transforms: the level that the next one takes is depth + 1
  int32_t record_level;   // level of tensors that parameters make when they are read
  int32_t mute_level;     // with CK_NO_RECORD: tensors up to this level are not recorded
  int32_t lazy_level;     // level of the innermost lazy scope
  int32_t release_depth;  // nesting of deinit of linked structures
  int32_t threads;        // 0: all
  int32_t device;         // raw device that new tensors take
  int32_t layers;         // number of layers entered
  void *_Nullable frame;    // current state frame
  void *_Nullable lazy;     // current lazy scope
  void *_Nullable maps;     // current map scope
  void *_Nullable released; // objects whose release was put off
  void *_Nullable program;  // the compiled function whose program is running, for error texts
  const char *_Nullable call; // the function of several operations that the program has called, for error texts
  const char *_Nullable note; // how the kernel that ran last did its work where there are several ways, for explanations
  const void *_Nullable layer[64]; // the layers being called, for error texts
} ck_context;

extern _Thread_local ck_context ck_thread_context;
static inline ck_context *ck_here(void) { return &ck_thread_context; }
extern uint32_t ck_process_flags;  // flags of all threads: CK_ORIGINS when the process asked for it
void ck_set_process_flags(uint32_t flags);
static inline uint32_t ck_flags(void) { return ck_thread_context.flags | ck_process_flags; }

// Kernel objects by device * CK_OPS + op; null where a device has no kernel for an op.
enum { CK_OPS = 512, CK_DEVICES = 8 };
extern void *_Nullable ck_kernels[CK_DEVICES * CK_OPS];
static inline void *_Nullable ck_kernel(int64_t index) { return __atomic_load_n(&ck_kernels[index], __ATOMIC_ACQUIRE); }
void ck_set_kernel(int64_t index, void *_Nullable kernel);

// Rooms that link themselves in: the operations, the CPU and the test devices. False: the room is not part of the program.
bool ck_install_ops(void);
bool ck_install_cpu(void);
bool ck_install_reference(void);

// Tell the thread sanitizer what a reference count orders, which it does not see: everything done by the thread that let go
// of an object comes before what its last owner does. Nothing in other builds.
void ck_let_go(const void *object);
void ck_own_alone(const void *object);

// Pooled memory. Blocks are 64-byte aligned. `bytes` of free must equal that of alloc.
typedef struct { int64_t live_bytes, cached_bytes, peak_bytes, allocations; } ck_pool_stats;
void *_Nullable ck_alloc(size_t bytes);  // null: out of memory
void ck_free(void *pointer, size_t bytes);
// Work memory of one call of a kernel: what was large and is idle serves the next call, whatever its size. `bytes` becomes
// what was given, and is given back so.
void *_Nullable ck_take_scratch(size_t *bytes);
void ck_return_scratch(void *pointer, size_t bytes);
ck_pool_stats ck_pool_statistics(void);
int64_t ck_large_bytes(void);  // what the calling thread has been given so far in blocks above 64 KiB
void ck_pool_reset_peak(void);
void ck_pool_empty(void);                // gives cached memory back to the system

// Runs body(context, begin, end) over parts of 0..<count on the pool of threads; at once when count <= grain or one thread.
typedef void (*ck_body)(void *_Nullable context, int64_t begin, int64_t end);
void ck_parallel(int64_t count, int64_t grain, void *_Nullable context, ck_body body);
int32_t ck_max_threads(void);            // what the machine (or OMP_NUM_THREADS, MARTLET_THREADS) allows
int32_t ck_threads(void);                // what the calling thread may use now

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif
#endif
