// Pooled memory. Blocks up to 64 KB come from a cache of the calling thread (no lock), refilled in batches from the
// process's pool; larger ones from the pool itself. Blocks from 1 MB on are 2 MB-aligned and on huge pages.
#include "internal.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

// Eight classes of 64 bytes up to 512, then eight per power of two: at most 1/8 of a block is lost above 512 bytes.
enum { SMALL_CLASSES = 64, CLASSES = 8 + 8 * 48, CHUNK = 1 << 20 };
#define SMALL_BYTES ((size_t)65536)
#define BIG_BYTES ((size_t)1 << 20)
#define MOST_BYTES ((size_t)1 << 56)

typedef struct block { struct block *next; } block;

// A thread's counters are written by their thread alone and read by others when they are summed.
typedef struct cache {
  block *head[SMALL_CLASSES];
  int32_t count[SMALL_CLASSES];
  _Atomic int64_t live, allocations;
  struct cache *next, **link;
} cache;

static _Thread_local cache *mine;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t key;
static bool pooled = true;
static block *lists[CLASSES];
static cache *caches;
static char *chunk, *chunk_end;       // what is left of the chunk that small blocks are cut from
static int64_t ended_live, ended_allocations;  // of threads that are gone
static int64_t small_out;             // small bytes in use or in thread caches
static int64_t large_live, large_allocations, pool_bytes, peak;
static _Thread_local int64_t large_of_thread;

static inline int class_of(size_t bytes) {
  if (bytes <= 512) return bytes == 0 ? 0 : (int)((bytes - 1) >> 6);
  const int e = 63 - __builtin_clzll(bytes - 1);
  return 8 + (e - 9) * 8 + (int)(((bytes - 1) >> (e - 3)) & 7);
}

static inline size_t size_of_class(int c) {
  return c < 8 ? (size_t)(c + 1) << 6 : (size_t)(9 + (c & 7)) << (((c - 8) >> 3) + 6);
}

static int32_t limits[SMALL_CLASSES];  // blocks of a class that a thread keeps: at most 128 KB, or two

static inline void count(_Atomic int64_t *counter, int64_t by) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

static void *aligned(size_t bytes) {
  void *p = NULL;
  return posix_memalign(&p, 64, bytes) == 0 ? p : NULL;
}

static void note_peak(void) {
  if (small_out + large_live > peak) peak = small_out + large_live;
}

// MARK: memory of the system

static void *system_alloc(size_t size) {
#if defined(__linux__)
  if (size >= BIG_BYTES) {
    const size_t huge = (size_t)2 << 20, pages = (size + 4095) & ~(size_t)4095;
    char *map = mmap(NULL, pages + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) return NULL;
    char *start = (char *)(((uintptr_t)map + huge - 1) & ~(uintptr_t)(huge - 1));
    if (start > map) munmap(map, (size_t)(start - map));
    if (map + huge > start) munmap(start + pages, (size_t)(map + huge - start));
    madvise(start, pages, MADV_HUGEPAGE);
    return start;
  }
#endif
  return aligned(size);
}

static void system_free(void *p, size_t size) {
#if defined(__linux__)
  if (size >= BIG_BYTES) {
    munmap(p, (size + 4095) & ~(size_t)4095);
    return;
  }
#endif
  free(p);
}

// Large work memory that is idle: kernels of many sizes share few blocks, where the pool would keep one of each size.
enum { SCRATCHES = 16 };
static struct { void *pointer; size_t bytes; } scratches[SCRATCHES];
static int32_t scratch_count;

static void empty_locked(void) {
  while (scratch_count > 0) {
    scratch_count--;
    pool_bytes -= (int64_t)scratches[scratch_count].bytes;
    system_free(scratches[scratch_count].pointer, scratches[scratch_count].bytes);
  }
  for (int c = SMALL_CLASSES; c < CLASSES; c++)
    for (block *b; (b = lists[c]);) {
      lists[c] = b->next;
      pool_bytes -= (int64_t)size_of_class(c);
      system_free(b, size_of_class(c));
    }
}

// MARK: thread caches

static void give_back(cache *from, int c, int32_t keep) {  // under the lock
  while (from->count[c] > keep) {
    block *b = from->head[c];
    from->head[c] = b->next;
    from->count[c]--;
    b->next = lists[c];
    lists[c] = b;
    small_out -= (int64_t)size_of_class(c);
    pool_bytes += (int64_t)size_of_class(c);
  }
}

