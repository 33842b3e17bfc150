// Convolutions with 3x3 kernels by Winograd's method, of images whose channels are adjacent.
//
// y = A^T [(G w G^T) * (B^T x B)] A over tiles of 4x4 outputs from 6x6 inputs: at each of the 36 places of a tile a product
// of matrices [tiles, channels] [channels, outputs]. The gradient of the weights is the adjoint in w:
// G^T [(A y A^T) * (B^T x B)] G, with sums over the tiles. Each number is summed in one order, whatever the threads: where the
// sums are not too large, those of two halves of the tiles, so that two cores need not read what the other has written.
#include "internal.h"

// Images in tiles of 4x4, each with the numbers around it that a window needs.
typedef struct {
  int64_t channels, size[2], low[2];  // size: of the images that are read or written
  int64_t tiles[2];                   // per image
} tiles;
typedef struct { int64_t image, row, column; } place;
static inline place place_of(const tiles *g, int64_t tile) {
  const int64_t row = tile / g->tiles[1];
  return (place){row / g->tiles[0], row % g->tiles[0], tile % g->tiles[1]};
}

// The points of the interpolation are 0, P, -P, Q, -Q and infinity: with these, errors are a third of those with 1 and 2. All
// powers below are exact. OVER_x: 1 / product of the differences of x and the other finite points.
#define P 0.625f
#define Q 1.5f
#define OVER_0 (1 / (P * P * Q * Q))
#define OVER_P (1 / (2 * P * P * (P * P - Q * Q)))
#define OVER_Q (1 / (2 * Q * Q * (Q * Q - P * P)))

#define CK_BODY "winograd_body.h"
#include "levels.h"

enum { PLACES = 36 };
// Bytes of transformed tiles that a thread keeps in its L2 cache, that two may, and that all threads keep in the L3 cache.
enum { NEAR = 600 << 10, NEARBY = 3 << 20, FAR = 12 << 20 };
// Transformed kernels of more bytes than this are worth reading only once.
enum { LARGE = 6 << 20 };
// Processors that see steps from place to place fetch the places after the last one too, and would take them from the core
// that works there; so many lie idle between the memory of two threads.
enum { IDLE = 8 };
enum { LINE = 16, GAP = LINE };  // floats of a cache line, and between rows: rows of a power of two would share cache sets

typedef struct {
  tiles x, y;
  int64_t count;          // tiles
  int64_t inputs, outputs, ldx, ldy;
  int64_t block;          // tiles at once: of a thread, of all in turns, or of a slice
  bool in_turns;
  int32_t threads;
  int64_t panel, panels;
  int64_t area_u, area_x, area_y, area_w;  // floats from place to place
  int64_t lot;            // floats from the tiles (and sums) of a thread or a slice to those of the next
  // Of the gradient of weights: slices of the tiles that have sums of their own, the tiles of one; input channels at once, and
  // the first of them.
  int64_t slices, slice, rows, row;
  bool half;              // images and kernels are bfloat16
  const void *from, *gradient, *w;
  ck_epilogue end;
  void *to, *dw;
  bool turned;
  int64_t first, now;     // tiles of this turn
  float *u, *vx, *vy, *sums, *zeros;
} job;

static int64_t rounded_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// Floats from place to place: the lines of all places fall into different sets of the caches.
static int64_t area(int64_t floats) { return (rounded_up(floats, LINE) / LINE | 1) * LINE; }

