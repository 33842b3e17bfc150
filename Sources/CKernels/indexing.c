// Gather, scatter-add, take and take-add on contiguous data, and the check of their indices.
#include "internal.h"

typedef struct { int32_t dtype, bad; const void *idx; int64_t size; } check_job;

static void check_range(void *context, int64_t begin, int64_t end) {
  check_job *j = context;
  bool bad = false;  // without a branch, so that it is vectorised
  if (j->dtype == CK_I32)
    for (int64_t i = begin; i < end; i++) bad |= (uint64_t)((const int32_t *)j->idx)[i] >= (uint64_t)j->size;
  else
    for (int64_t i = begin; i < end; i++) bad |= ((const uint64_t *)j->idx)[i] >= (uint64_t)j->size;
  if (bad) __atomic_store_n(&j->bad, 1, __ATOMIC_RELAXED);
}

ck_status ck_check_indices(int32_t index_dtype, int64_t count, const void *idx, int64_t size) {
  if (index_dtype != CK_I32 && index_dtype != CK_I64) return (ck_status){CK_UNSUPPORTED, 0};
  check_job j = {index_dtype, 0, idx, size};
  ck_parallel(count, CK_GRAIN * 4, &j, check_range);
  if (!j.bad) return (ck_status){CK_OK, 0};
  int64_t i = 0;  // the first one, whichever thread found one
  while ((uint64_t)ck_index_at(index_dtype, idx, i) < (uint64_t)size) i++;
  return (ck_status){CK_BAD_INDEX, ck_index_at(index_dtype, idx, i)};
}

typedef struct {
  int32_t dtype, index_dtype;
  int64_t size, outer, axis, inner, count;
  char *out;
  const char *a;
  const void *idx;
  int32_t failed;
  int64_t *order;  // take-add of 16-bit floats
} job;

// *o += *s in a dtype that is not a 16-bit float.
static void add_one(int32_t dtype, char *o, const char *s) {
#define ADD(T, U) { T x, y; memcpy(&x, o, sizeof x); memcpy(&y, s, sizeof y); x = (T)((U)x + (U)y); memcpy(o, &x, sizeof x); } break
  switch (dtype) {
    case CK_BOOL: *o = (char)(*o | *s); break;
    case CK_U8: case CK_I8: ADD(uint8_t, uint32_t);
    case CK_I16: ADD(uint16_t, uint32_t);
    case CK_I32: case CK_U32: ADD(uint32_t, uint32_t);
    case CK_I64: ADD(uint64_t, uint64_t);
    case CK_F32: ADD(float, float);
    case CK_F64: ADD(double, double);
    case CK_C64:
    case CK_C128: {
      const int32_t part = dtype == CK_C64 ? CK_F32 : CK_F64;
      add_one(part, o, s);
      add_one(part, o + ck_element_size(part), s + ck_element_size(part));
    }
  }
}

// MARK: gather

static void gather_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const int64_t slice = j->count * j->inner;
  int64_t o = begin / slice, place = begin % slice, i = begin % j->inner;  // counted on: divisions cost more than elements
  for (int64_t at = begin; at < end; at++) {
    const int64_t k = ck_index_at(j->index_dtype, j->idx, at);
    const char *from = j->a + ((o * j->axis + k) * j->inner + i) * j->size;
    if (++i == j->inner) i = 0;
    if (++place == slice) {
      place = 0;
      o++;
    }
    char *to = j->out + at * j->size;
    switch (j->size) {
      case 1: *to = *from; break;
      case 2: memcpy(to, from, 2); break;
      case 4: memcpy(to, from, 4); break;
      case 8: memcpy(to, from, 8); break;
      default: memcpy(to, from, 16); break;
    }
  }
}

