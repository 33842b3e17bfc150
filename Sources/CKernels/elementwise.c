// Elementwise operations: strides, broadcasts, 16-bit floats and threads around the loops of elementwise_body.h.
#include "internal.h"
#include <complex.h>
#undef I
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#define CK_BODY "elementwise_body.h"
#include "levels.h"

enum { STREAM_BLOCK = 8192 };  // bytes of results that are made in the L1 cache before they are written past all caches
enum { BLOCK = 1024 };  // elements of a strided or 16-bit operand that are handled at a time, in the L1 cache

void ck_widen(int32_t dtype, int64_t n, float *out, const void *a) {
  (dtype == CK_F16 ? CK_PICK(widen_f16) : CK_PICK(widen_bf16))(n, out, a);
}
void ck_narrow(int32_t dtype, int64_t n, void *out, const float *a) {
  (dtype == CK_F16 ? CK_PICK(narrow_f16) : CK_PICK(narrow_bf16))(n, out, a);
}
ck_loop ck_f32_unary(int32_t op) { return CK_PICK(unary)[op][CK_F32]; }

static int size_index(int64_t size) { return size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : size == 8 ? 3 : 4; }

typedef struct {
  ck_loop loop;
  int inputs;
  char *pointer[4];     // [0]: the output
  int64_t size[4];      // of an element in memory
  int32_t half[4];      // CK_F16, CK_BF16: converted to f32 for the loop; else 0
  bool streams;         // the output is written past the caches
  int rank;             // >= 1; the last dimension is the inner loop
  int64_t shape[CK_MAX_RANK], strides[4][CK_MAX_RANK];
} job;

// MARK: strides

// Orders the dimensions by falling stride of the output, drops those of size 1, joins neighbours that are one.
static int64_t collapse(job *j, const ck_nd *nd) {
  int order[CK_MAX_RANK], rank = 0;
  int64_t total = 1;
  for (int d = 0; d < nd->rank; d++) {
    total *= nd->shape[d];
    if (nd->shape[d] == 1) continue;
    int at = rank++;
    for (; at > 0; at--) {
      const int e = order[at - 1];
      int64_t before = llabs(nd->strides[0][e]), here = llabs(nd->strides[0][d]);
      if (before >= here) break;
      order[at] = e;
    }
    order[at] = d;
  }
  j->rank = 0;
  for (int i = 0; i < rank; i++) {
    const int d = order[i], last = j->rank - 1;
    bool joins = last >= 0;
    for (int p = 0; joins && p <= j->inputs; p++)
      joins = j->strides[p][last] == nd->strides[p][d] * nd->shape[d];
    const int to = joins ? last : j->rank++;
    j->shape[to] = joins ? j->shape[last] * nd->shape[d] : nd->shape[d];
    for (int p = 0; p <= j->inputs; p++) j->strides[p][to] = nd->strides[p][d];
  }
  if (j->rank == 0) {
    j->rank = 1;
    j->shape[0] = 1;
    for (int p = 0; p <= j->inputs; p++) j->strides[p][0] = 1;
  }
  return total;
}

#define PACK(T) for (int64_t i = 0; i < n; i++) ((T *)to)[i] = ((const T *)from)[i * stride]
#define UNPACK(T) for (int64_t i = 0; i < n; i++) ((T *)to)[i * stride] = ((const T *)from)[i]
static void pack(int64_t size, int64_t n, void *to, const void *from, int64_t stride) {
  switch (size) {
    case 1: PACK(uint8_t); break;
    case 2: PACK(uint16_t); break;
    case 4: PACK(uint32_t); break;
    case 8: PACK(uint64_t); break;
    default: PACK(ck_wide); break;
  }
}
static void unpack(int64_t size, int64_t n, void *to, const void *from, int64_t stride) {
  switch (size) {
    case 1: UNPACK(uint8_t); break;
    case 2: UNPACK(uint16_t); break;
    case 4: UNPACK(uint32_t); break;
    case 8: UNPACK(uint64_t); break;
    default: UNPACK(ck_wide); break;
  }
}

// MARK: rows

