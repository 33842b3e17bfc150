// The CPU kernels. They run at once on the calling thread's share of the pool and never trap: a combination of
// operation and dtype that makes no sense returns CK_UNSUPPORTED, a bad index returns CK_BAD_INDEX and its value.
// Results do not depend on the number of threads. Sizes are in elements.
#ifndef CK_KERNELS_H
#define CK_KERNELS_H
#include "ck_runtime.h"

#if defined(__clang__)
#pragma clang assume_nonnull begin
#endif

enum { CK_OK = 0, CK_UNSUPPORTED = 1, CK_BAD_INDEX = 2, CK_NO_MEMORY = 3 };
typedef struct { int32_t code; int64_t value; } ck_status;  // value: the first offending index or label

// The body in use: CK_BASELINE, CK_AVX2, CK_AVX512. MARTLET_CPU=baseline|avx2|avx512 caps it.
enum { CK_BASELINE = 0, CK_AVX2 = 1, CK_AVX512 = 2 };
int32_t ck_cpu_level(void);
int64_t ck_element_size(int32_t dtype);

// MARK: elementwise

// Strides count elements; 0 broadcasts. [0] is the output, [1...3] are the inputs in order. Rank 0 is one element.
// An output that equals an input must have that input's strides.
enum { CK_MAX_RANK = 8 };
typedef struct { int32_t rank; int64_t shape[CK_MAX_RANK]; int64_t strides[4][CK_MAX_RANK]; } ck_nd;

// Integers: neg, abs, sign, square, relu (and floor, ceil, round, trunc as copies). Bool: logical_not only. Complex: neg,
// conj, exp, log, sqrt, sin, cos, tan, sinh, cosh, tanh; add, sub, mul, div; eq, ne.
enum {
  CK_NEG, CK_ABS, CK_SIGN, CK_EXP, CK_LOG, CK_SQRT, CK_RSQRT, CK_RECIPROCAL, CK_SQUARE, CK_TANH, CK_SIGMOID, CK_RELU,
  CK_SIN, CK_COS, CK_ERF, CK_FLOOR, CK_CEIL, CK_ROUND, CK_TRUNC, CK_LOGICAL_NOT, CK_EXPM1, CK_EXP2, CK_LOG1P,
  CK_LOG2, CK_LOG10, CK_TAN, CK_ASIN, CK_ACOS, CK_ATAN, CK_SINH, CK_COSH, CK_ASINH, CK_ACOSH, CK_ATANH, CK_SILU, CK_GELU,
  CK_GELU_TANH, CK_GELU_SLOPE, CK_GELU_TANH_SLOPE, CK_CONJ, CK_UNARY_OPS
};
// Integer division truncates, floor division and the remainder follow Python; by zero they yield 0. Max and min give NaN where an operand is NaN. Integer pow with a
// negative exponent truncates. Bool: add and max are or, mul and min are and.
enum {
  CK_ADD, CK_SUB, CK_MUL, CK_DIV, CK_MAXIMUM, CK_MINIMUM, CK_POW, CK_ATAN2, CK_REMAINDER, CK_FLOOR_DIV, CK_BINARY_OPS
};
enum { CK_EQ, CK_NE, CK_LT, CK_LE, CK_GT, CK_GE };
enum { CK_AND, CK_OR, CK_XOR };

int32_t ck_unary(int32_t op, int32_t dtype, const ck_nd *nd, void *out, const void *a);
int32_t ck_binary(int32_t op, int32_t dtype, const ck_nd *nd, void *out, const void *a, const void *b);
int32_t ck_compare(int32_t kind, int32_t dtype, const ck_nd *nd, bool *out, const void *a, const void *b);
int32_t ck_logic(int32_t kind, const ck_nd *nd, bool *out, const bool *a, const bool *b);
int32_t ck_where(int32_t dtype, const ck_nd *nd, void *out, const bool *condition, const void *a, const void *b);
// Floats only. A bound that is NaN does not bound. The gradient is g where x is between the bounds, else 0; at a bound it
// is 0 if `open`.
int32_t ck_clamp(int32_t dtype, const ck_nd *nd, void *out, const void *x, double low, double high);
int32_t ck_clamp_grad(int32_t dtype, const ck_nd *nd, bool open, void *out, const void *g, const void *x, double low,
                      double high);