static void plan(job *j, const ck_winograd *c) {
  memset(j, 0, sizeof *j);
  const bool back = c->direction == CK_WINOGRAD_INPUT_GRADIENT;
  j->half = c->half;
  j->threads = c->threads < 1 ? 1 : c->threads;
  j->turned = back;
  j->inputs = back ? c->outputs : c->channels;
  j->outputs = back ? c->channels : c->outputs;
  j->x.channels = j->inputs;
  j->y.channels = j->outputs;
  j->count = c->examples;
  for (int d = 0; d < 2; d++) {
    j->x.size[d] = back ? c->out[d] : c->size[d];
    j->y.size[d] = back ? c->size[d] : c->out[d];
    j->x.low[d] = back ? 2 - c->low[d] : c->low[d];
    j->x.tiles[d] = j->y.tiles[d] = (j->y.size[d] + 3) / 4;
    j->count *= j->y.tiles[d];
  }
  j->ldx = j->inputs + GAP;
  j->ldy = j->outputs + GAP;
  j->panel = CK_PICK(panel)();
  j->panels = (j->outputs + j->panel - 1) / j->panel;
  const int64_t bytes = PLACES * (j->ldx + j->ldy) * (int64_t)sizeof(float);
  const int64_t all = rounded_up(j->count, 2);
  const bool weights = c->direction == CK_WINOGRAD_WEIGHT_GRADIENT;
  if (weights) {
    const int64_t sums = PLACES * j->inputs * j->outputs * (int64_t)sizeof(float);
    j->in_turns = true;
    j->slices = 2 * sums <= FAR ? 2 : 1;
    j->slice = (j->count + j->slices - 1) / j->slices;
    j->block = all * bytes <= FAR ? j->slice : ck_min64(j->slice, ck_max64(32, NEARBY / bytes) / j->slices);
    j->rows = j->inputs;
    if (j->block == j->slice && j->slices == 1)
      while (j->rows % 32 == 0 && PLACES * j->rows * j->outputs * (int64_t)sizeof(float) > NEARBY) j->rows /= 2;
  } else {
    j->in_turns = PLACES * j->inputs * j->outputs * (int64_t)sizeof(float) > LARGE;
    if (j->in_turns) j->block = ck_min64(all, ck_max64(48, FAR / bytes / 6 * 6));
    else j->block = ck_min64(all, ck_max64(12, NEAR / bytes / 6 * 6));
  }
  j->area_u = area(j->inputs * j->outputs);
  j->area_x = area(j->block * j->ldx);
  j->area_y = area(j->block * j->ldy);
  j->area_w = weights ? area(j->rows * j->outputs) : 0;
  j->lot = PLACES * (j->area_x + j->area_y + j->area_w) + IDLE * ck_max64(j->area_y, j->area_w);
}

// The parts of the work memory, in floats; their sum, or the places of the parts in `work`.
static size_t lay(job *j, const ck_winograd *c, float *work) {
  const bool weights = c->direction == CK_WINOGRAD_WEIGHT_GRADIENT;
  const int64_t blocks = weights ? j->slices : j->in_turns ? 1 : j->threads;
  const struct { float **part; int64_t count; } parts[] = {
    {&j->u, weights || c->packed ? 0 : PLACES * j->area_u},
    {&j->vx, blocks * j->lot},
    {&j->zeros, ck_max64(j->inputs, j->outputs)},
  };
  size_t at = 0;
  for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
    *parts[i].part = work ? work + at : NULL;
    at += (size_t)rounded_up(parts[i].count, 16);
  }
  if (work) {
    j->vy = j->vx + PLACES * j->area_x;
    j->sums = j->vy + PLACES * j->area_y;
  }
  return at * sizeof(float);
}

// MARK: phases; each runs for shares of the work, one per thread

typedef void share_body(job *j, int32_t thread, int64_t begin, int64_t end);
typedef struct { job *j; share_body *body; int64_t count; } shares;

static void share_range(void *context, int64_t begin, int64_t end) {
  const shares *s = context;
  for (int64_t i = begin; i < end; i++) {
    const int64_t first = s->count * i / s->j->threads, last = s->count * (i + 1) / s->j->threads;
    if (first < last) s->body(s->j, (int32_t)i, first, last);
  }
}
static void share(job *j, int64_t count, share_body *body) {
  shares s = {j, body, count};
  ck_parallel(j->threads, 1, &s, share_range);
}

// A panel's width, and where it begins at one place.
static int64_t width_of(const job *j, int64_t panel) { return ck_min64(j->panel, j->outputs - panel * j->panel); }

static void transform_kernels(job *j, int32_t thread, int64_t begin, int64_t end) {
  (void)thread;
  for (int64_t i = begin; i < end; i++) {  // rows of panels
    const int64_t panel = i / j->inputs, row = i % j->inputs, first = panel * j->panel;
    const int64_t width = width_of(j, panel), count = ck_min64(end - i, j->inputs - row);
    const int64_t column_step = j->turned ? 9 : j->inputs * 9, row_step = j->turned ? j->outputs * 9 : 9;
    CK_PICK(kernels_in)((const char *)j->w + row * row_step * (j->half ? 2 : 4), column_step, row_step, j->turned, count,
                        first, width, j->u + first * j->inputs + row * width, j->area_u, j->half);
    i += count - 1;
  }
}

