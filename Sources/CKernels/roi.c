// The means of the parts of boxes in feature maps. A mean over a grid of places that are each a weighted mean of four elements
// is one of rows times one of columns: for each part of a side the elements are listed once, with what they count, and a
// box costs as many elements as it covers, however many places there are.
#include "internal.h"

#define T float
#define F(name) name##_f32
#include "roi_loops.h"
#undef T
#undef F
#define T double
#define F(name) name##_f64
#include "roi_loops.h"
#undef T
#undef F

ck_status ck_roi_align(int32_t dtype, const ck_roi *roi, void *y, const void *x, const void *region) {
  if (dtype == CK_F32) return roi_f32(roi, region, y, x, NULL, NULL);
  if (dtype == CK_F64) return roi_f64(roi, region, y, x, NULL, NULL);
  return (ck_status){CK_UNSUPPORTED, 0};
}

ck_status ck_roi_align_grad(int32_t dtype, const ck_roi *roi, void *dx, const void *ct, const void *region) {
  if (dtype == CK_F32) return roi_f32(roi, region, NULL, NULL, dx, ct);
  if (dtype == CK_F64) return roi_f64(roi, region, NULL, NULL, dx, ct);
  return (ck_status){CK_UNSUPPORTED, 0};
}
