/* A pool of threads that share one job: `pool_run(job, context, parts)` calls job(context, part, parts) for every part.
 *
 * The caller does part 0 itself, so a pool for n threads has n - 1 workers. A training step hands out a few jobs of
 * some microseconds each, so both sides spin for a moment before they sleep: a worker for the next job, the caller for
 * the last worker. A worker on the caller's own core, where Linux likes to put a thread whose waker goes to sleep, is
 * sent to the other cores. Where a worker is late because another program has its core, spinning would only make it
 * later: the caller sleeps.
 *
 * Whether sharing pays is measured, not foreseen: a core may be another program's, a sibling of the caller's own core, or
 * beside another third-level cache, where what one core writes reaches the other four times as late; and a virtual
 * machine's cores change their places while it runs. So whoever repeats a piece of work keeps a `pool_choice`, which now
 * and then tries the other way for a millisecond and stays with the faster one. Into how many parts a job is cut never
 * changes its result, so all of this is safe at any moment.
 *
 * No OpenMP: its runtime hangs in a forked child and ignores the processor quota of a container. Here a child forgets
 * its parent's workers, which did not come along, and makes its own when it first needs them.
 */
#ifndef FASTDIGITS_POOL_H
#define FASTDIGITS_POOL_H

#include <stdint.h>

typedef void (*pool_job)(void *context, int part, int parts);

#define POOL_QUEUES 16 /* most parts of a job whose units may change hands */

#define POOL_TRIAL_NS 1000000    /* how long the other way is tried … */
#define POOL_SWITCH_RATIO 0.95         /* … how much of the time it may take to be chosen … */
#define POOL_MIN_INTERVAL_NS 5000000     /* … how long after a change it is tried again, then twice as long each time … */
#define POOL_MAX_INTERVAL_NS 250000000   /* … up to this; … */
#define POOL_TRIAL_COST_FACTOR 32            /* … but at least so many times what the trial has cost more */
#define POOL_SLOWDOWN_NS 5000000 /* what the present way may cost more than when it was last measured */

/* Which of two ways to do a piece of work is the faster one: shared, or by the caller alone. All zero to begin with. */
typedef struct {
    int alone;          /* the way at present */
    int trying;         /* whether a trial of the other way is on: 1 for its first piece, 2 for those that count */
    int64_t interval;   /* how long to go on before the next trial */
    int64_t passed, ns; /* how long the way, or the trial, has taken; and without what a change of ways costs */
    double work, all;   /* how much was done in that time */
    double rate;        /* ns for a unit of work, when the present way was last measured; 0: never */
} pool_choice;

static inline int pool_is_serial(const pool_choice *c) { return c->trying ? !c->alone : c->alone; }

/* A piece of so much work, done in the way that pool_is_serial said, has taken ns. */
static inline void pool_measure(pool_choice *c, int64_t ns, double work) {
    c->passed += ns;
    c->all += work;
    if (c->trying == 1) { /* it wakes a thread, and fetches what the other core's cache holds */
        c->trying = 2;
        return;
    }
    c->ns += ns;
    c->work += work;
    double rate = (double)c->ns / c->work;
    if (!c->trying) {
        if (c->interval == 0) c->interval = POOL_MIN_INTERVAL_NS;
        if (c->passed < c->interval && !(c->rate > 0 && c->ns - c->work * c->rate > POOL_SLOWDOWN_NS)) return;
        c->rate = rate;
        c->trying = 1;
    } else {
        if (c->passed < POOL_TRIAL_NS) return;
        if (rate < POOL_SWITCH_RATIO * c->rate) {
            c->alone = !c->alone;
            c->rate = rate;
            c->interval = POOL_MIN_INTERVAL_NS;
        } else {
            int64_t price = (int64_t)(POOL_TRIAL_COST_FACTOR * (c->passed - c->all * c->rate));
            c->interval = c->interval < POOL_MAX_INTERVAL_NS / 2 ? 2 * c->interval : POOL_MAX_INTERVAL_NS;
            if (c->interval < price) c->interval = price;
        }
        c->trying = 0;
    }
    c->passed = c->ns = 0;
    c->work = c->all = 0;
}

#if defined(_WIN32)