ck_status ck_gather(int32_t dtype, int64_t outer, int64_t axis, int64_t inner, int64_t count, void *out, const void *a,
                    int32_t index_dtype, const void *idx) {
  if (!ck_is_dtype(dtype)) return (ck_status){CK_UNSUPPORTED, 0};
  const ck_status status = ck_check_indices(index_dtype, outer * count * inner, idx, axis);
  if (status.code) return status;
  job j = {dtype, index_dtype, ck_element_size(dtype), outer, axis, inner, count, out, a, idx, 0, NULL};
  ck_parallel(outer * count * inner, CK_GRAIN / 4, &j, gather_range);
  return status;
}

// MARK: scatter-add: one thread owns an outer slice, so that sums have one order

// 16-bit floats are added up in float32 and rounded once.
static void scatter_half(void *context, int64_t begin, int64_t end) {
  job *j = context;
  const int64_t slice = j->axis * j->inner, values = j->count * j->inner;
  const size_t bytes = (size_t)(slice + values) * sizeof(float);
  float *sums = ck_alloc(bytes), *added = sums + slice;
  if (!sums) {
    __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  for (int64_t o = begin; o < end; o++) {
    ck_widen(j->dtype, slice, sums, j->out + o * slice * j->size);
    ck_widen(j->dtype, values, added, j->a + o * values * j->size);
    for (int64_t at = 0; at < values; at++)
      sums[ck_index_at(j->index_dtype, j->idx, o * values + at) * j->inner + at % j->inner] += added[at];
    ck_narrow(j->dtype, slice, j->out + o * slice * j->size, sums);
  }
  ck_free(sums, bytes);
}

static void scatter_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t o = begin; o < end; o++)
    for (int64_t c = 0; c < j->count; c++)
      for (int64_t i = 0; i < j->inner; i++) {
        const int64_t at = (o * j->count + c) * j->inner + i, k = ck_index_at(j->index_dtype, j->idx, at);
        add_one(j->dtype, j->out + ((o * j->axis + k) * j->inner + i) * j->size, j->a + at * j->size);
      }
}

int32_t ck_scatter_add(int32_t dtype, int64_t outer, int64_t axis, int64_t inner, int64_t count, void *out,
                       int32_t index_dtype, const void *idx, const void *src) {
  if (!ck_is_dtype(dtype)) return CK_UNSUPPORTED;
  if (outer * count * inner == 0) return CK_OK;
  job j = {dtype, index_dtype, ck_element_size(dtype), outer, axis, inner, count, out, src, idx, 0, NULL};
  ck_parallel(outer, ck_grain_for(count * inner * 4), &j, ck_is_half(dtype) ? scatter_half : scatter_range);
  return j.failed ? CK_NO_MEMORY : CK_OK;
}

// MARK: take

static void take_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const size_t bytes = (size_t)(j->inner * j->size);
  int64_t o = begin / j->count, c = begin % j->count;  // counted on: a division costs more than an element
  for (int64_t at = begin; at < end; at++) {
    const int64_t row = o * j->axis + ck_index_at(j->index_dtype, j->idx, c);
    if (++c == j->count) {
      c = 0;
      o++;
    }
    char *to = j->out + (size_t)at * bytes;
    const char *from = j->a + (size_t)row * bytes;
    switch (bytes) {  // single elements without a call
      case 4: memcpy(to, from, 4); break;
      case 8: memcpy(to, from, 8); break;
      default: memcpy(to, from, bytes);
    }
  }
}

ck_status ck_take(int32_t dtype, int64_t outer, int64_t axis, int64_t inner, int64_t count, void *out, const void *a,
                  int32_t index_dtype, const void *idx) {
  if (!ck_is_dtype(dtype)) return (ck_status){CK_UNSUPPORTED, 0};
  const ck_status status = ck_check_indices(index_dtype, count, idx, axis);
  if (status.code || inner == 0) return status;
  job j = {dtype, index_dtype, ck_element_size(dtype), outer, axis, inner, count, out, a, idx, 0, NULL};
  ck_parallel(outer * count, ck_grain_for(inner), &j, take_range);
  return status;
}

// MARK: take-add: a thread owns a stretch of the inner axis (or of the outer one), so that sums have one order