// One stretch of the inner dimension that needs packing or conversion, in blocks.
static void run_blocks(const job *j, int64_t n, char *const *p) {
  _Alignas(64) char wide[4][BLOCK * 16], raw[BLOCK * 16];
  const int inner = j->rank - 1;
  for (int64_t at = 0; at < n; at += BLOCK) {
    const int64_t count = ck_min64(BLOCK, n - at);
    const void *in[4] = {NULL, NULL, NULL, NULL};
    int steps = 0;
    for (int i = 1; i <= j->inputs; i++) {
      const int64_t stride = j->strides[i][inner], some = stride == 0 ? 1 : count;
      const void *from = p[i] + at * stride * j->size[i];
      if (stride != 0) steps |= 1 << (i - 1);
      if (stride != 0 && stride != 1) {
        void *to = j->half[i] ? raw : wide[i];
        pack(j->size[i], count, to, from, stride);
        from = to;
      }
      if (j->half[i]) {
        ck_widen(j->half[i], some, (float *)(void *)wide[i], from);
        from = wide[i];
      }
      in[i - 1] = from;
    }
    const int64_t stride = j->strides[0][inner];
    char *to = p[0] + at * stride * j->size[0];
    void *result = stride == 1 && !j->half[0] ? to : wide[0];
    j->loop(count, result, in[0], in[1], in[2], steps);
    if (j->half[0] && stride == 1) {
      ck_narrow(j->half[0], count, to, result);
    } else if (j->half[0]) {
      ck_narrow(j->half[0], count, raw, result);
      unpack(j->size[0], count, to, raw, stride);
    } else if (stride != 1) {
      unpack(j->size[0], count, to, result, stride);
    }
  }
}

// A long contiguous stretch whose results nobody will find in the caches: block after block, written past them.
static void run_streaming(const job *j, int64_t n, char *const *q, int steps) {
  _Alignas(64) char block[STREAM_BLOCK];
  const int64_t size = j->size[0], most = STREAM_BLOCK / size;
  const int64_t head = ck_min64(n, (int64_t)(-(uintptr_t)q[0] & 63) / size);
  for (int64_t at = 0; at < n;) {
    const int64_t rest = n - at, count = at < head ? head : rest >= most ? most : rest;
    const char *in[3];
    for (int i = 0; i < 3; i++) in[i] = i < j->inputs ? q[i + 1] + (steps >> i & 1 ? at * j->size[i + 1] : 0) : NULL;
    char *to = q[0] + at * size;
    const bool streams = count == most;
    j->loop(count, streams ? block : to, in[0], in[1], in[2], steps);
    if (streams) CK_PICK(stream)(STREAM_BLOCK, to, block);
    at += count;
  }
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

static void run_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const int inner = j->rank - 1;
  const int64_t length = j->shape[inner];
  int64_t index[CK_MAX_RANK] = {0}, rest = begin / length, column = begin % length;
  char *p[4];
  bool direct = j->strides[0][inner] == 1 && !j->half[0];
  int steps = 0;
  for (int i = 1; i <= j->inputs; i++) {
    const int64_t stride = j->strides[i][inner];
    direct = direct && (stride == 0 || stride == 1) && !j->half[i];
    steps |= (stride != 0) << (i - 1);
  }
  for (int i = 0; i <= j->inputs; i++) p[i] = j->pointer[i];
  for (int d = inner - 1; d >= 0; d--) {
    index[d] = rest % j->shape[d];
    rest /= j->shape[d];
    for (int i = 0; i <= j->inputs; i++) p[i] += index[d] * j->strides[i][d] * j->size[i];
  }
  for (int64_t at = begin; at < end;) {
    const int64_t n = ck_min64(length - column, end - at);
    char *q[4];
    for (int i = 0; i <= j->inputs; i++) q[i] = p[i] + column * j->strides[i][inner] * j->size[i];
    if (direct && j->streams && n * j->size[0] >= STREAM_BLOCK) run_streaming(j, n, q, steps);
    else if (direct) j->loop(n, q[0], q[1], j->inputs > 1 ? q[2] : NULL, j->inputs > 2 ? q[3] : NULL, steps);
    else run_blocks(j, n, q);
    at += n;
    column = 0;
    for (int d = inner - 1; d >= 0; d--) {  // the next row
      for (int i = 0; i <= j->inputs; i++) p[i] += j->strides[i][d] * j->size[i];
      if (++index[d] < j->shape[d]) break;
      for (int i = 0; i <= j->inputs; i++) p[i] -= j->shape[d] * j->strides[i][d] * j->size[i];
      index[d] = 0;
    }
  }
}

