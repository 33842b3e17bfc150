// The gradient of a convolution's weights in bfloat16, of images whose channels are adjacent: at each place of the window a
// product of matrices [outputs, positions] [positions, channels], of pairs of positions (pairs.h).
//
// Each number is summed in one order, whatever the threads: two halves of the positions have sums of their own, so that two
// cores need not read the same images.
#include "pairs.h"

enum {
  SLICES = 2,
  STRETCH = 512,  // positions and
  CHANNELS = 64,  // channels that a product takes at once
};

typedef struct {
  ck_window w;
  int64_t outputs, places, positions, slice;  // slice: positions of one, even
  const uint16_t *x;
  const uint16_t *y;
  ck_pair *pairs;   // of y: [positions / 2, outputs]
  float *sums;      // [slices, places, outputs, channels]
  uint16_t *dw;     // [outputs, channels, places]
  int32_t failed;
} job;

static int64_t blocks_of(const job *j) { return (j->w.channels + CHANNELS - 1) / CHANNELS; }

static job plan(const ck_window *w, int64_t images, int64_t outputs) {
  job j = {.w = *w, .outputs = outputs};
  j.places = w->kernel[0] * w->kernel[1] * w->kernel[2];
  j.positions = images * w->out[0] * w->out[1] * w->out[2];
  j.slice = ((j.positions + SLICES - 1) / SLICES + 1) & ~(int64_t)1;
  return j;
}
static size_t pairs_bytes(const job *j) {
  return ((size_t)((j->positions + 1) / 2 * j->outputs) * sizeof(ck_pair) + 63) & ~(size_t)63;
}

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512bf16"))), apply_to = function)
#endif

static void pair_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  ck_pair_rows(ck_min64(2 * end, j->positions) - 2 * begin, j->outputs, j->y + 2 * begin * j->outputs, j->outputs,
               j->pairs + begin * j->outputs, j->outputs);
}

// What a place of the window reads, position by position.
typedef struct {
  const int64_t *place;
  int64_t image, at[3];
  const uint16_t *row;  // the first pixel of the row that it reads; NULL outside of the image
} walk;

static void begin_row(const job *j, walk *k) {
  const ck_window *w = &j->w;
  int64_t index = k->image;
  k->row = NULL;
  for (int d = 0; d < 2; d++) {
    const int64_t i = k->at[d] * w->stride[d] + k->place[d] * w->dilation[d] - w->low[d];
    if (i < 0 || i >= w->size[d]) return;
    index = index * w->size[d] + i;
  }
  k->row = j->x + index * w->size[2] * w->channels;
}
static walk begin_at(const job *j, const int64_t *place, int64_t position) {
  walk k = {.place = place};
  for (int d = 2; d >= 0; d--) {
    k.at[d] = position % j->w.out[d];
    position /= j->w.out[d];
  }
  k.image = position;
  begin_row(j, &k);
  return k;
}
// The pixel at this position, NULL outside of the image; then the next position.
static inline const uint16_t *next(const job *j, walk *k) {
  const ck_window *w = &j->w;
  const int64_t i = k->at[2] * w->stride[2] + k->place[2] * w->dilation[2] - w->low[2];
  const uint16_t *pixel = k->row && i >= 0 && i < w->size[2] ? k->row + i * w->channels : NULL;
  if (++k->at[2] == w->out[2]) {
    k->at[2] = 0;
    if (++k->at[1] == w->out[1]) {
      k->at[1] = 0;
      if (++k->at[0] == w->out[0]) k->at[0] = 0, k->image++;
    }
    begin_row(j, k);
  }
  return pixel;
}

// n channels of what a place reads for `count` positions, in pairs.
static void gather(const job *j, walk *k, int64_t count, int64_t channel, int64_t n, ck_pair *to) {
  for (int64_t p = 0; p < count; p += 2, to += CHANNELS) {
    const uint16_t *a = next(j, k), *b = p + 1 < count ? next(j, k) : NULL;
    if (a) a += channel;
    if (b) b += channel;
    if (a && b) for (int64_t i = 0; i < n; i++) to[i] = (uint32_t)a[i] | (uint32_t)b[i] << 16;
    else if (a) for (int64_t i = 0; i < n; i++) to[i] = a[i];
    else if (b) for (int64_t i = 0; i < n; i++) to[i] = (uint32_t)b[i] << 16;
    else memset(to, 0, (size_t)n * sizeof *to);
  }
}