// Floats to integers: toward zero, saturating, NaN to 0. Anything to bool: not equal to zero. Integers wrap.
int32_t ck_cast(int32_t from, int32_t to, const ck_nd *nd, void *out, const void *a);
// The absolute values of complex numbers, in the dtype of their parts.
int32_t ck_magnitude(int32_t dtype, const ck_nd *nd, void *out, const void *a);
int32_t ck_copy(int32_t dtype, const ck_nd *nd, void *out, const void *a);
int32_t ck_fill(int32_t dtype, int64_t count, void *out, const void *value);  // contiguous; value: one element

// Contiguous operands; step 0 broadcasts one element, step 1 walks.
int32_t ck_unary_flat(int32_t op, int32_t dtype, int64_t count, void *out, const void *a);
int32_t ck_binary_flat(int32_t op, int32_t dtype, int64_t count, void *out, const void *a, int32_t step_a,
                       const void *b, int32_t step_b);
int32_t ck_compare_flat(int32_t kind, int32_t dtype, int64_t count, bool *out, const void *a, int32_t step_a,
                        const void *b, int32_t step_b);
int32_t ck_cast_flat(int32_t from, int32_t to, int64_t count, void *out, const void *a);

// MARK: fused

// A chain of elementwise operations over one shape. Operand numbers: the inputs, then the registers. A step's `dtype` is
// that of its operands (of the last two for a choice), `to` that of its result; 16-bit floats are float32 inside.
enum { CK_FUSED_INPUTS = 12, CK_FUSED_OUTPUTS = 4, CK_FUSED_STEPS = 48, CK_FUSED_REGISTERS = 12 };
enum {
  CK_FUSED_UNARY, CK_FUSED_BINARY, CK_FUSED_COMPARE, CK_FUSED_LOGIC, CK_FUSED_WHERE, CK_FUSED_CAST, CK_FUSED_CLAMP,
  CK_FUSED_CLAMP_GRAD
};
typedef struct {
  int32_t family, code, dtype, to;
  int32_t inputs, in[3], out;
  int32_t store;     // the output that the result is, or -1
  int32_t slot;      // the slot in which the result is left to be reduced, or -1
  double low, high;  // bounds
} ck_fused_step;
typedef struct {
  int32_t inputs, outputs, steps;
  int32_t width;  // bytes of the widest element of a register
  int32_t input_dtype[CK_FUSED_INPUTS], output_dtype[CK_FUSED_OUTPUTS];
  // What some outputs are made by, CK_RED_SUM … CK_RED_MIN of a slot, or -1: over all axes from `axis` on if it is not
  // negative, else over those before ~axis. These results have floating dtypes.
  int32_t reduction[CK_FUSED_OUTPUTS], slot[CK_FUSED_OUTPUTS], axis;
  ck_fused_step step[CK_FUSED_STEPS];
} ck_fused;
// The loop of a step; null where there is none. No 16-bit floats.
typedef void (*ck_elementwise)(int64_t n, void *o, const void *_Nullable a, const void *_Nullable b,
                               const void *_Nullable c, int steps);
ck_elementwise _Nullable ck_elementwise_loop(int32_t family, int32_t code, int32_t dtype, int32_t to);
// `shape` in the order in which the results lie, which is without gaps; CK_MAX_RANK strides for each input. `pointers`: the
// inputs, then the outputs. An output may be an input of its dtype that lies like it and is read by no later step. With
// reductions `shape` is in the order of the axes, and no size is 0; their results are those of ck_reduce, bit by bit, if no
// 16-bit floats are among them.
int32_t ck_run_fused(const ck_fused *program, int32_t rank, const int64_t *shape, const int64_t *strides,
                     void *_Nonnull const *_Nonnull pointers);