static int32_t run(job *j, const ck_nd *nd, int64_t grain) {
  if (!j->loop) return CK_UNSUPPORTED;
  const int64_t total = collapse(j, nd);
  j->streams = total * j->size[0] > CK_STREAM;
  for (int i = 1; i <= j->inputs; i++) j->streams = j->streams && j->pointer[i] != j->pointer[0];
  if (total > 0) ck_parallel(total, grain, j, run_range);
  return CK_OK;
}

static void operand(job *j, int i, const void *pointer, int32_t dtype, bool converts) {
  j->pointer[i] = (char *)(uintptr_t)pointer;
  j->size[i] = ck_element_size(dtype);
  j->half[i] = converts && ck_is_half(dtype) ? dtype : 0;
}

static ck_nd flat(int64_t n, int64_t step_a, int64_t step_b) {
  return (ck_nd){1, {n}, {{1}, {step_a}, {step_b}, {0}}};
}

static int32_t wide_dtype(int32_t dtype) { return ck_is_half(dtype) ? CK_F32 : dtype; }

static int64_t unary_grain(int32_t op, int32_t dtype) {
  const bool heavy = op == CK_EXP || op == CK_LOG || op == CK_TANH || op == CK_SIGMOID || op == CK_ERF ||
                     op == CK_SIN || op == CK_COS || op >= CK_EXPM1;
  if (ck_is_complex(dtype)) return op == CK_NEG || op == CK_CONJ ? CK_GRAIN / 2 : 512;
  return !heavy ? CK_GRAIN : dtype == CK_F64 ? 2048 : 8192;
}

// MARK: entry points

ck_elementwise ck_elementwise_loop(int32_t family, int32_t code, int32_t dtype, int32_t to) {
  if (!ck_is_dtype(dtype) || !ck_is_dtype(to) || code < 0) return NULL;
  switch (family) {
    case CK_FUSED_UNARY: return code < CK_UNARY_OPS ? CK_PICK(unary)[code][dtype] : NULL;
    case CK_FUSED_BINARY: return code < CK_BINARY_OPS ? CK_PICK(binary)[code][dtype] : NULL;
    case CK_FUSED_COMPARE: return code <= CK_GE ? CK_PICK(compare)[code][dtype] : NULL;
    case CK_FUSED_LOGIC: return code <= CK_XOR ? CK_PICK(logic)[code] : NULL;
    case CK_FUSED_WHERE: return CK_PICK(where)[size_index(ck_element_size(dtype))];
    case CK_FUSED_CAST:
      return dtype != to ? CK_PICK(casts)[dtype][to] : CK_PICK(same)[size_index(ck_element_size(dtype))];
    case CK_FUSED_CLAMP: return CK_PICK(clamp)[dtype];
    case CK_FUSED_CLAMP_GRAD: return code <= 1 ? CK_PICK(clamp_grad)[code][dtype] : NULL;
    default: return NULL;
  }
}
void ck_stream(int64_t bytes, void *to, const void *from) { CK_PICK(stream)(bytes, to, from); }

static ck_loop unary_loop(int32_t op, int32_t dtype) {
  if ((uint32_t)op >= CK_UNARY_OPS || !ck_is_dtype(dtype)) return NULL;
  return CK_PICK(unary)[op][wide_dtype(dtype)];
}
static ck_loop binary_loop(int32_t op, int32_t dtype) {
  if ((uint32_t)op >= CK_BINARY_OPS || !ck_is_dtype(dtype)) return NULL;
  return CK_PICK(binary)[op][wide_dtype(dtype)];
}
static ck_loop compare_loop(int32_t kind, int32_t dtype) {
  if ((uint32_t)kind > CK_GE || !ck_is_dtype(dtype)) return NULL;
  return CK_PICK(compare)[kind][wide_dtype(dtype)];
}

