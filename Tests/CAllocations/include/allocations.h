// Counts the heap blocks that the calling thread has taken. glibc only, and not under a sanitizer, which has its own heap.
#ifndef ALLOCATIONS_H
#define ALLOCATIONS_H
#include <stdbool.h>
bool allocations_are_counted(void);
long allocations_of_thread(void);
#endif