// MARK: reductions

// The input as kept by reduced dimensions, with any strides of the input. The output is contiguous over the kept ones.
typedef struct {
  int32_t kept, reduced;
  int64_t kept_shape[CK_MAX_RANK], kept_strides[CK_MAX_RANK];
  int64_t reduced_shape[CK_MAX_RANK], reduced_strides[CK_MAX_RANK];
} ck_reduce_nd;
enum { CK_RED_SUM, CK_RED_MEAN, CK_RED_MAX, CK_RED_MIN, CK_RED_PROD, CK_RED_ANY, CK_RED_ALL };
// Output dtype: that of ck_reduce_dtype. Empty: sum 0, prod 1, mean NaN, any false, all true; max and min of nothing
// are the caller's error (CK_UNSUPPORTED). Mean wants floats; any and all want bool. NaN wins in max and min.
int32_t ck_reduce_dtype(int32_t kind, int32_t dtype);
int32_t ck_reduce(int32_t kind, int32_t dtype, const ck_reduce_nd *nd, void *out, const void *a);
// Position in row-major order over the reduced dimensions; the first on ties; NaN wins.
int32_t ck_argmax(int32_t dtype, const ck_reduce_nd *nd, int64_t *out, const void *a, bool minimum);

// out[o,i,k] = a[o,0,k] + … + a[o,i,k], or from the end; contiguous [outer, n, inner]. Output dtype: I64 for integers.
int32_t ck_cumsum(int32_t dtype, int64_t outer, int64_t n, int64_t inner, bool reversed, void *out, const void *a);

// MARK: indexing, on contiguous data. index_dtype: CK_I64 or CK_I32. What writes to a base takes indices that were checked.

// Whether indices are all in 0 ..< size; else CK_BAD_INDEX and the first that is not.
ck_status ck_check_indices(int32_t index_dtype, int64_t count, const void *idx, int64_t size);

// out, idx: [outer, count, inner], a: [outer, axis, inner]; out[o,j,i] = a[o, idx[o,j,i], i].
ck_status ck_gather(int32_t dtype, int64_t outer, int64_t axis, int64_t inner, int64_t count, void *out, const void *a,
                    int32_t index_dtype, const void *idx);
// out: [outer, axis, inner] holds the base; out[o, idx[o,j,i], i] += src[o,j,i].
int32_t ck_scatter_add(int32_t dtype, int64_t outer, int64_t axis, int64_t inner, int64_t count, void *out,
                       int32_t index_dtype, const void *idx, const void *src);
// idx: [count]; out: [outer, count, inner]; out[o,j,:] = a[o, idx[j], :].
ck_status ck_take(int32_t dtype, int64_t outer, int64_t axis, int64_t inner, int64_t count, void *out, const void *a,
                  int32_t index_dtype, const void *idx);
// out: [outer, axis, inner] holds the base; out[o, idx[j], :] += src[o,j,:].
int32_t ck_take_add(int32_t dtype, int64_t outer, int64_t axis, int64_t inner, int64_t count, void *out,
                    int32_t index_dtype, const void *idx, const void *src);

// MARK: sparse matrices [rows, columns] in compressed rows: pointers [rows + 1], checked by the caller, column [count]

// values: [count], b: [columns, n], out: [rows, n]; out[r,:] = sum of values[k] * b[column[k],:] over the row. F32 or F64.
ck_status ck_sparse_matmul(int32_t dtype, int64_t rows, int64_t columns, int64_t count, int64_t n, void *out,
                           const int64_t *pointers, const int64_t *column, const void *values, const void *b);
// a: [rows, n], b: [columns, n], out: [count]; out[k] = a[row of k,:] . b[column[k],:]. F32 or F64.
ck_status ck_sampled_matmul(int32_t dtype, int64_t rows, int64_t columns, int64_t count, int64_t n, void *out,
                            const int64_t *pointers, const int64_t *column, const void *a, const void *b);
