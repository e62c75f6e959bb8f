/* Which networks have their first two layers done as one operation (cpu/simd/first.h), and that
 * they learn as in double precision. */
#include <criterion/criterion.h>
#include <stdio.h> // snprintf

#include "cpu/fast/net_fast.h"  // nl_program_step
#include "normlab/random_net.h" // nl_random_net_check
#include "support/config_text.h"
#include "support/memory_run.h"
#include "support/isa.h" // test_isa_engine

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

/* ---- Which networks ---- */

static int steps_of(const nl_engine *e, nl_op op, int layer) {
    int count = 0;
    for (int i = 0; i < e->n_train; i++)
        count += e->train[i].op == op && e->train[i].layer == layer;
    return count;
}

/* The program runs the first two layers as one operation each way, or by themselves. */
static void check_way(memory_run *r, const char *what, bool fused) {
    nl_engine e = test_isa_engine(&r->config, &r->model, &r->data);
    const int norm = r->model.layers[0].norm != NULL;
    cr_assert_eq(nl_first_fits(&r->model), fused, "%s", what);
    cr_assert_eq(steps_of(&e, NL_OP_MOMENTS, 0), fused ? norm : 0, "%s", what);
    cr_assert_eq(steps_of(&e, NL_OP_FIRST, 1), fused, "%s", what);
    cr_assert_eq(steps_of(&e, NL_OP_FIRST_BACK, 1), fused, "%s", what);
    static const nl_op others[] = {NL_OP_CONV, NL_OP_APPLY, NL_OP_CELLS_BACK, NL_OP_DZ_BACK,
                                   NL_OP_FILTER_BACK};
    for (int i = 0; i < COUNT(others) && fused; i++)
        cr_assert_eq(steps_of(&e, others[i], 0), 0, "%s: operation %d", what, i);
    if (fused) cr_assert_eq(steps_of(&e, NL_OP_DATA_BACK, 1), 0, "%s", what);
    nl_net_fast_free(&e);
}

static void check_text(const char *layers, bool fused) {
    memory_run r;
    nl_error err = {0};
    memory_run_open(&r, "gn", 8, "data.batch=4", (char *)NULL);
    char text[600];
    snprintf(text, sizeof text, "model:\n  norm: layer\n  layers:\n%s    - {pool: average}\n",
             layers);
    cr_assert_eq(config_text_load(&r.config, text, &err), 0, "%s", err.what);
    memory_run_rebuild(&r);
    check_way(&r, layers, fused);
    memory_run_close(&r);
}

Test(first_way, networks_that_go_this_way_and_others) {
    static const char *const configs[] = {"bn", "bn_l1", "ln", "gn", "none"};
    for (int i = 0; i < COUNT(configs); i++) {
        memory_run r;
        memory_run_open(&r, configs[i], 8, "data.batch=4", (char *)NULL);
        check_way(&r, configs[i], true);
        memory_run_close(&r);
    }
    check_text("    - {conv: 7, kernel: 8, norm: true}\n    - {conv: 10, kernel: 1}\n", true);
    check_text("    - {conv: 7, kernel: 1}\n    - {conv: 10, kernel: 1}\n", true);
    check_text("    - {conv: 7, kernel: 9, norm: true}\n    - {conv: 10, kernel: 1}\n", false);
    check_text("    - {conv: 7, kernel: 5, norm: true}\n    - {conv: 10, kernel: 3}\n", false);
    check_text("    - {conv: 7, kernel: 5}\n    - {pool: max, size: 2}\n"
               "    - {conv: 10, kernel: 1}\n",
               false);
    check_text("    - {pool: max, size: 2}\n    - {conv: 7, kernel: 5}\n"
               "    - {conv: 10, kernel: 1}\n",
               false);
    check_text("    - {conv: 10, kernel: 5, norm: true}\n", false);
}

/* ---- Steps ---- */

/* 20 steps against double precision. */
static void check_steps(const char *config, const char *norm) {
    enum { STEPS = 20, BATCH = 16 };
    nl_step_record got[STEPS], want[STEPS];
    memory_run r;
    memory_run_open(&r, config, STEPS * BATCH, "data.batch=16", norm, (char *)NULL);
    memory_engine narrow = memory_engine_open(&r, &nl_backend_cpu);
    memory_engine wide = memory_engine_open(&r, &nl_backend_cpu64);
    memory_engine_epoch(&narrow, 0);
    memory_engine_epoch(&wide, 0);
    memory_engine_steps(&narrow, 0, STEPS, got);
    memory_engine_steps(&wide, 0, STEPS, want);
    memory_losses_agree(config, got, want, STEPS);
    memory_engine_close(&narrow);
    memory_engine_close(&wide);
    memory_run_close(&r);
}

static void twenty_steps(void) {
    check_steps("bn_l1", "model.norm=batch");
    check_steps("ln", "model.norm=layer");
    check_steps("gn", "model.norm=group");
    check_steps("gn", "model.norm=instance");
    check_steps("gn", "model.norm=rms");
    check_steps("none", "model.norm=none");
}

TEST_IN_EACH_SET(first_way, twenty_steps)

/* A fifth of all random networks; others than test_any_network.c has. */
Test(first_way, random_networks) {
    enum { MACS = 150000, NETWORKS = 30 };
    uint32_t seed = 1000;
    for (int checked = 0; checked < NETWORKS; seed++) {
        static nl_random_net net;
        static nl_config config;
        static nl_model model;
        nl_random_outcome outcome;
        nl_error err = {0};
        nl_random_net_draw(&net, seed, MACS);
        cr_assert_eq(nl_random_net_load(&config, &model, &net, &err), NL_OK, "%s", err.what);
        if (!nl_first_fits(&model)) continue;
        checked++;
        cr_expect_eq(nl_random_net_check(&net, &nl_backend_cpu, &outcome, &err), NL_OK, "%s: %s",
                     err.where, err.what);
    }
}
