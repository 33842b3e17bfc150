// The parallel loop: on libgomp's team, which oneDNN uses too, or on a small pool of pthreads.
#include "internal.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__linux__) && !__has_feature(thread_sanitizer)
#define CK_GOMP 1
extern void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
extern int omp_get_thread_num(void), omp_get_num_threads(void), omp_get_max_threads(void);
#else
#define CK_GOMP 0
#endif

typedef struct {
  int64_t count, align;
  int32_t parts;
  void *context;
  ck_body body;
} job_t;

static _Thread_local bool inside;  // a nested loop runs serially

static void run_part(const job_t *job, int32_t part) {
  int64_t begin = job->count * part / job->parts / job->align * job->align;
  int64_t end = part + 1 == job->parts ? job->count : job->count * (part + 1) / job->parts / job->align * job->align;
  if (begin < end) job->body(job->context, begin, end);
}

static void run_share(const job_t *job, int32_t worker, int32_t workers) {
  inside = true;
  for (int32_t part = worker; part < job->parts; part += workers) run_part(job, part);
  inside = false;
}

// MARK: pthread pool. One region at a time; a second caller meanwhile runs its loop by itself.

enum { POOL_MAX = 63 };
static pthread_mutex_t region = PTHREAD_MUTEX_INITIALIZER, lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work_ready = PTHREAD_COND_INITIALIZER, work_done = PTHREAD_COND_INITIALIZER;
static const job_t *current;
static int32_t started, wanted, pending;
static uint64_t generation;

static void *worker_main(void *argument) {
  const int32_t me = (int32_t)(intptr_t)argument;
  uint64_t seen = 0;
  pthread_mutex_lock(&lock);
  for (;;) {
    while (generation == seen || me > wanted) {
      seen = generation;
      pthread_cond_wait(&work_ready, &lock);
    }
    seen = generation;
    const job_t *job = current;
    const int32_t workers = wanted + 1;
    pthread_mutex_unlock(&lock);
    run_share(job, me, workers);
    pthread_mutex_lock(&lock);
    if (--pending == 0) pthread_cond_signal(&work_done);
  }
  return NULL;
}

static void pool_run(const job_t *job) {
  if (pthread_mutex_trylock(&region) != 0) {
    run_share(job, 0, 1);
    return;
  }
  pthread_mutex_lock(&lock);
  int32_t helpers = job->parts - 1 < POOL_MAX ? job->parts - 1 : POOL_MAX;
  while (started < helpers) {  // a new worker waits for the next generation, which is set below under the same lock
    pthread_t thread;
    if (pthread_create(&thread, NULL, worker_main, (void *)(intptr_t)(started + 1)) != 0) break;
    pthread_detach(thread);
    started++;
  }
  helpers = helpers < started ? helpers : started;
  current = job;
  wanted = pending = helpers;
  generation++;
  pthread_cond_broadcast(&work_ready);
  pthread_mutex_unlock(&lock);
  run_share(job, 0, helpers + 1);
  pthread_mutex_lock(&lock);
  while (pending > 0) pthread_cond_wait(&work_done, &lock);
  pthread_mutex_unlock(&lock);
  pthread_mutex_unlock(&region);
}

// MARK: entry points

#if CK_GOMP
static void gomp_main(void *data) { run_share(data, omp_get_thread_num(), omp_get_num_threads()); }
#endif

static int32_t most_threads = 1;
static bool use_gomp = CK_GOMP;

__attribute__((constructor)) static void configure(void) {
  const char *backend = getenv("MARTLET_THREADS_BACKEND");
  if (backend && !strcmp(backend, "pthread")) use_gomp = false;
  const char *text = getenv("MARTLET_THREADS");
  long count = text ? strtol(text, NULL, 10) : 0;
#if CK_GOMP
  if (count <= 0) count = omp_get_max_threads();
#else
  if (count <= 0 && (text = getenv("OMP_NUM_THREADS"))) count = strtol(text, NULL, 10);
  if (count <= 0) count = sysconf(_SC_NPROCESSORS_ONLN);
#endif
  most_threads = count < 1 ? 1 : count > 1024 ? 1024 : (int32_t)count;
}

int32_t ck_max_threads(void) { return most_threads; }

int32_t ck_threads(void) {
  if (inside) return 1;
  const int32_t share = ck_here()->threads;
  return share > 0 && share < most_threads ? share : most_threads;
}

void ck_parallel(int64_t count, int64_t grain, void *context, ck_body body) {
  if (count <= 0) return;
  const int32_t threads = count <= grain ? 1 : ck_threads();
  const int64_t most = grain < 1 ? count : (count + grain - 1) / grain;
  job_t job = {count, grain >= 1024 ? 64 : 1, (int32_t)ck_min64(threads, most), context, body};
  if (job.parts <= 1) {
    body(context, 0, count);
    return;
  }
#if CK_GOMP
  if (use_gomp) {
    GOMP_parallel(gomp_main, &job, (unsigned)job.parts, 0);
    return;
  }
#endif
  (void)use_gomp;
  pool_run(&job);
}