// keys: [n] in 0 ..< count; order: [n], the places of the keys in ascending order, stable; begins: [count + 1].
ck_status ck_counting_sort(int64_t n, int64_t count, int64_t *order, int64_t *begins, const int64_t *keys);

// out: [outer, axis, inner] holds the base; out[o, idx[o,j,i], i] = that op src[o,j,i]. op: CK_MUL, CK_MAXIMUM, CK_MINIMUM.
// NaN wins in the latter.
int32_t ck_scatter_reduce(int32_t op, int32_t dtype, int64_t outer, int64_t axis, int64_t inner, int64_t count, void *out,
                          int32_t index_dtype, const void *idx, const void *src);

// MARK: rows, on contiguous data [outer, n, inner], along n. Float dtypes. out may be an input.

int32_t ck_softmax(int32_t dtype, int64_t outer, int64_t n, int64_t inner, void *out, const void *a);
int32_t ck_log_softmax(int32_t dtype, int64_t outer, int64_t n, int64_t inner, void *out, const void *a);
// y: the forward's output.
int32_t ck_softmax_grad(int32_t dtype, int64_t outer, int64_t n, int64_t inner, void *out, const void *y, const void *dy);
int32_t ck_log_softmax_grad(int32_t dtype, int64_t outer, int64_t n, int64_t inner, void *out, const void *y,
                            const void *dy);
// Cross entropy of [outer, classes, inner] logits (F32, F64) with class labels [outer, inner] (I64, I32). loss:
// [outer, inner] in the dtype of the logits. Where the label is ignore_index, loss and gradient are 0. Other labels
// outside 0..<classes: CK_BAD_INDEX.
ck_status ck_cross_entropy(int32_t dtype, int64_t outer, int64_t classes, int64_t inner, int32_t label_dtype,
                           const void *logits, const void *labels, int64_t ignore_index, void *loss);
// out = (softmax(logits) - onehot(labels)) * scale; scale: [outer, inner].
ck_status ck_cross_entropy_grad(int32_t dtype, int64_t outer, int64_t classes, int64_t inner, int32_t label_dtype,
                                void *out, const void *logits, const void *labels, int64_t ignore_index,
                                const void *scale);

// MARK: attention, in F32 or BF16, without the matrix of scores. Sums are F32; the weights of BF16 are multiplied as BF16.

// Strides of batch, head and row in elements; the elements of a row follow each other. mask: strides of batch, head, row and
// column, 0 where it is broadcast; bool (true may be seen) or F32 (added to the scores). heads is a multiple of kv_heads.
// BF16: strides of q, k, v and out are even, and they begin at multiples of 4 bytes.
typedef struct {
  int64_t batch, heads, kv_heads, rows, columns, depth, value_depth;
  int64_t q[3], k[3], v[3], out[3], mask[4], key[3];
  float scale, dropout;  // dropout: the word of the score's place in [batch, heads, rows, columns] under key decides
  bool causal, mask_is_bool;
  int32_t dtype;
} ck_attention;
// Whether these functions take the dtype, with so many features of queries and keys and of values.
bool ck_attends(int32_t dtype, int64_t depth, int64_t value_depth);
// out = softmax(scale * q @ k^T + mask) @ v. A row that may see nothing is 0. log_sums: [batch, heads, rows].
int32_t ck_attend(const ck_attention *a, void *out, float *log_sums, const void *q, const void *k, const void *v,
                  const void *_Nullable mask);
// ct lies like out. delta: [batch, heads, rows], the dot products of ct and out. dq, dk and dv: contiguous.
int32_t ck_attend_grad(const ck_attention *a, void *dq, void *dk, void *dv, const void *q, const void *k, const void *v,
                       const void *ct, const float *log_sums, const float *delta, const void *_Nullable mask);