int32_t ck_unary(int32_t op, int32_t dtype, const ck_nd *nd, void *out, const void *a) {
  job j = {.loop = unary_loop(op, dtype), .inputs = 1};
  operand(&j, 0, out, dtype, true);
  operand(&j, 1, a, dtype, true);
  // A unary loop has no form for one repeated element: such a stretch is one element wide and then copied.
  ck_nd copy = *nd;
  if (j.loop)
    for (int d = 0; d < nd->rank; d++)
      if (nd->strides[1][d] == 0 && nd->shape[d] > 1) {
        copy.shape[d] = 1;
        const int32_t code = ck_unary(op, dtype, &copy, out, a);
        if (code || nd->shape[d] == 0) return code;
        ck_nd spread = *nd;
        for (int e = 0; e < nd->rank; e++) spread.strides[1][e] = e == d ? 0 : nd->strides[0][e];
        return ck_copy(dtype, &spread, out, out);
      }
  return run(&j, &copy, unary_grain(op, dtype));
}

int32_t ck_unary_flat(int32_t op, int32_t dtype, int64_t count, void *out, const void *a) {
  const ck_loop loop = unary_loop(op, dtype);
  if (!loop) return CK_UNSUPPORTED;
  if (count <= 2048 && !ck_is_half(dtype)) {
    loop(count, out, a, NULL, NULL, 1);
    return CK_OK;
  }
  const ck_nd nd = flat(count, 1, 0);
  return ck_unary(op, dtype, &nd, out, a);
}

int32_t ck_binary(int32_t op, int32_t dtype, const ck_nd *nd, void *out, const void *a, const void *b) {
  job j = {.loop = binary_loop(op, dtype), .inputs = 2};
  operand(&j, 0, out, dtype, true);
  operand(&j, 1, a, dtype, true);
  operand(&j, 2, b, dtype, true);
  return run(&j, nd, op >= CK_POW ? 2048 : CK_GRAIN);
}

int32_t ck_binary_flat(int32_t op, int32_t dtype, int64_t count, void *out, const void *a, int32_t step_a,
                       const void *b, int32_t step_b) {
  const ck_loop loop = binary_loop(op, dtype);
  if (!loop) return CK_UNSUPPORTED;
  if (count <= 2048 && !ck_is_half(dtype)) {
    loop(count, out, a, b, NULL, step_a | step_b << 1);
    return CK_OK;
  }
  const ck_nd nd = flat(count, step_a, step_b);
  return ck_binary(op, dtype, &nd, out, a, b);
}

int32_t ck_compare(int32_t kind, int32_t dtype, const ck_nd *nd, bool *out, const void *a, const void *b) {
  job j = {.loop = compare_loop(kind, dtype), .inputs = 2};
  operand(&j, 0, out, CK_BOOL, false);
  operand(&j, 1, a, dtype, true);
  operand(&j, 2, b, dtype, true);
  return run(&j, nd, CK_GRAIN);
}

int32_t ck_compare_flat(int32_t kind, int32_t dtype, int64_t count, bool *out, const void *a, int32_t step_a,
                        const void *b, int32_t step_b) {
  const ck_nd nd = flat(count, step_a, step_b);
  return ck_compare(kind, dtype, &nd, out, a, b);
}

int32_t ck_logic(int32_t kind, const ck_nd *nd, bool *out, const bool *a, const bool *b) {
  job j = {.loop = (uint32_t)kind > CK_XOR ? NULL : CK_PICK(logic)[kind], .inputs = 2};
  operand(&j, 0, out, CK_BOOL, false);
  operand(&j, 1, a, CK_BOOL, false);
  operand(&j, 2, b, CK_BOOL, false);
  return run(&j, nd, CK_GRAIN);
}

