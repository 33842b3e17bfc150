// Boxes with elements of type T; F(name) names the functions.

typedef struct { int64_t at; T share; } F(tap);

// The taps of one side of a box: those of part p are taps[begin[p]] ..< taps[begin[p + 1]].
typedef struct { int64_t *begin; F(tap) *taps; } F(side);

typedef struct {
  const ck_roi *roi;
  const T *region;
  F(side) *sides;  // two for each box
  T *y, *dx;
  const T *x, *ct;
  int32_t failed;
} F(roi_job);

// A side of a box in elements, and how many places are read in each part.
typedef struct { T begin, part; double places; } F(length);

static F(length) F(length_of)(const ck_roi *r, const T *box, int axis) {
  const T scale = (T)r->scale, offset = r->aligned ? (T)0.5 : 0;
  const T begin = box[2 - axis] * scale - offset, end = box[4 - axis] * scale - offset;
  T length = end - begin;
  if (!r->aligned && !(length >= 1)) length = 1;
  const T part = length / (T)r->out[axis];
  const double places = r->ratio ? (double)r->ratio : ceil((double)part);
  return (F(length)){begin, part, places >= 1 ? places : 0};
}

// The places of part p that may lie in the map: from first to before last.
static void F(range_of)(const ck_roi *r, F(length) side, int64_t p, int axis, double *first, double *last) {
  const double begin = (double)side.begin + (double)p * side.part, step = side.part / side.places;
  *first = 0;
  *last = side.places;
  if (step == 0) return;
  const double a = (-1 - begin) / step, b = ((double)r->size[axis] - begin) / step;
  // One more at both ends for what is rounded; each place is looked at by itself.
  *first = fmax(0, fmin(floor(fmin(a, b)) - 2, side.places));
  *last = fmax(*first, fmin(ceil(fmax(a, b)) + 2, side.places));
  if (!(*last - *first < 0x1p40)) *first = *last = 0;  // a box without numbers
}

static void F(add_tap)(F(side) *s, int64_t *count, int64_t begin, int64_t at, T share) {
  for (int64_t back = 1; back <= 2 && *count - back >= begin; back++)
    if (s->taps[*count - back].at == at) {
      s->taps[*count - back].share += share;
      return;
    }
  s->taps[(*count)++] = (F(tap)){at, share};
}

static bool F(make_side)(const ck_roi *r, const T *box, int axis, F(side) *s) {
  const F(length) side = F(length_of)(r, box, axis);
  const int64_t parts = r->out[axis], last = r->size[axis] - 1;
  double most = 0, from, to;
  for (int64_t p = 0; p < parts; p++) {
    F(range_of)(r, side, p, axis, &from, &to);
    most += 2 * (to - from);
  }
  s->begin = malloc((size_t)(parts + 1) * sizeof *s->begin);
  s->taps = malloc(((size_t)most + 1) * sizeof *s->taps);
  if (!s->begin || !s->taps) return false;
  int64_t count = 0;
  for (int64_t p = 0; p < parts; p++) {
    const int64_t begin = s->begin[p] = count;
    F(range_of)(r, side, p, axis, &from, &to);
    for (double i = from; i < to; i++) {
      T place = side.begin + (T)p * side.part + ((T)i + (T)0.5) * side.part / (T)side.places;
      if (!(place >= -1 && place <= (T)r->size[axis])) continue;
      if (place < 0) place = 0;
      if (place > (T)last) place = (T)last;
      const int64_t below = (int64_t)place;
      const T after = place - (T)below, share = 1 / (T)side.places;
      F(add_tap)(s, &count, begin, below, (1 - after) * share);
      if (after > 0) F(add_tap)(s, &count, begin, below + 1, after * share);
    }
  }
  s->begin[parts] = count;
  return true;
}

static void F(make_sides)(void *context, int64_t begin, int64_t end) {
  F(roi_job) *j = context;
  for (int64_t at = begin; at < end; at++)
    if (!F(make_side)(j->roi, j->region + at / 2 * 5, (int)(at % 2), &j->sides[at]))
      __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
}

