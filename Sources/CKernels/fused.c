// Elementwise programs: a chain of operations run over blocks that stay in the L1 cache, so that memory is read and written
// once. The loops are those of elementwise_body.h; 16-bit floats are float32 between the steps. Results may be reduced as they
// are made, in the order of reduce.c.
#include "internal.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { BLOCK = 512, VALUES = CK_FUSED_INPUTS + CK_FUSED_REGISTERS };

// How an operand is found at a position of the results, which are walked in the order in which they lie.
typedef struct {
  const char *base;
  int64_t size;           // of an element in memory
  int32_t dtype;
  int rank;               // joined dimensions; 0: one element
  bool linear;            // lies like the results
  int64_t shape[CK_MAX_RANK], strides[CK_MAX_RANK];
} operand_t;

typedef struct {
  const ck_fused *program;
  int64_t total, width;   // elements; bytes of an element of a register
  int64_t length, tile;   // of a row, where results are reduced; columns at once
  operand_t in[CK_FUSED_INPUTS];
  char *out[CK_FUSED_OUTPUTS];
  bool streams[CK_FUSED_OUTPUTS];  // written past the caches
  bool direct[CK_FUSED_OUTPUTS];   // the step that makes it writes to memory itself
  ck_loop loop[CK_FUSED_STEPS];
  ck_reduction reduction[CK_FUSED_OUTPUTS];
  char *groups[CK_FUSED_OUTPUTS];  // the sums of groups of rows, where columns are reduced
} fused_job;

static int32_t wide(int32_t dtype) { return ck_is_half(dtype) ? CK_F32 : dtype; }

// Joins neighbouring dimensions that are one; dimensions of size 1 are left out.
static void join(operand_t *o, int rank, const int64_t *shape, const int64_t *strides) {
  o->rank = 0;
  bool repeats = true;
  for (int d = 0; d < rank; d++) {
    if (shape[d] == 1) continue;
    if (strides[d] != 0) repeats = false;
    const int last = o->rank - 1;
    if (last >= 0 && o->strides[last] == strides[d] * shape[d]) {
      o->shape[last] *= shape[d];
      o->strides[last] = strides[d];
    } else {
      o->shape[o->rank] = shape[d];
      o->strides[o->rank++] = strides[d];
    }
  }
  if (repeats) o->rank = 0;
  o->linear = o->rank == 1 && o->strides[0] == 1;
}

#define GATHER(T) for (int64_t i = 0; i < n; i++) ((T *)to)[i] = ((const T *)from)[i * stride]
static void gather_row(int64_t size, int64_t n, void *to, const void *from, int64_t stride) {
  if (stride == 1) {
    memcpy(to, from, (size_t)(n * size));
    return;
  }
  switch (size) {
    case 1: GATHER(uint8_t); break;
    case 2: GATHER(uint16_t); break;
    case 4: GATHER(uint32_t); break;
    default: GATHER(uint64_t); break;
  }
}

// The elements `at ..< at + n` of an operand: where they lie in a row, that row, else copied to `buffer`.
static const void *fetch(const operand_t *o, int64_t at, int64_t n, void *buffer, bool *walks) {
  *walks = true;
  if (o->linear) return o->base + at * o->size;
  if (o->rank == 0) {
    *walks = false;
    return o->base;
  }
  int64_t index[CK_MAX_RANK], rest = at;
  const char *row = o->base;
  const int inner = o->rank - 1;
  for (int d = inner; d >= 0; d--) {
    index[d] = rest % o->shape[d];
    rest /= o->shape[d];
    if (d < inner) row += index[d] * o->strides[d] * o->size;
  }
  const int64_t stride = o->strides[inner];
  if (index[inner] + n <= o->shape[inner] && (stride == 0 || stride == 1)) {
    *walks = stride == 1;
    return row + index[inner] * stride * o->size;
  }
  char *to = buffer;
  for (int64_t left = n;;) {
    const int64_t some = ck_min64(left, o->shape[inner] - index[inner]);
    gather_row(o->size, some, to, row + index[inner] * stride * o->size, stride);
    to += some * o->size;
    if ((left -= some) == 0) return buffer;
    index[inner] = 0;
    for (int d = inner - 1; d >= 0; d--) {
      row += o->strides[d] * o->size;
      if (++index[d] < o->shape[d]) break;
      row -= o->shape[d] * o->strides[d] * o->size;
      index[d] = 0;
    }
  }
}