// Tiles `begin`..<`end` from images to images.
static void whole_blocks(job *j, int32_t thread, int64_t begin, int64_t end) {
  float *vx = j->vx + thread * j->lot, *vy = j->vy + thread * j->lot;
  for (int64_t first = begin * 2; first < ck_min64(end * 2, j->count);) {
    const int64_t count = ck_min64(j->block, ck_min64(end * 2, j->count) - first), rows = rounded_up(count, 2);
    CK_PICK(tiles_in)(&j->x, 6, first, count, j->from, j->zeros, vx, j->ldx, j->area_x, j->half);
    if (rows > count)
      for (int p = 0; p < PLACES; p++) memset(vx + p * j->area_x + count * j->ldx, 0, (size_t)j->inputs * sizeof(float));
    for (int p = 0; p < PLACES; p++)
      for (int64_t q = 0; q < j->panels; q++) {
        const int64_t width = width_of(j, q);
        CK_PICK(rows_product)(rows, width, j->inputs, vx + p * j->area_x, j->ldx,
                              j->u + p * j->area_u + q * j->panel * j->inputs, width, vy + p * j->area_y + q * j->panel,
                              j->ldy, false);
      }
    CK_PICK(tiles_out)(&j->y, first, count, vy, j->ldy, j->area_y, &j->end, j->to, j->half);
    first += count;
  }
}

static void transform_x(job *j, int32_t thread, int64_t begin, int64_t end) {
  (void)thread;
  CK_PICK(tiles_in)(&j->x, 6, j->first + begin, end - begin, j->from, j->zeros, j->vx + begin * j->ldx, j->ldx,
                    j->area_x, j->half);
}
static void multiply(job *j, int32_t thread, int64_t begin, int64_t end) {
  (void)thread;
  for (int64_t i = begin; i < end; i++) {
    const int64_t p = i / j->panels, q = i % j->panels, width = width_of(j, q);
    CK_PICK(rows_product)(rounded_up(j->now, 2), width, j->inputs, j->vx + p * j->area_x, j->ldx,
                          j->u + p * j->area_u + q * j->panel * j->inputs, width,
                          j->vy + p * j->area_y + q * j->panel, j->ldy, false);
  }
}
static void transform_back(job *j, int32_t thread, int64_t begin, int64_t end) {
  (void)thread;
  CK_PICK(tiles_out)(&j->y, j->first + begin, end - begin, j->vy + begin * j->ldy, j->ldy, j->area_y, &j->end,
                     j->to, j->half);
}

// Tiles of a turn that a slice has.
static int64_t now_of(const job *j, int64_t slice) {
  const int64_t begin = slice * j->slice + j->first, end = ck_min64(j->count, (slice + 1) * j->slice);
  return ck_max64(0, ck_min64(j->block, end - begin));
}
// Tiles `begin`..<`end` of the turn, those of one slice after those of the other.
static void transform_both(job *j, int32_t thread, int64_t begin, int64_t end) {
  (void)thread;
  for (int64_t s = begin / j->block; s * j->block < end; s++) {
    const int64_t from = ck_max64(0, begin - s * j->block), to = ck_min64(now_of(j, s), end - s * j->block);
    if (from >= to) continue;
    const int64_t tile = s * j->slice + j->first + from;
    CK_PICK(tiles_in)(&j->x, 6, tile, to - from, j->from, j->zeros, j->vx + s * j->lot + from * j->ldx, j->ldx, j->area_x,
                      j->half);
    CK_PICK(tiles_in)(&j->y, 4, tile, to - from, j->gradient, j->zeros, j->vy + s * j->lot + from * j->ldy, j->ldy, j->area_y,
                      j->half);
  }
}
// Places `begin`..<`end`, those of one slice after those of the other: rows of the gradient by all columns.
static void sum_products(job *j, int32_t thread, int64_t begin, int64_t end) {
  (void)thread;
  for (int64_t i = begin; i < end; i++) {
    const int64_t slice = i / PLACES, p = i % PLACES;
    const float *vx = j->vx + slice * j->lot + p * j->area_x, *vy = j->vy + slice * j->lot + p * j->area_y;
    float *sums = j->sums + slice * j->lot + p * j->area_w;
    for (int64_t q = 0; q < j->panels; q++) {
      const int64_t width = width_of(j, q);
      CK_PICK(columns_product)(j->rows, width, now_of(j, slice), vx + j->row, j->ldx, vy + q * j->panel, j->ldy,
                               sums + q * j->panel * j->rows, width, j->first > 0);
    }
  }
}
// Rows of panels.
static void transform_sums(job *j, int32_t thread, int64_t begin, int64_t end) {
  (void)thread;
  for (int64_t i = begin; i < end;) {
    const int64_t q = i / j->rows, row = i % j->rows, width = width_of(j, q), count = ck_min64(end - i, j->rows - row);
    float *sums = j->sums + q * j->panel * j->rows + row * width;
    for (int64_t p = 0; p < (j->slices - 1) * PLACES; p++) {
      float *to = sums + p % PLACES * j->area_w;
      const float *from = to + (p / PLACES + 1) * j->lot;
      for (int64_t k = 0; k < count * width; k++) to[k] += from[k];
    }
    CK_PICK(kernels_out)(sums, count, width, j->area_w,
                         (char *)j->dw + (q * j->panel * j->inputs + j->row + row) * 9 * (j->half ? 2 : 4),
                         j->inputs * 9, j->half);
    i += count;
  }
}

