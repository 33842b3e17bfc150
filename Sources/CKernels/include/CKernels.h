// Umbrella header of CKernels.
#ifndef CKERNELS_H
#define CKERNELS_H
#include "ck_runtime.h"
#include "ck_kernels.h"
#endif