/* Units first to last - 1 of a part's own; there is nobody to take them. */
typedef struct {
    int64_t first, last;
} pool_queue;
static inline void queue_fill(pool_queue *s, int64_t first, int64_t last) {
    s->first = first;
    s->last = last;
}
static inline int64_t queue_pop(pool_queue *s) { return s->first < s->last ? s->first++ : -1; }
static inline int64_t queue_steal(pool_queue *s) { return s->first < s->last ? --s->last : -1; }

static inline int64_t pool_clock(void) { return 0; }

/* Without pthreads every job runs on the caller's thread. */
static void pool_run(pool_job job, void *context, int parts) {
    (void)parts;
    job(context, 0, 1);
}

#else

#include <pthread.h>
#if defined(__linux__)
#include <sched.h>
#endif
#include <stdatomic.h>
#include <time.h>

#define POOL_MAX_WORKERS 64
#define POOL_SPIN_NS 50000   /* before a worker or the caller sleeps; a step's jobs follow within 10 µs */
#define POOL_STACK (1 << 20) /* kernels keep up to 100 KB of scratch on the stack; musl would give 128 KB */

/* The units of work that a part may still begin: it takes them from the front, and who has finished its own takes them
 * from the end, so that a core which is slow, or another program's for a while, holds nobody up for long. */
typedef struct {
    _Alignas(64) atomic_uint_least64_t units; /* the first in the lower half, the end in the upper */
} pool_queue;

static inline void queue_fill(pool_queue *s, int64_t first, int64_t last) {
    atomic_store(&s->units, (uint64_t)last << 32 | (uint64_t)first);
}

static inline int64_t queue_take(pool_queue *s, int from_front) {
    uint64_t old = atomic_load_explicit(&s->units, memory_order_relaxed), first, last;
    do {
        first = old & 0xFFFFFFFFu;
        last = old >> 32;
        if (first >= last) return -1;
    } while (!atomic_compare_exchange_weak(&s->units, &old,
                                           from_front ? last << 32 | (first + 1) : (last - 1) << 32 | first));
    return from_front ? (int64_t)first : (int64_t)last - 1;
}
static inline int64_t queue_pop(pool_queue *s) { return queue_take(s, 1); }
static inline int64_t queue_steal(pool_queue *s) { return queue_take(s, 0); }

typedef struct {
    _Alignas(64) atomic_uint ticket; /* the caller counts this up: there is a new job */
    _Alignas(64) atomic_uint done;   /* the worker follows when it has done its part */
    _Alignas(64) atomic_int asleep;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t thread;
    atomic_int core; /* that did its last part; -1 where that cannot be known */
} pool_worker;

static struct {
    atomic_flag busy; /* held by the one caller that uses the workers; another caller works alone meanwhile */
    int hooked, workers;
    pool_worker worker[POOL_MAX_WORKERS];
    pool_job job;
    void *context;
    int parts;
    atomic_int caller_asleep;
    pthread_mutex_t mutex;
    pthread_cond_t finished;
} pool = {.busy = ATOMIC_FLAG_INIT, .mutex = PTHREAD_MUTEX_INITIALIZER, .finished = PTHREAD_COND_INITIALIZER};

static inline int64_t pool_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void pool_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Spin until *counter is no longer (or, for `until`, at last) value; 0 if that took too long. */
static int pool_spin(atomic_uint *counter, unsigned value, int until) {
    int64_t limit = 0;
    for (;;) {
        for (int i = 0; i < 64; i++) {
            if ((atomic_load_explicit(counter, memory_order_acquire) == value) == until) return 1;
            pool_pause();
        }
        int64_t now = pool_clock();
        if (limit == 0) limit = now + POOL_SPIN_NS;
        else if (now > limit) return 0;
    }
}

static int pool_current_core(void) {
#if defined(__linux__)
    return sched_getcpu();
#else
    return -1;
#endif
}

/* Move a worker that shares the caller's core to another one that the caller may use; it is not bound to it. */
static void pool_migrate(pool_worker *w) {
#if defined(__linux__)
    int core = pool_current_core();
    cpu_set_t all, others;
    if (core < 0 || core >= CPU_SETSIZE || core != atomic_load(&w->core)) return;
    if (sched_getaffinity(0, sizeof(all), &all) != 0) return;
    others = all;
    CPU_CLR(core, &others);
    if (CPU_COUNT(&others) > 0 && pthread_setaffinity_np(w->thread, sizeof(others), &others) == 0)
        pthread_setaffinity_np(w->thread, sizeof(all), &all);
#else
    (void)w;
#endif
}

