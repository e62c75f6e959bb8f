/* Subnormal numbers: the float engines take them for zero in every thread, the oracle keeps them,
 * and a caller's mode is as it was after each call. */
#include <criterion/criterion.h> // Test, cr_assert
#include <stdatomic.h>           // atomic_int
#include <string.h>              // memcmp

#include "base/subnormals.h"     // nl_subnormals
#include "cpu/fast/threads.h"    // nl_threads
#include "normlab/diagnose.h"    // nl_diagnose
#include "normlab/layer_stats.h" // nl_layer_stats_of
#include "support/memory_run.h"

enum { IMAGES = 12 };

static unsigned mode(void) {
    const unsigned now = nl_subnormals(NL_KEEP);
    nl_subnormals_restore(now);
    return now;
}

/* ---- Threads ---- */

enum { WORKERS = 4 };

typedef struct meeting {
    atomic_int present;
    int expected;
    unsigned modes[WORKERS];
} meeting;

/* Nobody leaves before all are there: each worker takes one item. */
static void meet(void *context, int item, int worker) {
    meeting *m = context;
    (void)item;
    m->modes[worker] = mode();
    atomic_fetch_add(&m->present, 1);
    while (atomic_load(&m->present) < m->expected) continue;
}

Test(subnormals, every_thread_of_a_pool_takes_them_for_zero) {
    meeting m = {.modes = {0}};
    nl_threads *threads = nl_threads_open(WORKERS);
    m.expected = nl_threads_count(threads);
    cr_assert_eq(m.expected, WORKERS);
    nl_threads_run(threads, meet, &m, WORKERS);
    nl_threads_close(threads);
    cr_expect_eq(m.modes[0], (unsigned)NL_KEEP); /* the caller's own affair */
    for (int i = 1; i < WORKERS; i++) cr_expect_eq(m.modes[i], (unsigned)NL_FLUSH, "worker %d", i);
}

/* ---- Engines ---- */

/* A weight that is subnormal, after a step of learning rate 0. */
static double after_a_step(const nl_backend *backend, double weight) {
    memory_run r;
    nl_step_record record;
    nl_eval_result result;
    memory_run_open(&r, "gn", IMAGES, "data.batch=6", (char *)NULL);
    r.config.train.lr = 0;
    memory_engine e = memory_engine_open(&r, backend);
    double *w = e.params + nl_model_find(&r.model, "conv2.weight")->offset + 17;
    *w = weight;
    memory_engine_set(&e);
    memory_engine_steps(&e, 0, 1, &record);
    memory_engine_get(&e);
    const double after = *w;
    const nl_eval_pass pass = {.split = &r.data.test, .images = IMAGES};
    cr_assert_eq(backend->evaluate(e.engine, &pass, &result, NULL), 0);
    memory_engine_close(&e);
    memory_run_close(&r);
    return after;
}

Test(subnormals, the_float_engines_take_them_for_zero_and_the_oracle_keeps_them) {
    cr_expect_eq(after_a_step(&nl_backend_cpu, 1e-41), 0);
    cr_expect_eq(after_a_step(&nl_backend_plain, 1e-41), 0);
    cr_expect_eq(after_a_step(&nl_backend_cpu64, 1e-310), 1e-310);
    const unsigned former = nl_subnormals(NL_FLUSH); /* a caller who flushes changes no truth */
    const double after = after_a_step(&nl_backend_cpu64, 1e-310);
    nl_subnormals_restore(former);
    cr_expect_eq(memcmp(&after, &(double){1e-310}, sizeof after), 0);
}

/* ---- The caller ---- */

static void check_caller(const nl_backend *backend, unsigned callers) {
    memory_run r;
    nl_step_record record;
    nl_eval_result result;
    nl_error err = {0};
    char text[256];
    memory_run_open(&r, "bn", IMAGES, "data.batch=6", (char *)NULL);
    const unsigned before = nl_subnormals(callers);
    memory_engine e = memory_engine_open(&r, backend);
    cr_expect_eq(mode(), callers, "open: %x", mode());
    memory_engine_steps(&e, 0, 1, &record);
    cr_expect_eq(mode(), callers, "enqueue: %x", mode());
    const nl_eval_pass pass = {.split = &r.data.test, .images = IMAGES};
    cr_assert_eq(backend->evaluate(e.engine, &pass, &result, &err), 0);
    cr_expect_eq(mode(), callers, "evaluate: %x", mode());
    memory_engine_get(&e);
    const nl_state state = {e.params, e.momentum, e.buffers};
    if (backend->real_size == 8) {
        nl_layer_stats layers[NL_MAX_LAYERS];
        const nl_epoch epoch = {.lr = 0.01, .order = r.order};
        nl_diagnose(text, sizeof text, &e.spec, &state, 8, &epoch, 0);
        cr_expect_eq(mode(), callers, "diagnose: %x", mode());
        nl_layer_stats_of(layers, &e.spec, &state, 8);
        cr_expect_eq(mode(), callers, "layer stats: %x", mode());
    }
    memory_engine_close(&e);
    cr_expect_eq(mode(), callers, "close: %x", mode());
    nl_subnormals_restore(before);
    memory_run_close(&r);
}

Test(subnormals, the_callers_mode_is_as_it_was) {
    const nl_backend *const backends[] = {&nl_backend_cpu, &nl_backend_plain, &nl_backend_cpu64};
    const unsigned modes[] = {NL_KEEP, 0x40, 0x8000, NL_FLUSH};
    for (int b = 0; b < 3; b++)
        for (int m = 0; m < 4; m++) check_caller(backends[b], modes[m]);
}