// MARK: recurrent layers, in F32: all steps of one layer and direction, contiguous. The hidden state (backward: the
// cotangents of its share of the gates) and the weights are multiplied in `product`: F32, F16 or BF16, with sums in F32.

enum { CK_RNN_TANH, CK_RNN_RELU, CK_LSTM, CK_GRU };
typedef struct { int64_t steps, batch, hidden; int32_t kind, product; bool reversed; } ck_recurrent;
// x: [steps, batch, G * hidden], the inputs' share of the G gates (LSTM 4: in, forget, new, out; GRU 3: reset, keep, new;
// else 1). weight: [G * hidden, hidden]. y, c: [steps, batch, hidden]. gates: [steps, batch, 4 * hidden], their values; of
// the GRU also the hidden state's share of the last, to which bias: [hidden] is added. c, c0: LSTM; gates: both.
int32_t ck_recur(const ck_recurrent *r, float *y, float *_Nullable c, float *_Nullable gates, const float *x,
                 const float *h0, const float *_Nullable c0, const float *weight, const float *_Nullable bias);
// From the cotangents of y, c and gates: those of x, of the hidden state's share of the gates (GRU; else that is dx), and of
// the initial state.
int32_t ck_recur_grad(const ck_recurrent *r, float *dx, float *_Nullable dhidden, float *dh0, float *_Nullable dc0,
                      const float *dy, const float *_Nullable dc, const float *_Nullable dgates, const float *y,
                      const float *_Nullable c, const float *_Nullable gates, const float *h0, const float *_Nullable c0,
                      const float *weight);

// MARK: normalisation of [n, c, s], of floats, by the mean and the variance of sets: the groups of channels of an example, or
// with groups 0 a channel of all examples. mean and variance: one for each set, [n, groups] or [c]; F32 for F16 and BF16.

// y = (x - mean) / sqrt(variance + epsilon) * weight + bias, with [c] weights and biases or none. Not centred: mean is 0,
// and the variance is the mean of the squares. Rectified: y is 0 where it would be less. factors: m, a and b of
// y = (x - m) a + b where wanted, of the type of the statistics, [3, n, c] or with groups 0 [3, c]. Neither of these for
// groups of channels with s = 1.
int32_t ck_normalize(int32_t dtype, int64_t n, int64_t c, int64_t s, int64_t groups, double epsilon, bool centred,
                     bool rectified, void *y, void *mean, void *variance, void *_Nullable factors, const void *x,
                     const void *_Nullable weight, const void *_Nullable bias);
// From g, the cotangent of y: those of x, weight and bias, the latter where wanted. With factors g is the cotangent of the
// rectified y.
int32_t ck_normalize_grad(int32_t dtype, int64_t n, int64_t c, int64_t s, int64_t groups, double epsilon, bool centred,
                          void *dx, void *_Nullable dweight, void *_Nullable dbias, const void *g, const void *x,
                          const void *mean, const void *variance, const void *_Nullable weight,
                          const void *_Nullable factors);

// MARK: random numbers: Philox-4x32-10

// key: seed, stream, counter. Word w is lane w & 3 of the block whose counter is
// {lo32(w >> 2), hi32(w >> 2), lo32(counter), lo32(stream)} under the key {lo32(seed), hi32(seed)}.
void ck_random_bits(const int64_t *key, int64_t count, uint32_t *out);
void ck_random_uniform_f32(const int64_t *key, int64_t count, float *out);   // [0, 1), word i
void ck_random_uniform_f64(const int64_t *key, int64_t count, double *out);  // [0, 1), words 2i, 2i + 1
void ck_random_normal_f32(const int64_t *key, int64_t count, float *out);    // words 2i, 2i + 1
void ck_random_normal_f64(const int64_t *key, int64_t count, double *out);   // words 4i ..< 4i + 4

// MARK: others

// a: [rows, n], out: [rows, k], sorted; ties by the lower index; NaN is larger than all numbers. k <= n.
int32_t ck_topk(int32_t dtype, int64_t rows, int64_t n, int64_t k, bool largest, void *out_values, int64_t *out_indices,
                const void *a);