// A place of the window, a block of channels and a slice of the positions.
static void sum_range(void *context, int64_t begin, int64_t end) {
  job *j = context;
  const ck_window *w = &j->w;
  const size_t bytes = STRETCH / 2 * CHANNELS * sizeof(ck_pair);
  ck_pair *read = ck_alloc(bytes);
  if (!read) __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
  for (int64_t task = begin; read && task < end; task++) {
    const int64_t channel = task % blocks_of(j) * CHANNELS, n = ck_min64(CHANNELS, w->channels - channel);
    const int64_t index = task / blocks_of(j), p = index % j->places, slice = index / j->places;
    const int64_t place[3] = {p / w->kernel[2] / w->kernel[1], p / w->kernel[2] % w->kernel[1], p % w->kernel[2]};
    const int64_t start = slice * j->slice, stop = ck_min64(j->positions, start + j->slice);
    float *sums = j->sums + index * j->outputs * w->channels + channel;
    if (start >= stop) {
      for (int64_t r = 0; r < j->outputs; r++) memset(sums + r * w->channels, 0, (size_t)n * sizeof *sums);
      continue;
    }
    walk k = begin_at(j, place, start);
    for (int64_t at = start; at < stop; at += STRETCH) {
      const int64_t count = ck_min64(STRETCH, stop - at);
      gather(j, &k, count, channel, n, read);
      ck_multiply_pairs(at > start, j->outputs, n, (count + 1) / 2, j->pairs + at / 2 * j->outputs, 1, j->outputs, read,
                        CHANNELS, sums, w->channels);
    }
  }
  if (read) ck_free(read, bytes);
}

// Rows of outputs: the sums of the slices, each channel's places next to each other.
static void finish_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const int64_t channels = j->w.channels, step = j->outputs * channels;
  for (int64_t o = begin; o < end; o++)
    for (int64_t first = 0; first < channels; first += CHANNELS) {
      const int64_t n = ck_min64(CHANNELS, channels - first);
      for (int64_t p = 0; p < j->places; p++) {
        const float *from = j->sums + p * step + o * channels + first;
        float sums[CHANNELS];
        uint16_t narrow[CHANNELS];
        memcpy(sums, from, (size_t)n * sizeof *sums);
        for (int64_t slice = 1; slice < SLICES; slice++) {
          from += j->places * step;
          for (int64_t c = 0; c < n; c++) sums[c] += from[c];
        }
        ck_narrow(CK_BF16, n, narrow, sums);
        for (int64_t c = 0; c < n; c++) j->dw[(o * channels + first + c) * j->places + p] = narrow[c];
      }
    }
}

#if defined(__x86_64__)
#pragma clang attribute pop
#endif

bool ck_pair_gradient_applies(const ck_window *w, int64_t images, int64_t outputs) {
  return ck_has_bf16_dots && w->channels >= 16 && outputs >= 6 && images > 0;  // below that most of a tile is empty
}

size_t ck_pair_gradient_bytes(const ck_window *w, int64_t images, int64_t outputs) {
  const job j = plan(w, images, outputs);
  return pairs_bytes(&j) + (size_t)(SLICES * j.places * outputs * w->channels) * sizeof(float);
}

int32_t ck_pair_gradient(const ck_window *w, int64_t images, int64_t outputs, void *dw, const void *x, const void *y,
                         void *work) {
  job j = plan(w, images, outputs);
  j.x = x;
  j.y = y;
  j.dw = dw;
  j.pairs = work;
  j.sums = (float *)(void *)((char *)work + pairs_bytes(&j));
  ck_parallel((j.positions + 1) / 2, ck_grain_for(outputs), &j, pair_range);
  ck_parallel(SLICES * j.places * blocks_of(&j), 1, &j, sum_range);
  ck_parallel(outputs, ck_grain_for(w->channels * j.places), &j, finish_range);
  return j.failed ? CK_NO_MEMORY : CK_OK;
}