static void thread_ended(void *value) {
  cache *c = value;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < SMALL_CLASSES; i++) give_back(c, i, 0);
  ended_live += atomic_load_explicit(&c->live, memory_order_relaxed);
  ended_allocations += atomic_load_explicit(&c->allocations, memory_order_relaxed);
  *c->link = c->next;
  if (c->next) c->next->link = c->link;
  pthread_mutex_unlock(&lock);
  mine = NULL;
  free(c);
}

__attribute__((constructor)) static void configure(void) {
  const char *text = getenv("MARTLET_POOL");
  if (text && !strcmp(text, "off")) pooled = false;
  for (int c = 0; c < SMALL_CLASSES; c++) {
    const size_t n = (128 << 10) / size_of_class(c);
    limits[c] = n > 256 ? 256 : n < 2 ? 2 : (int32_t)n;
  }
  pthread_key_create(&key, thread_ended);
}

static cache *own_cache(void) {
  if (mine) return mine;
  cache *c = calloc(1, sizeof(cache));
  if (!c) return NULL;
  pthread_mutex_lock(&lock);
  c->next = caches;
  c->link = &caches;
  if (caches) caches->link = &c->next;
  caches = c;
  pthread_mutex_unlock(&lock);
  pthread_setspecific(key, c);
  return mine = c;
}

// Moves a batch from the pool, or from a fresh chunk, into the cache. Small chunks stay with the process for good.
static bool refill(cache *to, int c) {
  const size_t size = size_of_class(c);
  const int32_t batch = limits[c] / 2;
  pthread_mutex_lock(&lock);
  for (int32_t i = 0; i < batch; i++) {
    block *b = lists[c];
    if (b) {
      lists[c] = b->next;
      pool_bytes -= (int64_t)size;
    } else {
      if (i >= 8) break;  // cut only a few: a class may be rare
      if ((size_t)(chunk_end - chunk) < size) {
        char *fresh = system_alloc(CHUNK);
        if (!fresh && i == 0) {
          empty_locked();
          fresh = system_alloc(CHUNK);
        }
        if (!fresh) break;
        chunk = fresh;
        chunk_end = fresh + CHUNK;
      }
      b = (block *)(void *)chunk;
      chunk += size;
    }
    b->next = to->head[c];
    to->head[c] = b;
    to->count[c]++;
    small_out += (int64_t)size;
  }
  note_peak();
  pthread_mutex_unlock(&lock);
  return to->head[c] != NULL;
}

// MARK: entry points

static __attribute__((noinline)) void *alloc_slowly(size_t bytes) {
  if (bytes > MOST_BYTES) return NULL;
  const int c = class_of(bytes);
  const size_t size = size_of_class(c);
  if (pooled && c < SMALL_CLASSES) {
    cache *own = own_cache();
    return own && refill(own, c) ? ck_alloc(bytes) : NULL;
  }
  pthread_mutex_lock(&lock);
  void *p = pooled ? lists[c] : NULL;
  if (p) {
    lists[c] = lists[c]->next;
    pool_bytes -= (int64_t)size;
  } else if (!pooled) {
    p = aligned(bytes ? bytes : 1);
  } else if (!(p = system_alloc(size))) {
    empty_locked();
    p = system_alloc(size);
  }
  if (p) {
    large_live += (int64_t)size;
    large_allocations++;
    large_of_thread += (int64_t)size;
    note_peak();
  }
  pthread_mutex_unlock(&lock);
  return p;
}

int64_t ck_large_bytes(void) { return large_of_thread; }

void *ck_alloc(size_t bytes) {
  cache *own = mine;
  if (__builtin_expect(own && bytes <= SMALL_BYTES, 1)) {
    const int c = class_of(bytes);
    block *b = own->head[c];
    if (__builtin_expect(b != NULL, 1)) {
      own->head[c] = b->next;
      own->count[c]--;
      count(&own->live, (int64_t)size_of_class(c));
      count(&own->allocations, 1);
      return b;
    }
  }
  return alloc_slowly(bytes);
}

