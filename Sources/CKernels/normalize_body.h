// Normalisation in float32 and float64. Included once per level.
#define T float
#define F(name) L(name##_f32)
#include "normalize_loops.h"
#undef T
#undef F
#define T double
#define F(name) L(name##_f64)
#include "normalize_loops.h"
#undef T
#undef F