// sorted: [rows, n], or one row for all with shared; values: [rows, m]; out: how many of the n stand before the value, or with
// right also those that equal it. NaN is larger than all numbers, and of values behind all. All dtypes of real numbers.
int32_t ck_search_sorted(int32_t dtype, int64_t rows, int64_t n, int64_t m, bool shared, bool right, int64_t *out,
                         const void *sorted, const void *values);
// The places of keys in ascending order, stable.
int32_t ck_sort_keys(int64_t n, int64_t *order, const int64_t *keys);
// a: [n, k]; order: the rows of a in lexicographic order, equal ones as they stand. NaN is the largest. Real numbers.
int32_t ck_sort_rows(int32_t dtype, int64_t n, int64_t k, int64_t *order, const void *a);
// -log of the probability of the labels, summed over alignments; losses [batch] and gradient like x may be null. x: log-
// probabilities [steps, batch, classes]; labels [batch, width]; times and lengths [batch] say how many of the steps and labels
// count, and were checked. A label sequence without an alignment: infinite, with gradient 0. F32 or F64.
int32_t ck_ctc(int32_t dtype, int64_t steps, int64_t batch, int64_t classes, int64_t width, int64_t blank, const void *x,
               const int64_t *labels, const int64_t *times, const int64_t *lengths, void *_Nullable losses,
               void *_Nullable gradient);
// The update of one parameter.
typedef struct {
  int64_t count;
  void *p_out, *_Nullable m_out, *_Nullable v_out, *_Nullable top_out;
  const void *p, *g, *_Nullable m, *_Nullable v, *_Nullable top;
  double rate, bias1, bias2;   // bias1 = 1 - beta1^t, bias2 = 1 - beta2^t
  int32_t gradient;            // the dtype of g: that of the rest, or for F32 one of 16 bits
} ck_update;
// One step of PyTorch's Adam for each parameter (AdamW when decoupled; amsgrad when top, the largest v so far, is not null).
// F32 or F64.
int32_t ck_adam(int32_t dtype, int32_t parameters, const ck_update *update, double beta1, double beta2, double epsilon,
                double weight_decay, bool decoupled);
// One step of PyTorch's SGD for each parameter: g += weight_decay * p; m = first ? g : momentum * m + (1 - dampening) * g;
// g = nesterov ? g + momentum * m : m; p -= rate * g. m and m_out are null when momentum is 0. F32 or F64.
int32_t ck_sgd(int32_t dtype, int32_t parameters, const ck_update *update, double momentum, double dampening,
               double weight_decay, bool nesterov, bool first);

// MARK: windows over up to three spatial axes; missing ones come first, with size, kernel and stride 1

typedef struct {
  int64_t channels, size[3], kernel[3], out[3], stride[3], dilation[3], low[3], high[3];
} ck_window;

// x: [images, channels, size…]; columns: [channels, kernel…, images, out…]. Floats.
int32_t ck_im2col(int32_t dtype, const ck_window *window, int64_t images, void *columns, const void *x);
// The adjoint: columns added up in x. F32 or F64.
int32_t ck_col2im(int32_t dtype, const ck_window *window, int64_t images, void *x, const void *columns);
// The gradient of a convolution's weights in BF16. x: [images, size…, channels]; y: [images, out…, outputs]; dw: [outputs,
// channels, kernel…]. work: as many bytes, which begin at a multiple of 64.
bool ck_pair_gradient_applies(const ck_window *window, int64_t images, int64_t outputs);
size_t ck_pair_gradient_bytes(const ck_window *window, int64_t images, int64_t outputs);
int32_t ck_pair_gradient(const ck_window *window, int64_t images, int64_t outputs, void *dw, const void *x, const void *y,
                         void *work);