static __attribute__((noinline)) void free_slowly(void *pointer, size_t bytes) {
  const int c = class_of(bytes);
  const size_t size = size_of_class(c);
  block *b = pointer;
  if (pooled && c < SMALL_CLASSES) {
    cache *own = own_cache();
    if (!own) return;  // no memory for a cache of 800 bytes: the block is lost
    if (own->count[c] < limits[c]) {
      ck_free(pointer, bytes);
      return;
    }
    pthread_mutex_lock(&lock);
    give_back(own, c, limits[c] / 2);
    pthread_mutex_unlock(&lock);
    ck_free(pointer, bytes);
    return;
  }
  pthread_mutex_lock(&lock);
  large_live -= (int64_t)size;
  if (pooled) {
    b->next = lists[c];
    lists[c] = b;
    pool_bytes += (int64_t)size;
  }
  pthread_mutex_unlock(&lock);
  if (!pooled) free(pointer);
}

void ck_free(void *pointer, size_t bytes) {
  cache *own = mine;
  if (__builtin_expect(own && bytes <= SMALL_BYTES, 1)) {
    const int c = class_of(bytes);
    const size_t size = size_of_class(c);
    if (__builtin_expect(own->count[c] < limits[c], 1)) {
      block *b = pointer;
      b->next = own->head[c];
      own->head[c] = b;
      own->count[c]++;
      count(&own->live, -(int64_t)size);
      return;
    }
  }
  free_slowly(pointer, bytes);
}

void *ck_take_scratch(size_t *bytes) {
  if (!pooled || *bytes < BIG_BYTES || *bytes > MOST_BYTES) return ck_alloc(*bytes);
  const size_t size = (*bytes + (1 << 21) - 1) >> 21 << 21;
  void *p = NULL, *old = NULL;
  size_t old_bytes = 0;
  pthread_mutex_lock(&lock);
  int32_t best = -1;  // the smallest that will do, else the largest, which is replaced
  for (int32_t i = 0; i < scratch_count; i++) {
    const size_t here = scratches[i].bytes, there = best < 0 ? 0 : scratches[best].bytes;
    if (best < 0 || (here >= size ? there < size || here < there : there < size && here > there)) best = i;
  }
  if (best >= 0) {
    old = scratches[best].pointer;
    old_bytes = scratches[best].bytes;
    scratches[best] = scratches[--scratch_count];
    pool_bytes -= (int64_t)old_bytes;
    if (old_bytes >= size) {
      p = old;
      *bytes = old_bytes;
    }
  }
  if (!p) {
    if (old) system_free(old, old_bytes);
    if (!(p = system_alloc(size))) {
      empty_locked();
      p = system_alloc(size);
    }
    *bytes = size;
  }
  if (p) {
    large_live += (int64_t)*bytes;
    large_allocations++;
    large_of_thread += (int64_t)*bytes;
    note_peak();
  }
  pthread_mutex_unlock(&lock);
  return p;
}

void ck_return_scratch(void *pointer, size_t bytes) {
  if (!pooled || bytes < BIG_BYTES) {
    ck_free(pointer, bytes);
    return;
  }
  pthread_mutex_lock(&lock);
  large_live -= (int64_t)bytes;
  if (scratch_count < SCRATCHES) {
    scratches[scratch_count].pointer = pointer;
    scratches[scratch_count++].bytes = bytes;
    pool_bytes += (int64_t)bytes;
  } else {
    system_free(pointer, bytes);
  }
  pthread_mutex_unlock(&lock);
}

ck_pool_stats ck_pool_statistics(void) {
  pthread_mutex_lock(&lock);
  int64_t live = ended_live, allocations = ended_allocations + large_allocations;
  for (const cache *c = caches; c; c = c->next) {
    live += atomic_load_explicit(&c->live, memory_order_relaxed);
    allocations += atomic_load_explicit(&c->allocations, memory_order_relaxed);
  }
  // The peak is exact for blocks above 64 KB; smaller ones count with what thread caches hold.
  const int64_t small_cached = small_out > live ? small_out - live : 0;
  const ck_pool_stats stats = {live + large_live, pool_bytes + small_cached, peak, allocations};
  pthread_mutex_unlock(&lock);
  return stats;
}

void ck_pool_reset_peak(void) {
  pthread_mutex_lock(&lock);
  peak = small_out + large_live;
  pthread_mutex_unlock(&lock);
}

void ck_pool_empty(void) {
  pthread_mutex_lock(&lock);
  empty_locked();
  pthread_mutex_unlock(&lock);
}
