// Images read at places between elements. For a block of places the elements around each, its taps, and what they count are
// found once and used for all channels.
#include "internal.h"

enum { BLOCK = 64, TAPS = 16 };

#define CK_BODY "grid_body.h"
#include "levels.h"

#define PICKED(name) CK_PICK(name)  // of names that are macros themselves

#define T float
#define F(name) name##_f32
#include "grid_loops.h"
#undef T
#undef F
#define T double
#define F(name) name##_f64
#include "grid_loops.h"
#undef T
#undef F

static bool fits(const ck_grid *g) {
  int64_t plane = 1;
  for (int a = 0; a < g->axes; a++) {
    if (g->size[a] < 1 || g->size[a] > INT32_MAX / plane) return false;  // taps are int32_t
    plane *= g->size[a];
  }
  return (g->axes == 2 || g->axes == 3) && (g->mode != CK_GRID_CUBIC || g->axes == 2);
}

int32_t ck_grid_sample(int32_t dtype, const ck_grid *grid, void *y, const void *x, const void *places) {
  if (!fits(grid) || (dtype != CK_F32 && dtype != CK_F64)) return CK_UNSUPPORTED;
  if (dtype == CK_F32) grid_f32(grid, places, x, y, NULL, NULL, NULL);
  else grid_f64(grid, places, x, y, NULL, NULL, NULL);
  return CK_OK;
}

int32_t ck_grid_sample_grad(int32_t dtype, const ck_grid *grid, void *dx, void *dgrid, const void *ct, const void *x,
                            const void *places) {
  if (!fits(grid) || (dtype != CK_F32 && dtype != CK_F64)) return CK_UNSUPPORTED;
  if (dtype == CK_F32) grid_f32(grid, places, x, NULL, ct, dx, dgrid);
  else grid_f64(grid, places, x, NULL, ct, dx, dgrid);
  return CK_OK;
}