// x: [planes, size…], y and index: [planes, out…]; index: the place within the plane. F32 or F64, like the others below.
// adaptive: the windows cover the plane in `out` parts of almost equal size, and kernel, stride and so on mean nothing.
int32_t ck_max_pool(int32_t dtype, const ck_window *window, int64_t planes, bool adaptive, void *y, int32_t *index,
                    const void *x);
// The same of images whose channels are adjacent, x: [images, size…, channels]; the window says how many channels.
int32_t ck_max_pool_last(int32_t dtype, const ck_window *window, int64_t images, bool adaptive, void *y, int32_t *index,
                         const void *x);
int32_t ck_average_pool(int32_t dtype, const ck_window *window, int64_t planes, bool adaptive, bool count_padding, void *y,
                        const void *x);
int32_t ck_average_pool_grad(int32_t dtype, const ck_window *window, int64_t planes, bool adaptive, bool count_padding,
                             void *dx, const void *dy);
// x: [planes, plane], zero but for values[p, o] added at index[p, o].
ck_status ck_unpool(int32_t dtype, int64_t planes, int64_t plane, int64_t outs, void *x, const void *values,
                    const int32_t *index);
// x: [images, size…, channels], values and index: [images, out…, channels]; three sizes each.
ck_status ck_unpool_last(int32_t dtype, int64_t images, int64_t channels, const int64_t *size, const int64_t *out,
                         void *x, const void *values, const int32_t *index);

// y: [outer, out, inner] from x: [outer, in, inner]: y[i] is the sum over t in begin[i] ..< begin[i + 1] of
// weight[t] x[place[t]]. f32 and f64, weights of that dtype.
int32_t ck_resample(int32_t dtype, int64_t outer, int64_t in, int64_t out, int64_t inner, const int64_t *begin,
                    const int32_t *place, const void *weight, void *y, const void *x);

// MARK: images at places between elements, F32 or F64, contiguous

enum { CK_GRID_LINEAR, CK_GRID_NEAREST, CK_GRID_CUBIC };
enum { CK_GRID_ZEROS, CK_GRID_BORDER, CK_GRID_REFLECTION };
// x: [images, channels, size…] over 2 or 3 axes (cubic: 2); grid: [images, places, axes], its last coordinate along the first
// axis, in -1 ... 1; y: [images, channels, places].
typedef struct {
  int64_t images, channels, places, size[3];
  int32_t axes, mode, padding;
  bool align_corners;
} ck_grid;
int32_t ck_grid_sample(int32_t dtype, const ck_grid *grid, void *y, const void *x, const void *places);
// From ct, the cotangent of y: those of x and of the grid, where wanted. Places that are NaN have none.
int32_t ck_grid_sample_grad(int32_t dtype, const ck_grid *grid, void *_Nullable dx, void *_Nullable dgrid, const void *ct,
                            const void *x, const void *places);

// x: [images, channels, size[0], size[1]]; region: [boxes, 5], the image and x1, y1, x2, y2; y: [boxes, channels, out[0], out[1]], the
// means over ratio places along each side of a part, or with ratio 0 over as many as the part has elements, rounded up. An
// image that is none: CK_BAD_INDEX.
typedef struct {
  int64_t images, channels, size[2], boxes, out[2], ratio;
  double scale;
  bool aligned;
} ck_roi;
ck_status ck_roi_align(int32_t dtype, const ck_roi *roi, void *y, const void *x, const void *region);
ck_status ck_roi_align_grad(int32_t dtype, const ck_roi *roi, void *dx, const void *ct, const void *region);

// MARK: Fourier transforms of rows, in [outer, n, inner], contiguous; complex numbers are pairs

