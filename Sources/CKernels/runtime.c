#include "ck_runtime.h"

_Thread_local ck_context ck_thread_context;
void *_Nullable ck_kernels[CK_DEVICES * CK_OPS];
void ck_set_kernel(int64_t index, void *kernel) { ck_kernels[index] = kernel; }

// Defined by the Swift rooms; weak, so that a program can be linked without them.
extern void martlet_install_ops(void) __attribute__((weak));
extern void martlet_install_cpu(void) __attribute__((weak));

bool ck_install_ops(void) {
  if (!martlet_install_ops) return false;
  martlet_install_ops();
  return true;
}

bool ck_install_cpu(void) {
  if (!martlet_install_cpu) return false;
  martlet_install_cpu();
  return true;
}