int32_t ck_where(int32_t dtype, const ck_nd *nd, void *out, const bool *condition, const void *a, const void *b) {
  if (!ck_is_dtype(dtype)) return CK_UNSUPPORTED;
  job j = {.loop = CK_PICK(where)[size_index(ck_element_size(dtype))], .inputs = 3};
  operand(&j, 0, out, dtype, false);
  operand(&j, 1, condition, CK_BOOL, false);
  operand(&j, 2, a, dtype, false);
  operand(&j, 3, b, dtype, false);
  return run(&j, nd, CK_GRAIN);
}

// Both bounds as one operand that does not walk.
typedef union { float f32[2]; double f64[2]; } bounds_t;
static bounds_t bounds_of(int32_t dtype, double low, double high) {
  return dtype == CK_F64 ? (bounds_t){.f64 = {low, high}} : (bounds_t){.f32 = {(float)low, (float)high}};
}

int32_t ck_clamp(int32_t dtype, const ck_nd *nd, void *out, const void *x, double low, double high) {
  if (!ck_is_float(dtype)) return CK_UNSUPPORTED;
  const bounds_t bounds = bounds_of(dtype, low, high);
  job j = {.loop = CK_PICK(clamp)[wide_dtype(dtype)], .inputs = 2};
  operand(&j, 0, out, dtype, true);
  operand(&j, 1, x, dtype, true);
  operand(&j, 2, &bounds, wide_dtype(dtype), false);
  ck_nd with = *nd;
  memset(with.strides[2], 0, sizeof with.strides[2]);
  return run(&j, &with, CK_GRAIN);
}

int32_t ck_clamp_grad(int32_t dtype, const ck_nd *nd, bool open, void *out, const void *g, const void *x, double low,
                      double high) {
  if (!ck_is_float(dtype)) return CK_UNSUPPORTED;
  const bounds_t bounds = bounds_of(dtype, low, high);
  job j = {.loop = CK_PICK(clamp_grad)[open][wide_dtype(dtype)], .inputs = 3};
  operand(&j, 0, out, dtype, true);
  operand(&j, 1, g, dtype, true);
  operand(&j, 2, x, dtype, true);
  operand(&j, 3, &bounds, wide_dtype(dtype), false);
  ck_nd with = *nd;
  memset(with.strides[3], 0, sizeof with.strides[3]);
  return run(&j, &with, CK_GRAIN);
}

int32_t ck_cast(int32_t from, int32_t to, const ck_nd *nd, void *out, const void *a) {
  if (!ck_is_dtype(from) || !ck_is_dtype(to)) return CK_UNSUPPORTED;
  if (from == to) return ck_copy(from, nd, out, a);
  job j = {.loop = CK_PICK(casts)[wide_dtype(from)][wide_dtype(to)], .inputs = 1};
  operand(&j, 0, out, to, true);
  operand(&j, 1, a, from, true);
  ck_nd one = *nd;  // as in ck_unary: repeated elements are cast once
  for (int d = 0; d < nd->rank; d++)
    if (nd->strides[1][d] == 0 && nd->shape[d] > 1) {
      one.shape[d] = 1;
      const int32_t code = ck_cast(from, to, &one, out, a);
      ck_nd spread = *nd;
      for (int e = 0; e < nd->rank; e++) spread.strides[1][e] = e == d ? 0 : nd->strides[0][e];
      return code ? code : ck_copy(to, &spread, out, out);
    }
  return run(&j, nd, CK_GRAIN);
}

int32_t ck_magnitude(int32_t dtype, const ck_nd *nd, void *out, const void *a) {
  if (!ck_is_complex(dtype)) return CK_UNSUPPORTED;
  job j = {.loop = dtype == CK_C64 ? CK_PICK(magnitude_c64) : CK_PICK(magnitude_c128), .inputs = 1};
  operand(&j, 0, out, dtype == CK_C64 ? CK_F32 : CK_F64, false);
  operand(&j, 1, a, dtype, false);
  return run(&j, nd, CK_GRAIN / 4);
}

int32_t ck_cast_flat(int32_t from, int32_t to, int64_t count, void *out, const void *a) {
  const ck_nd nd = flat(count, 1, 0);
  return ck_cast(from, to, &nd, out, a);
}
