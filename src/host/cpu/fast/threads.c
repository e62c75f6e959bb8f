/* Thread pool: workers take items from one atomic counter. A step has phases of some hundred
 * microseconds, so a worker spins a moment for the next phase before it sleeps; with more threads
 * than cores it sleeps at once. */
#include "threads.h"

#include <pthread.h>   // pthread_create
#include <stdatomic.h> // atomic_int
#include <stdbool.h>   // bool
#include <stdlib.h>    // free

#include "normlab/error.h"   // nl_alloc
#include "base/processor.h"  // nl_processor_cores
#include "base/subnormals.h" // nl_subnormals

enum { SPINS = 4000 };

struct nl_threads {
    int count;
    int spins;
    pthread_t *handles; /* (count - 1) */
    pthread_mutex_t mutex;
    pthread_cond_t start, done;
    nl_work *work;
    void *context;
    int items;
    atomic_int next;       /* the item to take */
    atomic_int busy;       /* workers still in this phase */
    atomic_int generation; /* of the phase */
    bool stop;
};

typedef struct worker_start {
    nl_threads *threads;
    int worker;
} worker_start;

static void pause_cpu(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void take_items(nl_threads *t, int worker) {
    for (;;) {
        const int item = atomic_fetch_add(&t->next, 1);
        if (item >= t->items) return;
        t->work(t->context, item, worker);
    }
}

static void wait_for_phase(nl_threads *t, int seen) {
    for (int i = 0; i < t->spins; i++) {
        if (atomic_load(&t->generation) != seen) return;
        pause_cpu();
    }
    pthread_mutex_lock(&t->mutex);
    while (atomic_load(&t->generation) == seen) pthread_cond_wait(&t->start, &t->mutex);
    pthread_mutex_unlock(&t->mutex);
}

static void *worker_main(void *argument) {
    worker_start *start = argument;
    nl_threads *t = start->threads;
    const int worker = start->worker;
    free(start);
    nl_subnormals(NL_FLUSH);
    for (int seen = 0;; seen++) {
        wait_for_phase(t, seen);
        if (t->stop) return NULL;
        take_items(t, worker);
        if (atomic_fetch_sub(&t->busy, 1) == 1) {
            pthread_mutex_lock(&t->mutex);
            pthread_cond_signal(&t->done);
            pthread_mutex_unlock(&t->mutex);
        }
    }
}

nl_threads *nl_threads_open(int count) {
    NL_ASSERT(count >= 1);
    nl_threads *t = nl_alloc(1, sizeof *t, "thread pool");
    t->handles = nl_alloc((size_t)count, sizeof *t->handles, "thread pool");
    t->spins = count <= nl_processor_cores() ? SPINS : 0;
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->start, NULL);
    pthread_cond_init(&t->done, NULL);
    for (t->count = 1; t->count < count; t->count++) {
        worker_start *start = nl_alloc(1, sizeof *start, "thread");
        *start = (worker_start){t, t->count};
        if (pthread_create(&t->handles[t->count - 1], NULL, worker_main, start) != 0) {
            free(start);
            nl_warn("threads", "only %d of %d threads could be started", t->count, count);
            break;
        }
    }
    return t;
}

static void begin_phase(nl_threads *t) {
    pthread_mutex_lock(&t->mutex);
    atomic_fetch_add(&t->generation, 1);
    pthread_cond_broadcast(&t->start);
    pthread_mutex_unlock(&t->mutex);
}

void nl_threads_run(nl_threads *t, nl_work *work, void *context, int items) {
    t->work = work;
    t->context = context;
    t->items = items;
    atomic_store(&t->next, 0);
    if (t->count == 1 || items <= 1) {
        take_items(t, 0);
        return;
    }
    atomic_store(&t->busy, t->count - 1);
    begin_phase(t);
    take_items(t, 0);
    for (int i = 0; i < t->spins && atomic_load(&t->busy) > 0; i++) pause_cpu();
    pthread_mutex_lock(&t->mutex);
    while (atomic_load(&t->busy) > 0) pthread_cond_wait(&t->done, &t->mutex);
    pthread_mutex_unlock(&t->mutex);
}

void nl_threads_close(nl_threads *t) {
    if (!t) return;
    t->stop = true;
    begin_phase(t);
    for (int i = 0; i + 1 < t->count; i++) pthread_join(t->handles[i], NULL);
    pthread_mutex_destroy(&t->mutex);
    pthread_cond_destroy(&t->start);
    pthread_cond_destroy(&t->done);
    free(t->handles);
    free(t);
}

int nl_threads_count(const nl_threads *t) {
    return t->count;
}
