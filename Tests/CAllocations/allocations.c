#include "allocations.h"
#include <stdlib.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__GLIBC__) && !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
static _Thread_local long count;
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_memalign(size_t, size_t);
void *malloc(size_t bytes) { count++; return __libc_malloc(bytes); }
void *calloc(size_t items, size_t bytes) { count++; return __libc_calloc(items, bytes); }
void *aligned_alloc(size_t alignment, size_t bytes) { count++; return __libc_memalign(alignment, bytes); }
bool allocations_are_counted(void) { return true; }
long allocations_of_thread(void) { return count; }
#else
bool allocations_are_counted(void) { return false; }
long allocations_of_thread(void) { return 0; }
#endif