typedef struct ck_fft_plan ck_fft_plan;
// Whether complex rows are best transformed as matrices, by a plan that splits.
bool ck_fft_splits(int32_t dtype, int64_t n, int64_t outer, int64_t inner);
// The tables for rows of n elements in CK_F32 or CK_F64: complex rows, or real ones and those that become real. A plan that
// `splits`, where n is long and no prime, is for complex rows with inner 1 alone. Null: out of memory. A plan does not change,
// so that threads may share it.
ck_fft_plan *_Nullable ck_fft_make(int32_t dtype, int64_t n, bool real, bool splits);
void ck_fft_free(ck_fft_plan *_Nullable plan);
int64_t ck_fft_bytes(const ck_fft_plan *_Nullable plan);
// out[k] = scale * sum over j of in[j] exp(-+ 2 pi i j k / n). out may be in where inner is 1.
int32_t ck_fft(const ck_fft_plan *plan, bool inverse, double scale, int64_t outer, int64_t inner, void *out,
               const void *in);
// Of real rows the first n / 2 + 1 elements; and from those the real rows whose transform they are the half of. Of these
// the imaginary parts of the first element, and for even n of the last, are not read.
int32_t ck_fft_of_real(const ck_fft_plan *plan, double scale, int64_t outer, int64_t inner, void *out, const void *in);
int32_t ck_fft_to_real(const ck_fft_plan *plan, double scale, int64_t outer, int64_t inner, void *out, const void *in);

// MARK: 3x3 kernels over two spatial axes with stride 1, by Winograd's method (other roundings than a direct sum)

enum { CK_WINOGRAD_FORWARD = 0, CK_WINOGRAD_INPUT_GRADIENT = 1, CK_WINOGRAD_WEIGHT_GRADIENT = 2 };
// x: [examples, size…, channels] and y: [examples, out…, outputs], w: [outputs, channels, 3, 3], all F32.
typedef struct {
  int64_t examples, channels, outputs, size[2], out[2], low[2];
  int32_t direction, threads;
  bool packed;  // w lies as ck_winograd_pack has laid it
  bool half;    // x, w and y are bfloat16; sums are float32
} ck_winograd;

// What follows the sums of a convolution: a vector of outputs and a tensor like y are added, then the result is bounded.
typedef struct {
  const float *_Nullable bias;
  const void *_Nullable added;  // may be y itself
  bool bounded;
  float low, high;
} ck_epilogue;

// Whether the channels come in sixteens and the padding (low, and what follows from the sizes) is 0 or 1.
bool ck_winograd_applies(const ck_winograd *sizes);
size_t ck_winograd_bytes(const ck_winograd *sizes);  // of work memory
// Reads two of x, w and y and writes the third, as the direction says. The epilogue is of the forward direction only.
void ck_winograd_run(const ck_winograd *sizes, void *x, void *w, const ck_epilogue *epilogue, void *y, void *work);
// Transformed kernels, for `packed`.
size_t ck_winograd_packed_bytes(const ck_winograd *sizes);
void ck_winograd_pack(const ck_winograd *sizes, const void *w, void *packed);

// MARK: matrices, row-major; c = a @ b. ld: elements from one stored row to the next; a transposed operand is stored
// as [k, m] (a) or [n, k] (b).

// A batch of products for which ck_matmul_small_f32 is meant, on all threads: shape and strides of `batch` are those of the leading axes, for c, a and b in this order.
void ck_matmul_small_batch_f32(const ck_nd *batch, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                               bool a_transposed, const float *b, int64_t ldb, bool b_transposed, float *c, int64_t ldc);
// Single-threaded; meant for m * n * k <= 2^18, or m == 1.
void ck_matmul_small_f32(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, bool a_transposed, const float *b,
                         int64_t ldb, bool b_transposed, float *c, int64_t ldc);
// What follows such a product in place: c + bias[n] + added[m, n], then max(., 0), which keeps NaN.
void ck_matmul_finish_f32(int64_t m, int64_t n, float *c, const float *_Nullable bias, const float *_Nullable added,
                          bool rectified);
// Any dtype but bool, any strides of a and b; parallel over rows.
int32_t ck_matmul_generic(int32_t dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row, int64_t a_column,
                          const void *b, int64_t b_row, int64_t b_column, void *c, int64_t ldc);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif
#endif
