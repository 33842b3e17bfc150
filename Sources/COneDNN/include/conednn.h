// A small face over oneDNN, the same for API 2 (Debian 12) and API 3. Status 0 is success; others are dnnl_status_t.
#ifndef CONEDNN_H
#define CONEDNN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__clang__)
#pragma clang assume_nonnull begin
#endif

enum { DN_F32 = 0, DN_BF16 = 1, DN_F16 = 2 };  // result and operands alike but where said; accumulation is float32

typedef struct { int32_t major, minor, patch; } dn_version_t;
dn_version_t dn_version(void);                 // of the library at run time
void dn_thread_end(void);                      // frees what the calling thread keeps
bool dn_available(void);                       // false: built without oneDNN; every other call fails with a status

// c[batch, m, n] = f(a[batch, m, k] @ b[batch, k, n] + bias[n] + added[batch, m, n]); strides in elements. One of row and
// column stride must be 1. A batch stride of 0 (with batch > 1) broadcasts the operand. `added` lies like c.
// No rectifier: the library's takes NaN for 0.
enum { DN_IDENTITY = 0, DN_GELU = 1, DN_GELU_TANH = 2, DN_SILU = 3 };
typedef struct {
  int64_t m, n, k, batch;
  int64_t a_batch, a_row, a_column;
  int64_t b_batch, b_row, b_column;
  int64_t c_batch, c_row;                      // the columns of c are adjacent
  int32_t dtype;
  int32_t threads;                             // the thread count that the primitive is made for; 0: the caller's own
  int32_t bias, adds, function;                // whether there are bias and added; f
  int32_t wide;                                // c is float32, whatever the dtype; not with added
} dn_matmul_spec;

// A handle belongs to one thread at a time and must run with the thread count it was made for.
typedef struct dn_matmul dn_matmul;
int32_t dn_matmul_create(const dn_matmul_spec *spec, dn_matmul *_Nullable *_Nonnull handle);
size_t dn_matmul_scratchpad(const dn_matmul *handle);   // bytes
int32_t dn_matmul_execute(dn_matmul *handle, const void *a, const void *b, const void *_Nullable bias,
                          const void *_Nullable added, void *c, void *_Nullable scratchpad);
void dn_matmul_destroy(dn_matmul *_Nullable handle);

// A convolution or one of its gradients, over 1 to 3 spatial axes. x: [n, channels, size…], w: [outputs, channels / groups,
// kernel…], always dense in this order; y: [n, outputs, out…]. All fields count, so a spec is zeroed before it is filled.
enum { DN_FORWARD = 0, DN_INPUT_GRADIENT = 1, DN_WEIGHT_GRADIENT = 2 };
enum {
  DN_PLAIN = 0,     // direct, on x and y as they lie
  DN_BLOCKED = 1,   // direct, in layouts that the library likes, with copies to and fro
  DN_WINOGRAD = 2,  // likewise by Winograd's method: other roundings; refused where there is none
};
typedef struct {
  int32_t direction, algorithm;
  int32_t channels_last;                       // of x and y: the channels are adjacent
  int32_t dtype, axes, threads;
  int32_t bias, precise;                       // forward: a vector of outputs is added (2: of float32); precise is not read
  int32_t adds, bounded;                       // forward: added to what y holds; then bounded by low and high
  float low_bound, high_bound;                 // 0 and infinity: a rectifier
  int32_t packed, reserved;                    // w lies as dn_convolution_pack has laid it
  int64_t n, groups, channels, outputs;
  int64_t size[3], kernel[3], out[3], stride[3], dilation[3], low[3], high[3];
} dn_convolution_spec;

typedef struct dn_convolution dn_convolution;
int32_t dn_convolution_create(const dn_convolution_spec *spec, dn_convolution *_Nullable *_Nonnull handle);
size_t dn_convolution_workspace(const dn_convolution *handle);   // bytes, 64-byte aligned
const char *dn_convolution_note(const dn_convolution *handle);   // "blocked, reorders x y": the copies that each run makes
// Kernels in the layout that the handle wants; handles of equal specs, thread counts among them, want the same.
size_t dn_convolution_packed_bytes(const dn_convolution *handle);
int32_t dn_convolution_pack(dn_convolution *handle, const void *w, void *packed);
// Reads two of x, w and y and writes the third, as the direction says.
int32_t dn_convolution_execute(dn_convolution *handle, void *x, void *w, const void *_Nullable bias, void *y,
                               void *_Nullable workspace);
void dn_convolution_destroy(dn_convolution *_Nullable handle);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif
#endif
