/* A pool of threads: `pool_run(job, context, parts)` calls job(context, part, parts) for every part.
 *
 * The caller runs part 0, so n threads need n - 1 workers. A training step submits a few jobs of some microseconds
 * each. Both sides therefore spin before they sleep: a worker until the next job, the caller until the last worker is
 * done. Linux tends to start a woken thread on the core of the thread that woke it; the pool moves such a worker to
 * another core. A worker can be late because another program has its core; the caller then sleeps, as spinning delays
 * both.
 *
 * A `pool_choice` decides by measurement whether threads share the work. No rule can foresee that: a core may be taken
 * by another program, share its execution units with the caller's core, or use another third-level cache, which makes
 * reading a line that another core wrote four times as slow; and the cores of a virtual machine move while it runs. A
 * choice tries the other way for a millisecond from time to time, and keeps the faster one. The number of parts never
 * changes a result, so a choice may change at any time.
 *
 * OpenMP is not used: its runtime hangs in a forked child and ignores the processor quota of a container. This pool
 * discards its workers in a forked child, which has no copy of them, and starts new ones at the first use.
 */
#ifndef FASTDIGITS_POOL_H
#define FASTDIGITS_POOL_H

#include <stdint.h>

typedef void (*pool_job)(void *context, int part, int parts);

#define POOL_QUEUES 16 /* most parts of a job with work stealing */

/* In the machines that tests/kernels/test_pool.py simulates, a run takes at most 6 % more than with the better way. */
#define POOL_TRIAL_NS 1000000        /* length of a trial of the other way */
#define POOL_SWITCH_RATIO 0.95       /* switch if the other way takes less than this share of the time */
#define POOL_MIN_INTERVAL_NS 5000000 /* from a switch to the next trial; each trial without a switch doubles it */
#define POOL_MAX_INTERVAL_NS 250000000
#define POOL_TRIAL_COST_FACTOR 32 /* an interval lasts at least this many times the extra cost of the trial */
#define POOL_SLOWDOWN_NS 5000000  /* extra time of the present way that starts a trial early */

/* The faster of two ways to do repeated work: parallel, or serial in the calling thread. It starts as all zeros. */
typedef struct {
    int serial;                         /* the present way */
    int trial;                          /* 0: none; 1: its first piece of work, not measured; 2: a measured one */
    int64_t interval;                   /* from the end of a trial to the next */
    int64_t elapsed_ns, measured_ns;    /* of this interval or trial; measured: without the first piece of a trial */
    double measured_work, elapsed_work; /* done in these times */
    double ns_per_work;                 /* of the present way when last measured; 0 if never */
} pool_choice;

static inline int pool_is_serial(const pool_choice *c) { return c->trial ? !c->serial : c->serial; }

/* Add a measurement: this much work, done as pool_is_serial said, took ns. */
static inline void pool_measure(pool_choice *c, int64_t ns, double work) {
    c->elapsed_ns += ns;
    c->elapsed_work += work;
    if (c->trial == 1) { /* includes waking a thread and filling the other core's cache */
        c->trial = 2;
        return;
    }
    c->measured_ns += ns;
    c->measured_work += work;
    double ns_per_work = (double)c->measured_ns / c->measured_work;
    if (!c->trial) {
        if (c->interval == 0) c->interval = POOL_MIN_INTERVAL_NS;
        if (c->elapsed_ns < c->interval &&
            !(c->ns_per_work > 0 && c->measured_ns - c->measured_work * c->ns_per_work > POOL_SLOWDOWN_NS))
            return;
        c->ns_per_work = ns_per_work;
        c->trial = 1;
    } else {
        if (c->elapsed_ns < POOL_TRIAL_NS) return;
        if (ns_per_work < POOL_SWITCH_RATIO * c->ns_per_work) {
            c->serial = !c->serial;
            c->ns_per_work = ns_per_work;
            c->interval = POOL_MIN_INTERVAL_NS;
        } else {
            int64_t shortest = (int64_t)(POOL_TRIAL_COST_FACTOR * (c->elapsed_ns - c->elapsed_work * c->ns_per_work));
            c->interval = c->interval < POOL_MAX_INTERVAL_NS / 2 ? 2 * c->interval : POOL_MAX_INTERVAL_NS;
            if (c->interval < shortest) c->interval = shortest;
        }
        c->trial = 0;
    }
    c->elapsed_ns = c->measured_ns = 0;
    c->measured_work = c->elapsed_work = 0;
}

#if defined(_WIN32)

/* Units first to last - 1 of a part; no other thread exists. */
typedef struct {
    int64_t first, last;
} pool_queue;
static inline void queue_fill(pool_queue *q, int64_t first, int64_t last) {
    q->first = first;
    q->last = last;
}
static inline int64_t queue_pop(pool_queue *q) { return q->first < q->last ? q->first++ : -1; }
static inline int64_t queue_steal(pool_queue *q) { return q->first < q->last ? --q->last : -1; }

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
#define POOL_SPIN_NS 50000   /* spin this long before sleeping; the jobs of a step are less than 10 µs apart */
#define POOL_STACK (1 << 20) /* kernels need up to 150 KB of stack; the default of musl is 128 KB */

/* The units that remain of a part. Its own thread pops them from the front; a thread that has finished its part steals
 * them from the end. So a slow core, or one that another program uses, delays the job by one unit at most. */
