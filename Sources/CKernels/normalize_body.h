// Normalisation in float32, which takes 16-bit floats too, and float64. Included once per level.

#include "bfloat16_body.h"

#define CK_DIRECT_F16 (CK_LEVEL > 0)

#define T float
#define F(name) L(name##_f32)
#define HALVES
#include "normalize_loops.h"
#include "normalize_columns.h"
#undef HALVES
#undef T
#undef F
#define T double
#define F(name) L(name##_f64)
#include "normalize_loops.h"
#include "normalize_columns.h"
#undef T
#undef F
#undef CK_DIRECT_F16