// MARK: entry points

bool ck_winograd_applies(const ck_winograd *c) {
  if (c->channels < 16 || c->outputs < 16 || c->channels % 16 || c->outputs % 16 || c->examples < 1) return false;
  for (int d = 0; d < 2; d++) {
    const int64_t high = c->out[d] + 2 - c->size[d] - c->low[d];
    if (c->size[d] < 1 || c->out[d] < 1 || c->low[d] < 0 || c->low[d] > 1 || high < 0 || high > 1) return false;
  }
  return true;
}

size_t ck_winograd_bytes(const ck_winograd *c) {
  job j;
  plan(&j, c);
  return lay(&j, c, NULL);
}

size_t ck_winograd_packed_bytes(const ck_winograd *c) {
  job j;
  plan(&j, c);
  return (size_t)(PLACES * j.area_u) * sizeof(float);
}

void ck_winograd_pack(const ck_winograd *c, const void *w, void *packed) {
  job j;
  plan(&j, c);
  j.w = w;
  j.u = packed;
  share(&j, j.panels * j.inputs, transform_kernels);
}

void ck_winograd_run(const ck_winograd *c, void *x, void *w, const ck_epilogue *end, void *y, void *work) {
  job j;
  plan(&j, c);
  lay(&j, c, work);
  memset(j.zeros, 0, (size_t)ck_max64(j.inputs, j.outputs) * sizeof(float));
  if (c->direction == CK_WINOGRAD_WEIGHT_GRADIENT) {
    j.from = x;
    j.gradient = y;
    j.dw = w;
    for (j.first = 0; j.first < j.slice; j.first += j.block) {
      share(&j, j.slices * j.block, transform_both);
      // Some rows only where the sums need not wait for the next turn.
      for (j.row = 0; j.row < j.inputs; j.row += j.rows) {
        share(&j, j.slices * PLACES, sum_products);
        if (j.first + j.block >= j.slice) share(&j, j.panels * j.rows, transform_sums);
      }
    }
    return;
  }
  j.from = j.turned ? y : x;
  j.to = j.turned ? x : y;
  j.end = *end;
  if (c->packed) {
    j.u = w;
  } else {
    j.w = w;
    share(&j, j.panels * j.inputs, transform_kernels);
  }
  if (!j.in_turns) {
    share(&j, (j.count + 1) / 2, whole_blocks);
    return;
  }
  for (j.first = 0; j.first < j.count; j.first += j.block) {
    j.now = ck_min64(j.block, j.count - j.first);
    share(&j, j.now, transform_x);
    if (j.now % 2)
      for (int p = 0; p < PLACES; p++)
        memset(j.vx + p * j.area_x + j.now * j.ldx, 0, (size_t)j.inputs * sizeof(float));
    share(&j, PLACES * j.panels, multiply);
    share(&j, j.now, transform_back);
  }
}