// Elements `begin ..< end`. What is to be reduced is left in the slots.
static void run_span(const fused_job *j, int64_t begin, int64_t end, char *const *slots) {
  const ck_fused *program = j->program;
  _Alignas(64) char registers[CK_FUSED_REGISTERS * BLOCK * 8], buffers[CK_FUSED_INPUTS][BLOCK * 8];
  _Alignas(64) char raw[BLOCK * 8], bounds[16];
  for (int64_t at = begin; at < end; at += BLOCK) {
    const int64_t n = ck_min64(BLOCK, end - at);
    const void *value[VALUES];
    bool walks[VALUES];
    for (int i = 0; i < program->inputs; i++) {
      const operand_t *o = &j->in[i];
      if (ck_is_half(o->dtype)) {
        const void *from = fetch(o, at, n, raw, &walks[i]);
        ck_widen(o->dtype, walks[i] ? n : 1, (float *)(void *)buffers[i], from);
        value[i] = buffers[i];
      } else {
        value[i] = fetch(o, at, n, buffers[i], &walks[i]);
      }
    }
    for (int s = 0; s < program->steps; s++) {
      const ck_fused_step *step = &program->step[s];
      const void *in[3] = {NULL, NULL, NULL};
      int steps = 0;
      for (int i = 0; i < step->inputs; i++) {
        in[i] = value[step->in[i]];
        steps |= (int)walks[step->in[i]] << i;
      }
      const bool some = steps != 0;
      if (step->family == CK_FUSED_CLAMP || step->family == CK_FUSED_CLAMP_GRAD) {
        if (step->dtype == CK_F64) {
          ((double *)(void *)bounds)[0] = step->low;
          ((double *)(void *)bounds)[1] = step->high;
        } else {
          ((float *)(void *)bounds)[0] = (float)step->low;
          ((float *)(void *)bounds)[1] = (float)step->high;
        }
        in[step->inputs] = bounds;
      }
      const int to = program->inputs + step->out;
      char *result = registers + step->out * BLOCK * j->width;
      if (step->store >= 0 && some && j->direct[step->store])
        result = j->out[step->store] + at * ck_element_size(program->output_dtype[step->store]);
      j->loop[s](some ? n : 1, result, in[0], in[1], in[2], steps);
      value[to] = result;
      walks[to] = some;
      if (step->slot >= 0) {
        const int64_t size = ck_element_size(wide(step->to));
        char *slot = slots[step->slot] + (at - begin) * size;
        if (some) memcpy(slot, result, (size_t)(n * size));
        else gather_row(size, n, slot, result, 0);
      }
      if (step->store < 0) continue;
      // The result is done with: to memory, unless it is there.
      const int k = step->store;
      const int32_t dtype = program->output_dtype[k];
      const int64_t size = ck_element_size(dtype);
      char *memory = j->out[k] + at * size;
      if (result == memory) continue;
      const void *from = result;
      if (ck_is_half(dtype)) {
        ck_narrow(dtype, some ? n : 1, raw, (const float *)(const void *)result);
        from = raw;
      }
      if (!some) gather_row(size, n, memory, from, 0);
      else if (j->streams[k] && n == BLOCK && ((uintptr_t)memory & 63) == 0) ck_stream(n * size, memory, from);
      else memcpy(memory, from, (size_t)(n * size));
    }
  }
#if defined(__x86_64__)
  for (int k = 0; k < program->outputs; k++)
    if (j->streams[k]) {
      _mm_sfence();
      break;
    }
#endif
}

static void run_range(void *context, int64_t begin, int64_t end) {
  const fused_job *j = context;
  run_span(j, begin, end, NULL);
}

// MARK: results that are reduced

// The elements to be reduced, a block of each slot.
typedef struct {
  _Alignas(64) char memory[CK_FUSED_OUTPUTS][CK_REDUCE_BLOCK * 8];
  char *slots[CK_FUSED_OUTPUTS];
} stage;

// Runs at most a block.
static void run_staged(const fused_job *j, stage *s, int64_t begin, int64_t end) {
  for (int i = 0; i < CK_FUSED_OUTPUTS; i++) s->slots[i] = s->memory[i];
  run_span(j, begin, end, s->slots);
}

static bool is_reduced(const fused_job *j, int output) { return j->program->reduction[output] >= 0; }

static int64_t groups_of(const fused_job *j) {
  return (j->total / j->length + CK_REDUCE_GROUP - 1) / CK_REDUCE_GROUP;
}

// Where the elements of a reduced output lie.
static const char *staged(const fused_job *j, const stage *s, int output) { return s->memory[j->program->slot[output]]; }

static void put(const ck_reduction *r, int64_t piece, int64_t k, const void *x) {
  memcpy(r->partial + (piece * r->kept + k) * r->wide_size, x, (size_t)r->wide_size);
}

