// Copies between strided views, and fill.
#include "internal.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#define CK_BODY "copy_body.h"
#include "levels.h"

typedef struct {
  int64_t size, shape[3 + CK_MAX_RANK], to[3 + CK_MAX_RANK], from[3 + CK_MAX_RANK];
  int rank;
  int64_t group;  // rows that a thread takes at once
  bool turns;     // a matrix of which the input walks down the columns
  bool streams;   // the result is far larger than the caches
  char *out;
  const char *in;
} job;

// [rows, columns], strides in elements. Tiles of 32 x 32 keep both sides in the L1 cache when neither walks by one.
#define COPY2(T)                                                                                        \
  static void copy2_##T(int64_t rows, int64_t columns, T *out, int64_t or_, int64_t oc, const T *in,    \
                        int64_t ir, int64_t ic) {                                                       \
    if (oc == 1 && ic == 1) {                                                                           \
      for (int64_t r = 0; r < rows; r++) memmove(out + r * or_, in + r * ir, (size_t)columns * sizeof(T)); \
    } else if (ic == 0) {                                                                               \
      for (int64_t r = 0; r < rows; r++) {                                                              \
        const T x = in[r * ir];                                                                         \
        for (int64_t c = 0; c < columns; c++) out[r * or_ + c * oc] = x;                                \
      }                                                                                                 \
    } else {                                                                                            \
      for (int64_t r0 = 0; r0 < rows; r0 += 32)                                                         \
        for (int64_t c0 = 0; c0 < columns; c0 += 32)                                                    \
          for (int64_t r = r0; r < ck_min64(r0 + 32, rows); r++)                                        \
            for (int64_t c = c0; c < ck_min64(c0 + 32, columns); c++)                                   \
              out[r * or_ + c * oc] = in[r * ir + c * ic];                                              \
    }                                                                                                   \
  }
COPY2(uint8_t)
COPY2(uint16_t)
COPY2(uint32_t)
COPY2(uint64_t)
COPY2(ck_wide)

// Over the elements of all but the last two dimensions, times groups of the rows of the last but one.
static void run_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const int c = j->rank - 1, r = j->rank - 2;
  const int64_t groups = (j->shape[r] + j->group - 1) / j->group;
  for (int64_t unit = begin; unit < end;) {
    const int64_t first = unit % groups, some = ck_min64(groups - first, end - unit);
    int64_t rest = unit / groups, to = 0, from = 0;
    for (int d = r - 1; d >= 0; d--) {
      to += rest % j->shape[d] * j->to[d];
      from += rest % j->shape[d] * j->from[d];
      rest /= j->shape[d];
    }
    const int64_t row = first * j->group, rows = ck_min64(some * j->group, j->shape[r] - row);
    void *out = j->out + (to + row * j->to[r]) * j->size;
    const void *in = j->in + (from + row * j->from[r]) * j->size;
    unit += some;
    if (j->turns) {
#define TURN(bits) CK_PICK(turn##bits)(j->shape[c], rows, out, j->to[r], in, j->from[c], j->streams)
      switch (j->size) {
        case 1: TURN(8); break;
        case 2: TURN(16); break;
        case 4: TURN(32); break;
        case 8: TURN(64); break;
        default: TURN(128); break;
      }
      continue;
    }
#define CALL(T) copy2_##T(rows, j->shape[c], out, j->to[r], j->to[c], in, j->from[r], j->from[c])
    switch (j->size) {
      case 1: CALL(uint8_t); break;
      case 2: CALL(uint16_t); break;
      case 4: CALL(uint32_t); break;
      case 8: CALL(uint64_t); break;
      default: CALL(ck_wide); break;
    }
  }
}

int32_t ck_copy(int32_t dtype, const ck_nd *nd, void *out, const void *a) {
  job j = {.size = ck_element_size(dtype), .out = out, .in = a, .group = 32};
  if (!j.size) return CK_UNSUPPORTED;
  int64_t total = 1;
  int rank = 0;
  for (int d = 0; d < nd->rank; d++) {  // join neighbours that walk as one
    const int64_t n = nd->shape[d], to = nd->strides[0][d], from = nd->strides[1][d];
    total *= n;
    if (n == 1) continue;
    const bool joins = rank > 0 && j.to[rank - 1] == to * n && j.from[rank - 1] == from * n;
    const int at = joins ? rank - 1 : rank++;
    j.shape[at] = joins ? j.shape[at] * n : n;
    j.to[at] = to;
    j.from[at] = from;
  }
  if (total == 0) return CK_OK;
  if (rank == 0 || (rank == 1 && j.to[0] == 1 && j.from[0] == 1)) {  // contiguous: rows for the threads
    j.rank = 2;
    j.shape[0] = (total + 4095) / 4096;
    const int64_t whole = total / 4096, rest = total % 4096;
    j.shape[0] = whole;
    j.shape[1] = 4096;
    j.to[0] = j.from[0] = 4096;
    j.to[1] = j.from[1] = 1;
    if (whole > 0) ck_parallel((whole + 31) / 32, 1 + CK_GRAIN / 4096 / 32, &j, run_range);
    memmove(j.out + whole * 4096 * j.size, j.in + whole * 4096 * j.size, (size_t)(rest * j.size));
    return CK_OK;
  }
  while (rank < 2) {
    j.shape[rank] = 1;
    j.to[rank] = j.from[rank] = 1;
    rank++;
  }
  j.rank = rank;
  // The dimension along which the input walks by one becomes the last but one, so that tiles serve both sides.
  int unit = rank - 1;
  for (int d = 0; d < rank - 1; d++)
    if (j.from[d] == 1 && j.shape[d] > 1 && j.from[rank - 1] != 1) unit = d;
  if (unit < rank - 2) {
    const int64_t n = j.shape[unit], to = j.to[unit], from = j.from[unit];
    for (int d = unit; d < rank - 2; d++) {
      j.shape[d] = j.shape[d + 1];
      j.to[d] = j.to[d + 1];
      j.from[d] = j.from[d + 1];
    }
    j.shape[rank - 2] = n;
    j.to[rank - 2] = to;
    j.from[rank - 2] = from;
  }
  const int64_t height = j.shape[rank - 2], width = j.shape[rank - 1];
  j.turns = j.to[rank - 1] == 1 && j.from[rank - 2] == 1 && height >= 8 && width >= 8;
  j.streams = total * j.size > CK_STREAM;
  if (j.turns && height >= 1024) j.group = 128;  // the input is read in longer stretches
  const int64_t rows = ck_min64(j.group, height);
  int64_t units = (height + j.group - 1) / j.group;
  for (int d = 0; d < rank - 2; d++) units *= j.shape[d];
  ck_parallel(units, ck_grain_for(rows * width), &j, run_range);
  return CK_OK;
}

int32_t ck_fill(int32_t dtype, int64_t count, void *out, const void *value) {
  const ck_nd nd = {1, {count}, {{1}, {0}, {0}, {0}}};
  return ck_copy(dtype, &nd, out, value);
}