typedef struct {
    _Alignas(64) atomic_uint_least64_t units; /* lower half: the first; upper half: one past the last */
} pool_queue;

static inline void queue_fill(pool_queue *q, int64_t first, int64_t last) {
    atomic_store(&q->units, (uint64_t)last << 32 | (uint64_t)first);
}

static inline int64_t queue_take(pool_queue *q, int from_front) {
    uint64_t old = atomic_load_explicit(&q->units, memory_order_relaxed), first, last;
    do {
        first = old & 0xFFFFFFFFu;
        last = old >> 32;
        if (first >= last) return -1;
    } while (!atomic_compare_exchange_weak(&q->units, &old,
                                           from_front ? last << 32 | (first + 1) : (last - 1) << 32 | first));
    return from_front ? (int64_t)first : (int64_t)last - 1;
}
static inline int64_t queue_pop(pool_queue *q) { return queue_take(q, 1); }
static inline int64_t queue_steal(pool_queue *q) { return queue_take(q, 0); }

typedef struct {
    _Alignas(64) atomic_uint submitted; /* jobs submitted by the caller */
    _Alignas(64) atomic_uint completed; /* jobs completed by the worker */
    _Alignas(64) atomic_int asleep;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t thread;
    atomic_int core; /* where it ran its last part; -1 if the system does not say */
} pool_worker;

static struct {
    atomic_flag busy; /* one caller uses the workers at a time; another one runs its job serially */
    int has_fork_handler, workers;
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

/* Spin until *counter is value, or, with until = 0, is not; return 0 after POOL_SPIN_NS. */
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

/* Move a worker away from the caller's core, to any core that the caller may use; it may move back later. */
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
    int index = (int)(intptr_t)argument;
    pool_worker *w = &pool.worker[index];
    unsigned count = 0;
    for (;;) {
        if (!pool_spin(&w->submitted, count, 0)) {
            pthread_mutex_lock(&w->mutex);
            atomic_store(&w->asleep, 1);
            while (atomic_load(&w->submitted) == count) pthread_cond_wait(&w->wake, &w->mutex);
            atomic_store(&w->asleep, 0);
            pthread_mutex_unlock(&w->mutex);
        }
        count++;
        atomic_store_explicit(&w->core, pool_current_core(), memory_order_relaxed);
        pool.job(pool.context, index + 1, pool.parts);
        atomic_store(&w->completed, count);
        if (atomic_load(&pool.caller_asleep)) {
            pthread_mutex_lock(&pool.mutex);
            pthread_cond_signal(&pool.finished);
            pthread_mutex_unlock(&pool.mutex);
        }
    }
    return NULL;
}

static void pool_after_fork(void) { /* runs in a forked child */
    pool.workers = 0;
    atomic_store(&pool.caller_asleep, 0);
    pthread_mutex_init(&pool.mutex, NULL);
    pthread_cond_init(&pool.finished, NULL);
    atomic_flag_clear(&pool.busy);
}

/* Start workers until there are `wanted`, or until the system refuses one. */
static void pool_start_workers(int wanted) {
    pthread_attr_t attributes;
    if (!pool.has_fork_handler) pool.has_fork_handler = pthread_atfork(NULL, NULL, pool_after_fork) == 0;
    if (!pool.has_fork_handler || pthread_attr_init(&attributes) != 0) return;
    pthread_attr_setstacksize(&attributes, POOL_STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    while (pool.workers < wanted) {
        pool_worker *w = &pool.worker[pool.workers];
        atomic_store(&w->submitted, 0);
        atomic_store(&w->completed, 0);
        atomic_store(&w->asleep, 0);
        atomic_store(&w->core, -1);
        pthread_mutex_init(&w->mutex, NULL);
        pthread_cond_init(&w->wake, NULL);
        if (pthread_create(&w->thread, &attributes, pool_worker_main, (void *)(intptr_t)pool.workers) != 0) break;
        pool.workers++;
    }
    pthread_attr_destroy(&attributes);
}

/* Sleep until a late worker completes this job. */
static void pool_wait(pool_worker *w, unsigned count) {
    pthread_mutex_lock(&pool.mutex);
    atomic_store(&pool.caller_asleep, 1);
    while (atomic_load(&w->completed) != count) pthread_cond_wait(&pool.finished, &pool.mutex);
    atomic_store(&pool.caller_asleep, 0);
    pthread_mutex_unlock(&pool.mutex);
    pool_migrate(w);
}

/* Call job(context, part, parts) for each part; use fewer parts if the system refuses threads. */
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
        atomic_fetch_add(&w->submitted, 1);
        if (atomic_load(&w->asleep)) {
            pthread_mutex_lock(&w->mutex);
            pthread_cond_signal(&w->wake);
            pthread_mutex_unlock(&w->mutex);
        }
    }
    job(context, 0, parts);
    for (int i = 0; i < parts - 1; i++) {
        pool_worker *w = &pool.worker[i];
        unsigned count = atomic_load_explicit(&w->submitted, memory_order_relaxed);
        if (!pool_spin(&w->completed, count, 1)) pool_wait(w, count);
    }
    atomic_flag_clear_explicit(&pool.busy, memory_order_release);
}

#endif

#endif
