// Grids with elements of type T; F(name) names the functions. Coordinates are computed without fused operations, so that
// those between two elements fall to the same one as in any other way to compute them.
#pragma STDC FP_CONTRACT OFF

typedef struct {
  int64_t count;
  int32_t at[TAPS][BLOCK];  // -1: beyond the border
  T weight[TAPS][BLOCK], slope[3][TAPS][BLOCK];  // the derivatives of the weight by the coordinates of the grid
} F(taps);

typedef struct {
  const ck_grid *grid;
  const T *places, *x, *ct;
  T *y, *dx, *dgrid;
  int64_t plane, blocks;
} F(grid_job);

// A coordinate that the padding has moved inside, and the derivative of that.
static inline T F(inside)(const ck_grid *g, int axis, T place, T *slope) {
  const T last = (T)(g->size[axis] - 1);
  if (g->padding == CK_GRID_ZEROS) return place;
  if (g->padding == CK_GRID_REFLECTION) {
    const T low = g->align_corners ? 0 : (T)-0.5, span = g->align_corners ? last : last + 1;
    if (span == 0) {
      *slope = 0;
      return 0;
    }
    const T offset = place - low, distance = offset < 0 ? -offset : offset;
    const T flips = (T)floor((double)(distance / span)), rest = distance - flips * span;
    const bool even = fmod((double)flips, 2) == 0;
    if ((offset < 0) == even) *slope = -*slope;
    place = (even ? rest : span - rest) + low;
  }
  if (!(place > 0 && place < last)) *slope = 0;
  return place > 0 ? (place < last ? place : last) : 0;
}

// One axis of a place: up to four elements (-1: beyond the border), what they count, and the derivatives.
typedef struct { int64_t at[4]; T weight[4], slope[4]; } F(line);

static inline int64_t F(element)(T place, int64_t size) { return place >= 0 && place <= (T)(size - 1) ? (int64_t)place : -1; }

static void F(make_line)(const ck_grid *g, int axis, T u, F(line) *line) {
  const int64_t size = g->size[axis];
  T slope = g->align_corners ? (T)((double)(size - 1) / 2) : (T)((double)size * 0.5);
  if (u != u) {
    u = -1;
    slope = 0;
  }
  const T place = g->align_corners ? (u + 1) * (T)((double)(size - 1) / 2) : ((u + 1) * (T)size - 1) * (T)0.5;
  if (g->mode == CK_GRID_NEAREST) {
    line->at[0] = F(element)((T)nearbyint((double)F(inside)(g, axis, place, &slope)), size);
    line->weight[0] = 1;
    line->slope[0] = 0;
    return;
  }
  if (g->mode == CK_GRID_LINEAR) {
    const T at = F(inside)(g, axis, place, &slope), below = (T)floor((double)at), after = at - below;
    for (int k = 0; k < 2; k++) {
      line->at[k] = F(element)(below + (T)k, size);
      line->weight[k] = k ? after : 1 - after;
      line->slope[k] = k ? slope : -slope;
    }
    return;
  }
  // The padding moves each of the four by itself.
  const T below = (T)floor((double)place), after = place - below, a = (T)-0.75;
  for (int k = 0; k < 4; k++) {
    T none = 0;
    line->at[k] = F(element)(F(inside)(g, axis, below + (T)(k - 1), &none), size);
    const T sign = k < 2 ? 1 : -1, d = sign * (after + (T)(1 - k));
    const bool near = k == 1 || k == 2;
    line->weight[k] = near ? ((a + 2) * d - (a + 3)) * d * d + 1 : (((d - 5) * d + 8) * d - 4) * a;
    line->slope[k] = sign * slope * (near ? (3 * (a + 2) * d - 2 * (a + 3)) * d : ((3 * d - 10) * d + 8) * a);
  }
}

// The taps of places first ..< first + n of an image.
static void F(make_taps)(const F(grid_job) *j, int64_t image, int64_t first, int64_t n, bool slopes, F(taps) *taps) {
  const ck_grid *g = j->grid;
  const int64_t width = g->mode == CK_GRID_CUBIC ? 4 : g->mode == CK_GRID_LINEAR ? 2 : 1;
  taps->count = 1;
  for (int a = 0; a < g->axes; a++) taps->count *= width;
  for (int64_t i = 0; i < n; i++) {
    const T *u = j->places + (image * g->places + first + i) * g->axes;
    F(line) lines[3];
    for (int a = 0; a < g->axes; a++) F(make_line)(g, a, u[g->axes - 1 - a], &lines[a]);
    for (int64_t tap = 0; tap < taps->count; tap++) {
      int64_t at = 0, rest = tap, which[3];
      bool is_inside = true;
      T weight = 1;
      for (int a = g->axes - 1; a >= 0; a--) {
        which[a] = rest % width;
        rest /= width;
      }
      for (int a = 0; a < g->axes; a++) {
        const int64_t element = lines[a].at[which[a]];
        is_inside &= element >= 0;
        at = at * g->size[a] + element;
        weight *= lines[a].weight[which[a]];
      }
      taps->at[tap][i] = is_inside ? (int32_t)at : -1;
      taps->weight[tap][i] = is_inside ? weight : 0;
      for (int a = 0; slopes && a < g->axes; a++) {
        T slope = is_inside ? lines[a].slope[which[a]] : 0;
        for (int b = 0; is_inside && b < g->axes; b++)
          if (b != a) slope *= lines[b].weight[which[b]];
        taps->slope[a][tap][i] = slope;
      }
    }
  }
}