static void *pool_worker_main(void *argument) {
    int me = (int)(intptr_t)argument;
    pool_worker *w = &pool.worker[me];
    unsigned seen = 0;
    for (;;) {
        if (!pool_spin(&w->ticket, seen, 0)) {
            pthread_mutex_lock(&w->mutex);
            atomic_store(&w->asleep, 1);
            while (atomic_load(&w->ticket) == seen) pthread_cond_wait(&w->wake, &w->mutex);
            atomic_store(&w->asleep, 0);
            pthread_mutex_unlock(&w->mutex);
        }
        seen++;
        atomic_store_explicit(&w->core, pool_current_core(), memory_order_relaxed);
        pool.job(pool.context, me + 1, pool.parts);
        atomic_store(&w->done, seen);
        if (atomic_load(&pool.caller_asleep)) {
            pthread_mutex_lock(&pool.mutex);
            pthread_cond_signal(&pool.finished);
            pthread_mutex_unlock(&pool.mutex);
        }
    }
    return NULL;
}

static void pool_after_fork(void) { /* in a forked child */
    pool.workers = 0;
    atomic_store(&pool.caller_asleep, 0);
    pthread_mutex_init(&pool.mutex, NULL);
    pthread_cond_init(&pool.finished, NULL);
    atomic_flag_clear(&pool.busy);
}

/* Make workers until there are `wanted`, or as many as the system grants. */
static void pool_start_workers(int wanted) {
    pthread_attr_t attributes;
    if (!pool.hooked) pool.hooked = pthread_atfork(NULL, NULL, pool_after_fork) == 0;
    if (!pool.hooked || pthread_attr_init(&attributes) != 0) return;
    pthread_attr_setstacksize(&attributes, POOL_STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    while (pool.workers < wanted) {
        pool_worker *w = &pool.worker[pool.workers];
        atomic_store(&w->ticket, 0);
        atomic_store(&w->done, 0);
        atomic_store(&w->asleep, 0);
        atomic_store(&w->core, -1);
        pthread_mutex_init(&w->mutex, NULL);
        pthread_cond_init(&w->wake, NULL);
        if (pthread_create(&w->thread, &attributes, pool_worker_main, (void *)(intptr_t)pool.workers) != 0) break;
        pool.workers++;
    }
    pthread_attr_destroy(&attributes);
}

/* A worker is late: sleep until it is done. */
static void pool_wait(pool_worker *w, unsigned ticket) {
    pthread_mutex_lock(&pool.mutex);
    atomic_store(&pool.caller_asleep, 1);
    while (atomic_load(&w->done) != ticket) pthread_cond_wait(&pool.finished, &pool.mutex);
    atomic_store(&pool.caller_asleep, 0);
    pthread_mutex_unlock(&pool.mutex);
    pool_migrate(w);
}

/* Call job(context, part, parts) for each part; fewer parts than asked for where threads are not to be had. */
static void pool_run(pool_job job, void *context, int parts) {
    if (parts > POOL_MAX_WORKERS + 1) parts = POOL_MAX_WORKERS + 1;
    if (parts < 2 || atomic_flag_test_and_set_explicit(&pool.busy, memory_order_acquire)) {
        job(context, 0, 1);
        return;
    }
    if (pool.workers < parts - 1) pool_start_workers(parts - 1);
    if (pool.workers < parts - 1) parts = pool.workers + 1;
    pool.job = job;
    pool.context = context;
    pool.parts = parts;
    for (int i = 0; i < parts - 1; i++) {
        pool_worker *w = &pool.worker[i];
        atomic_fetch_add(&w->ticket, 1);
        if (atomic_load(&w->asleep)) {
            pthread_mutex_lock(&w->mutex);
            pthread_cond_signal(&w->wake);
            pthread_mutex_unlock(&w->mutex);
        }
    }
    job(context, 0, parts);
    for (int i = 0; i < parts - 1; i++) {
        pool_worker *w = &pool.worker[i];
        unsigned ticket = atomic_load_explicit(&w->ticket, memory_order_relaxed);
        if (!pool_spin(&w->done, ticket, 1)) pool_wait(w, ticket);
    }
    atomic_flag_clear_explicit(&pool.busy, memory_order_release);
}

#endif

#endif
