/* 20 steps of every variant against PyTorch's float64, on a small synthetic set: golden/steps.txt.
 * The generator, the initial weights and the images were computed there a second time. */
#include <stdio.h> // snprintf

#include "support/compare.h"
#include "support/golden.h"
#include "support/memory_run.h"

enum { IMAGES = 28, STEPS_A_PASS = 10, STEPS = 20 };

static void check(const double *got, const char *name, const char *kind, int64_t count,
                  double relative) {
    char full[64];
    snprintf(full, sizeof full, "%s.%s", name, kind);
    double *want = golden("steps.txt", full, count);
    CHECK_CLOSE(got, want, count, 0, relative);
    guarded_free(want);
}

static void compare(memory_run *r, const char *name) {
    memory_engine e = memory_engine_open(r, &nl_backend_cpu64);
    nl_step_record records[STEPS];
    double losses[STEPS], penalties[STEPS];
    for (uint32_t pass = 0; pass < 2; pass++) {
        memory_engine_epoch(&e, pass);
        memory_engine_steps(&e, 0, STEPS_A_PASS, records + STEPS_A_PASS * pass);
    }
    for (int i = 0; i < STEPS; i++) {
        losses[i] = records[i].loss;
        penalties[i] = records[i].penalty;
        cr_assert_eq(records[i].images, i % 10 == 9 ? 1u : 3u);
    }
    check(losses, name, "loss", STEPS, 1e-9);
    check(penalties, name, "penalty", STEPS, 1e-9);

    nl_error err = {0};
    nl_eval_result result;
    const nl_eval_pass pass = {.split = &r->data.train, .images = IMAGES};
    cr_assert_eq(e.backend->evaluate(e.engine, &pass, &result, &err), 0);
    const double mean = result.loss / IMAGES;
    check(&mean, name, "eval", 1, 1e-9); /* knows the running values */
    memory_engine_close(&e);
}

#define CASE(name, file, ...)                                                                      \
    Test(torch_steps, name) {                                                                      \
        memory_run r;                                                                              \
        memory_run_open(&r, file, IMAGES, "data.batch=3", "model.dropout=0", __VA_ARGS__);         \
        compare(&r, #name);                                                                        \
        memory_run_close(&r);                                                                      \
    }

CASE(bn_l1, "bn_l1", (char *)NULL)
CASE(ln, "ln", (char *)NULL)
CASE(gn, "gn", (char *)NULL)
CASE(bn, "bn", (char *)NULL)
CASE(none, "none", (char *)NULL)
CASE(instance, "gn", "model.norm=instance", (char *)NULL)
CASE(rms, "gn", "model.norm=rms", (char *)NULL)
CASE(nesterov, "gn", "train.nesterov=true", "train.weight_decay=0.01", "train.l1=0.0005",
     (char *)NULL)

/* A norm of its own in each layer. */
Test(torch_steps, mixed) {
    static const nl_norm norms[] = {NL_NORM_BATCH, NL_NORM_GROUP, NL_NORM_RMS, NL_NORM_LAYER,
                                    NL_NORM_INSTANCE};
    memory_run r;
    memory_run_open(&r, "gn", IMAGES, "data.batch=3", "model.dropout=0", (char *)NULL);
    size_t used = 0;
    for (int i = 0; i < r.config.model.n_layers; i++)
        if (r.config.model.layers[i].norm) r.config.model.layers[i].norm = norms[used++];
    cr_assert_eq(used, sizeof norms / sizeof *norms);
    memory_run_rebuild(&r);
    compare(&r, "mixed");
    memory_run_close(&r);
}