static void F(read_places)(void *context, int64_t begin, int64_t end) {
  const F(grid_job) *j = context;
  const ck_grid *g = j->grid;
  F(taps) taps;
  for (int64_t block = begin; block < end; block++) {
    const int64_t image = block / j->blocks, first = block % j->blocks * BLOCK, n = ck_min64(BLOCK, g->places - first);
    F(make_taps)(j, image, first, n, false, &taps);
    for (int64_t p = image * g->channels; p < (image + 1) * g->channels; p++)
      PICKED(F(grid_sums))(n, taps.count, (const int32_t (*)[BLOCK])taps.at, (const T (*)[BLOCK])taps.weight,
                            j->x + p * j->plane, j->y + p * g->places + first);
  }
}

// One thread owns a plane, so that sums have one order.
static void F(add_planes)(void *context, int64_t begin, int64_t end) {
  const F(grid_job) *j = context;
  const ck_grid *g = j->grid;
  F(taps) taps;
  memset(j->dx + begin * j->plane, 0, (size_t)((end - begin) * j->plane) * sizeof(T));
  for (int64_t p = begin; p < end;) {
    const int64_t image = p / g->channels, last = ck_min64(end, (image + 1) * g->channels);
    for (int64_t first = 0; first < g->places; first += BLOCK) {
      const int64_t n = ck_min64(BLOCK, g->places - first);
      F(make_taps)(j, image, first, n, false, &taps);
      for (int64_t q = p; q < last; q++) {
        const T *ct = j->ct + q * g->places + first;
        T *plane = j->dx + q * j->plane;
        for (int64_t tap = 0; tap < taps.count; tap++)
          for (int64_t i = 0; i < n; i++)
            if (taps.at[tap][i] >= 0) plane[taps.at[tap][i]] += taps.weight[tap][i] * ct[i];
      }
    }
    p = last;
  }
}

static void F(add_slopes)(void *context, int64_t begin, int64_t end) {
  const F(grid_job) *j = context;
  const ck_grid *g = j->grid;
  F(taps) taps;
  for (int64_t block = begin; block < end; block++) {
    const int64_t image = block / j->blocks, first = block % j->blocks * BLOCK, n = ck_min64(BLOCK, g->places - first);
    F(make_taps)(j, image, first, n, true, &taps);
    T sums[3][BLOCK] = {{0}};
    for (int64_t p = image * g->channels; p < (image + 1) * g->channels; p++)
      for (int a = 0; a < g->axes; a++)
        PICKED(F(grid_slopes))(n, taps.count, (const int32_t (*)[BLOCK])taps.at, (const T (*)[BLOCK])taps.slope[a],
                                j->x + p * j->plane, j->ct + p * g->places + first, sums[a]);
    T *out = j->dgrid + (image * g->places + first) * g->axes;
    for (int64_t i = 0; i < n; i++)
      for (int a = 0; a < g->axes; a++) out[i * g->axes + g->axes - 1 - a] = sums[a][i];
  }
}

static void F(grid)(const ck_grid *g, const T *places, const T *x, T *y, const T *ct, T *dx, T *dgrid) {
  F(grid_job) j = {g, places, x, ct, y, dx, dgrid, 1, (g->places + BLOCK - 1) / BLOCK};
  for (int a = 0; a < g->axes; a++) j.plane *= g->size[a];
  const int64_t cost = BLOCK * 8 * (g->channels + 4), blocks = g->images * j.blocks, planes = g->images * g->channels;
  if (y) ck_parallel(blocks, ck_grain_for(cost), &j, F(read_places));
  if (dx) ck_parallel(planes, ck_grain_for(j.plane + 8 * g->places), &j, F(add_planes));
  if (dgrid) ck_parallel(blocks, ck_grain_for(cost * g->axes), &j, F(add_slopes));
}
