#include "ck_runtime.h"
#include <stdlib.h>

_Thread_local ck_context ck_thread_context;

uint32_t ck_process_flags;
__attribute__((constructor)) static void read_process_flags(void) {
  const char *origins = getenv("MARTLET_ORIGINS");
  if (origins && origins[0] && origins[0] != '0') ck_process_flags = CK_ORIGINS;
}
void *_Nullable ck_kernels[CK_DEVICES * CK_OPS];
void ck_set_kernel(int64_t index, void *kernel) { __atomic_store_n(&ck_kernels[index], kernel, __ATOMIC_RELEASE); }

// Defined by the Swift rooms; weak, so that a program can be linked without them.
#define ROOM(name)                                                \
  extern void martlet_install_##name(void) __attribute__((weak)); \
  bool ck_install_##name(void) {                                  \
    if (!martlet_install_##name) return false;                    \
    martlet_install_##name();                                     \
    return true;                                                  \
  }
ROOM(ops)
ROOM(cpu)
ROOM(reference)