// Rows that are not longer than a block, some at once.
static void short_row_range(void *context, int64_t begin, int64_t end) {
  const fused_job *j = context;
  const int64_t length = j->length, some = CK_REDUCE_BLOCK / length;
  stage s;
  double x;
  for (int64_t first = begin; first < end; first += some) {
    const int64_t rows = ck_min64(some, end - first);
    run_staged(j, &s, first * length, (first + rows) * length);
    for (int k = 0; k < j->program->outputs; k++) {
      const ck_reduction *r = &j->reduction[k];
      for (int64_t i = 0; is_reduced(j, k) && i < rows; i++) {
        r->row(length, &x, staged(j, &s, k) + i * length * r->wide_size);
        put(r, 0, first + i, &x);
      }
    }
  }
}

// Pieces of long rows.
static void long_row_range(void *context, int64_t begin, int64_t end) {
  const fused_job *j = context;
  const int64_t length = j->length, pieces = (length + CK_REDUCE_SPAN - 1) / CK_REDUCE_SPAN;
  stage s;
  double x, sum[CK_FUSED_OUTPUTS];
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t row = unit / pieces, piece = unit % pieces, first = piece * CK_REDUCE_SPAN;
    const int64_t stop = ck_min64(length, first + CK_REDUCE_SPAN);
    for (int64_t at = first; at < stop; at += CK_REDUCE_BLOCK) {
      const int64_t n = ck_min64(CK_REDUCE_BLOCK, stop - at);
      run_staged(j, &s, row * length + at, row * length + at + n);
      for (int k = 0; k < j->program->outputs; k++) {
        const ck_reduction *r = &j->reduction[k];
        if (!is_reduced(j, k)) continue;
        r->row(n, at == first ? &sum[k] : &x, staged(j, &s, k));
        if (at > first) r->col(1, &sum[k], &x);
      }
    }
    for (int k = 0; k < j->program->outputs; k++)
      if (is_reduced(j, k)) put(&j->reduction[k], piece, row, &sum[k]);
  }
}

// Columns, `length` of them: the sums of a tile of columns over a group of rows.
static void column_range(void *context, int64_t begin, int64_t end) {
  const fused_job *j = context;
  const int64_t columns = j->length, rows = j->total / columns, tiles = (columns + j->tile - 1) / j->tile;
  stage s;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t group = unit / tiles, first = unit % tiles * j->tile, n = ck_min64(j->tile, columns - first);
    const int64_t some = n == columns ? CK_REDUCE_BLOCK / n : 1;  // rows that follow each other in memory
    const int64_t start = group * CK_REDUCE_GROUP, stop = ck_min64(rows, start + CK_REDUCE_GROUP);
    for (int64_t row = start; row < stop; row += some) {
      const int64_t here = ck_min64(some, stop - row), at = row * columns + first;
      run_staged(j, &s, at, at + (here - 1) * columns + n);
      for (int k = 0; k < j->program->outputs; k++) {
        const ck_reduction *r = &j->reduction[k];
        if (!is_reduced(j, k)) continue;
        char *sum = j->groups[k] + (group * columns + first) * r->wide_size;
        for (int64_t i = 0; i < here; i++) {
          const char *from = staged(j, &s, k) + i * columns * r->wide_size;
          if (row + i == start) memcpy(sum, from, (size_t)(n * r->wide_size));
          else r->col(n, sum, from);
        }
      }
    }
  }
}

// The sums of pieces from those of their groups.
static void piece_range(void *context, int64_t begin, int64_t end) {
  const fused_job *j = context;
  const int64_t columns = j->length, groups = groups_of(j), each = CK_REDUCE_ROWS / CK_REDUCE_GROUP;
  for (int k = 0; k < j->program->outputs; k++) {
    const ck_reduction *r = &j->reduction[k];
    const int64_t size = columns * r->wide_size;
    for (int64_t piece = begin; is_reduced(j, k) && piece < end; piece++) {
      char *total = r->partial + piece * size;
      for (int64_t group = piece * each; group < ck_min64(groups, (piece + 1) * each); group++) {
        const char *from = j->groups[k] + group * size;
        if (group == piece * each) memcpy(total, from, (size_t)size);
        else r->col(columns, total, from);
      }
    }
  }
}