static void F(read_boxes)(void *context, int64_t begin, int64_t end) {
  const F(roi_job) *j = context;
  const ck_roi *r = j->roi;
  for (int64_t at = begin; at < end; at++) {
    const int64_t box = at / r->channels, image = (int64_t)j->region[box * 5];
    const T *plane = j->x + (image * r->channels + at % r->channels) * r->size[0] * r->size[1];
    T *y = j->y + at * r->out[0] * r->out[1];
    const F(side) *rows = &j->sides[2 * box], *columns = rows + 1;
    for (int64_t p = 0; p < r->out[0]; p++)
      for (int64_t q = 0; q < r->out[1]; q++) {
        T sum = 0;
        for (int64_t i = rows->begin[p]; i < rows->begin[p + 1]; i++) {
          const T *line = plane + rows->taps[i].at * r->size[1];
          T part = 0;
          for (int64_t k = columns->begin[q]; k < columns->begin[q + 1]; k++)
            part += columns->taps[k].share * line[columns->taps[k].at];
          sum += rows->taps[i].share * part;
        }
        *y++ = sum;
      }
  }
}

// One thread owns a plane, so that sums have one order.
static void F(add_boxes)(void *context, int64_t begin, int64_t end) {
  const F(roi_job) *j = context;
  const ck_roi *r = j->roi;
  for (int64_t at = begin; at < end; at++) {
    T *plane = j->dx + at * r->size[0] * r->size[1];
    memset(plane, 0, (size_t)(r->size[0] * r->size[1]) * sizeof(T));
    for (int64_t box = 0; box < r->boxes; box++) {
      if ((int64_t)j->region[box * 5] != at / r->channels) continue;
      const T *ct = j->ct + (box * r->channels + at % r->channels) * r->out[0] * r->out[1];
      const F(side) *rows = &j->sides[2 * box], *columns = rows + 1;
      for (int64_t p = 0; p < r->out[0]; p++)
        for (int64_t i = rows->begin[p]; i < rows->begin[p + 1]; i++) {
          T *line = plane + rows->taps[i].at * r->size[1];
          for (int64_t q = 0; q < r->out[1]; q++) {
            const T value = ct[p * r->out[1] + q] * rows->taps[i].share;
            for (int64_t k = columns->begin[q]; k < columns->begin[q + 1]; k++)
              line[columns->taps[k].at] += columns->taps[k].share * value;
          }
        }
    }
  }
}

static ck_status F(roi)(const ck_roi *r, const T *region, T *y, const T *x, T *dx, const T *ct) {
  for (int64_t box = 0; box < r->boxes; box++) {
    const T image = region[box * 5];
    if (!(image > -1 && image < (T)r->images))
      return (ck_status){CK_BAD_INDEX, image > -0x1p62f && image < 0x1p62f ? (int64_t)image : -1};
  }
  if (r->channels * r->size[0] * r->size[1] * r->out[0] * r->out[1] == 0) return (ck_status){CK_OK, 0};
  F(roi_job) j = {r, region, calloc((size_t)(2 * r->boxes) + 1, sizeof *j.sides), y, dx, x, ct, 0};
  if (!j.sides) return (ck_status){CK_NO_MEMORY, 0};
  ck_parallel(2 * r->boxes, 64, &j, F(make_sides));
  if (!j.failed) {
    int64_t taps = 0;
    for (int64_t box = 0; box < r->boxes; box++)
      taps += j.sides[2 * box].begin[r->out[0]] * j.sides[2 * box + 1].begin[r->out[1]];
    const int64_t planes = r->images * r->channels;
    if (dx) ck_parallel(planes, ck_grain_for(taps / ck_max64(r->images, 1) + r->size[0] * r->size[1]), &j, F(add_boxes));
    else ck_parallel(r->boxes * r->channels, ck_grain_for(taps / ck_max64(r->boxes, 1)), &j, F(read_boxes));
  }
  for (int64_t at = 0; at < 2 * r->boxes; at++) {
    free(j.sides[at].begin);
    free(j.sides[at].taps);
  }
  free(j.sides);
  return (ck_status){j.failed ? CK_NO_MEMORY : CK_OK, 0};
}