// 16-bit floats: `order` has the positions of the indices, those of equal ones together and in their order, so that each
// row is added up in float32 and rounded once.
static void add_half_rows(const job *j, int64_t o, int64_t first, int64_t width) {
  float sum[512], value[512];
  for (int64_t at = 0; at < width; at += 512) {
    const int64_t n = ck_min64(512, width - at);
    for (int64_t c = 0; c < j->count;) {
      const int64_t k = ck_index_at(j->index_dtype, j->idx, j->order[c]);
      char *to = j->out + ((o * j->axis + k) * j->inner + first + at) * j->size;
      ck_widen(j->dtype, n, sum, to);
      for (; c < j->count && ck_index_at(j->index_dtype, j->idx, j->order[c]) == k; c++) {
        ck_widen(j->dtype, n, value, j->a + ((o * j->count + j->order[c]) * j->inner + first + at) * j->size);
        for (int64_t i = 0; i < n; i++) sum[i] += value[i];
      }
      ck_narrow(j->dtype, n, to, sum);
    }
  }
}

// The positions of the indices by index, then by position: a merge sort between two halves of memory.
static void sort_positions(const job *j, int64_t *order, int64_t *spare) {
  for (int64_t c = 0; c < j->count; c++) order[c] = c;
  for (int64_t run = 1; run < j->count; run *= 2) {
    for (int64_t begin = 0; begin < j->count; begin += 2 * run) {
      const int64_t middle = ck_min64(begin + run, j->count), end = ck_min64(begin + 2 * run, j->count);
      int64_t a = begin, b = middle;
      for (int64_t to = begin; to < end; to++)
        spare[to] = b == end || (a < middle && ck_index_at(j->index_dtype, j->idx, order[a]) <=
                                                 ck_index_at(j->index_dtype, j->idx, order[b])) ? order[a++] : order[b++];
    }
    memcpy(order, spare, (size_t)j->count * sizeof *order);
  }
}

static void add_rows(const job *j, int64_t o, int64_t first, int64_t width) {
  if (j->order) {
    add_half_rows(j, o, first, width);
    return;
  }
  for (int64_t c = 0; c < j->count; c++) {
    const int64_t k = ck_index_at(j->index_dtype, j->idx, c);
    char *to = j->out + ((o * j->axis + k) * j->inner + first) * j->size;
    const char *from = j->a + ((o * j->count + c) * j->inner + first) * j->size;
    for (int64_t at = 0; at < width; at += 1024)  // short enough to run at once
      ck_binary_flat(CK_ADD, j->dtype, ck_min64(1024, width - at), to + at * j->size, to + at * j->size, 1,
                     from + at * j->size, 1);
  }
}

static void take_add_outer(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t o = begin; o < end; o++) add_rows(j, o, 0, j->inner);
}

static void take_add_inner(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const int64_t first = begin * 64, last = ck_min64(end * 64, j->inner);
  for (int64_t o = 0; o < j->outer; o++) add_rows(j, o, first, last - first);
}

int32_t ck_take_add(int32_t dtype, int64_t outer, int64_t axis, int64_t inner, int64_t count, void *out,
                    int32_t index_dtype, const void *idx, const void *src) {
  if (!ck_is_dtype(dtype)) return CK_UNSUPPORTED;
  if (outer * inner * count == 0) return CK_OK;
  job j = {dtype, index_dtype, ck_element_size(dtype), outer, axis, inner, count, out, src, idx, 0, NULL};
  const size_t bytes = (size_t)(2 * count) * sizeof(int64_t);
  if (ck_is_half(dtype)) {
    j.order = ck_alloc(bytes);
    if (!j.order) return CK_NO_MEMORY;
    sort_positions(&j, j.order, j.order + count);
  }
  if (outer > 1) ck_parallel(outer, ck_grain_for(count * inner), &j, take_add_outer);
  else ck_parallel((inner + 63) / 64, ck_grain_for(outer * count * 64), &j, take_add_inner);
  if (j.order) ck_free(j.order, bytes);
  return CK_OK;
}