// False: no memory.
static bool reduce_columns(fused_job *j, int64_t pieces, int64_t cost) {
  const int64_t groups = groups_of(j);
  size_t bytes[CK_FUSED_OUTPUTS];
  bool fits = true;
  for (int k = 0; k < j->program->outputs; k++) {
    bytes[k] = is_reduced(j, k) ? (size_t)(groups * j->length * j->reduction[k].wide_size) : 0;
    j->groups[k] = bytes[k] ? ck_alloc(bytes[k]) : NULL;
    fits = fits && (j->groups[k] || !bytes[k]);
  }
  // Narrow enough that there is work for many threads; columns do not depend on each other.
  j->tile = CK_REDUCE_TILE;
  while (j->tile > 256 && (j->length + j->tile - 1) / j->tile * groups < 16) j->tile /= 2;
  const int64_t tiles = (j->length + j->tile - 1) / j->tile, work = ck_min64(j->tile, j->length) * CK_REDUCE_GROUP;
  if (fits) {
    ck_parallel(tiles * groups, ck_grain_for(work * cost), j, column_range);
    ck_parallel(pieces, ck_grain_for(j->length * CK_REDUCE_ROWS / CK_REDUCE_GROUP), j, piece_range);
  }
  for (int k = 0; k < j->program->outputs; k++)
    if (j->groups[k]) ck_free(j->groups[k], bytes[k]);
  return fits;
}

// `cost`: of one element.
static int32_t reduce(fused_job *j, int rank, const int64_t *shape, int64_t cost) {
  const ck_fused *program = j->program;
  const bool by_column = program->axis < 0;
  const int axis = by_column ? ~program->axis : program->axis;
  j->length = 1;  // of a row: the elements that are reduced, or that stay
  for (int d = axis; d < rank; d++) j->length *= shape[d];
  const int64_t rows = j->total / j->length, kept = by_column ? j->length : rows, reduced = j->total / kept;
  const int64_t piece = by_column ? CK_REDUCE_ROWS : CK_REDUCE_SPAN;
  int32_t begun = 0;
  for (; begun < program->outputs; begun++)
    if (is_reduced(j, begun) &&
        !ck_reduction_begin(&j->reduction[begun], program->reduction[begun], wide(program->output_dtype[begun]),
                            program->output_dtype[begun], kept, reduced, piece, j->out[begun]))
      break;
  const int64_t pieces = (reduced + piece - 1) / piece;
  bool fits = begun == program->outputs;
  if (fits) {
    if (by_column) {
      fits = reduce_columns(j, pieces, cost);
    } else if (j->length <= CK_REDUCE_BLOCK) {
      ck_parallel(rows, ck_grain_for(j->length * cost), j, short_row_range);
    } else {
      ck_parallel(rows * pieces, ck_grain_for(ck_min64(CK_REDUCE_SPAN, j->length) * cost), j, long_row_range);
    }
  }
  for (int k = 0; k < begun; k++)
    if (is_reduced(j, k)) ck_reduction_end(&j->reduction[k], fits ? j->out[k] : NULL);
  return fits ? CK_OK : CK_NO_MEMORY;
}

int32_t ck_run_fused(const ck_fused *program, int32_t rank, const int64_t *shape, const int64_t *strides,
                     void *const *pointers) {
  fused_job j;
  j.program = program;
  j.total = 1;
  j.width = program->width;
  for (int d = 0; d < rank; d++) j.total *= shape[d];
  if (j.total == 0) return CK_OK;
  for (int i = 0; i < program->inputs; i++) {
    operand_t *o = &j.in[i];
    o->base = pointers[i];
    o->dtype = program->input_dtype[i];
    o->size = ck_element_size(o->dtype);
    join(o, rank, shape, strides + i * CK_MAX_RANK);
  }
  bool reduces = false;
  for (int k = 0; k < program->outputs; k++) {
    const int32_t dtype = program->output_dtype[k];
    j.out[k] = pointers[program->inputs + k];
    reduces |= is_reduced(&j, k);
    j.streams[k] = !is_reduced(&j, k) && j.total * ck_element_size(dtype) > CK_STREAM;
    for (int i = 0; i < program->inputs; i++) j.streams[k] = j.streams[k] && pointers[i] != (const void *)j.out[k];
    j.direct[k] = !ck_is_half(dtype) && !j.streams[k];
  }
  int64_t cost = 1;
  for (int s = 0; s < program->steps; s++) {
    const ck_fused_step *step = &program->step[s];
    j.loop[s] = ck_elementwise_loop(step->family, step->code, wide(step->dtype), wide(step->to));
    if (!j.loop[s]) return CK_UNSUPPORTED;
    cost += step->family == CK_FUSED_UNARY && step->code > CK_RELU ? 4 : 1;
  }
  if (reduces) return reduce(&j, rank, shape, cost);
  if (j.total <= BLOCK) run_range(&j, 0, j.total);
  else ck_parallel(j.total, ck_max64(1024, 2 * CK_GRAIN / cost), &j, run_range);
  return CK_OK;
}
