/* A run of the CUDA engine, its kernels run by the executor, stopped after any step and resumed ends
 * with the same bits. tests/test_resume_steps.c does the same with the CPU's engines. */
#include <criterion/criterion.h>
#include <stdlib.h> // setenv
#include <string.h> // strstr

#include "support/stops.h"

/* Small, as a CPU runs the kernels. */
enum { EPOCHS = 2, STEPS = 3 };

static void open_small(toy *t) {
    toy_open(t);
    t->config.data.batch = 4;
    t->config.train.epochs = EPOCHS;
    t->study.options.limit_batches = STEPS;
}

Test(resume_steps_cuda, after_each) {
    toy t;
    open_small(&t);
    t.study.options.save_every = 2;
    stops_after_each_step(&t, &nl_backend_cuda, STEPS);
    toy_close(&t);
}

Test(resume_steps_cuda, saved_every_so_many) {
    toy t;
    open_small(&t);
    stops_saved_every(&t, &nl_backend_cuda, STEPS, 2);
    toy_close(&t);
}

/* ---- what a run was started with ---- */

/* Resumed for another epoch: refused with these words and a hint. */
static void expect_refusal(toy *t, const char *words) {
    nl_error err = {0};
    t->study.options.resume = true;
    const int code = toy_train(t, &err);
    cr_assert_eq(code, NL_EUSAGE, "code %d, not %d: %s: %s", code, NL_EUSAGE, err.where, err.what);
    cr_assert(strstr(err.where, words) || strstr(err.what, words), "%s: %s", err.where, err.what);
    cr_assert(err.hint[0] != '\0', "no hint");
}

/* As --epochs: without it a resumed run has those that it had. */
static void set_epochs(toy *t, const char *epochs) {
    nl_error err = {0};
    cr_assert_eq(nl_config_set(&t->config, epochs, &err), NL_OK, "%s", err.what);
}

static void begin_with(toy *t, const char *name, char out[256]) {
    t->study.backend = &nl_backend_cuda;
    t->study.options.resume = false;
    set_epochs(t, "train.epochs=1");
    stops_train(t, stops_folder(t, out, name), NL_OK);
    set_epochs(t, "train.epochs=2");
}

static void go_on(toy *t, const char *out) {
    t->study.options.resume = true;
    stops_train(t, out, NL_OK);
}

Test(resume_steps_cuda, another_math_is_refused) {
    static const nl_math maths[] = {NL_MATH_FP32, NL_MATH_TF32};
    toy t;
    char out[256];
    open_small(&t);
    for (int i = 0; i < 2; i++) {
        t.config.train.math = maths[i];
        begin_with(&t, i ? "tf32" : "fp32", out);
        t.config.train.math = maths[1 - i];
        expect_refusal(&t, "train.math");
        t.config.train.math = maths[i];
        go_on(&t, out);
    }
    toy_close(&t);
}

/* Convolution and 1 x 1 convolution, without the pool between them. */
static void make_first_block(nl_config *config) {
    nl_layer_spec *l = config->model.layers;
    l[1] = l[2];
    l[2] = l[3];
    l[1].kernel = 1;
    config->model.n_layers = 3;
}

Test(resume_steps_cuda, another_way_through_the_first_block_is_refused) {
    static const char *const ways[] = {"0", "1"};
    toy t;
    char out[256];
    open_small(&t);
    make_first_block(&t.config);
    for (int i = 0; i < 2; i++) {
        setenv("NORMLAB_FIRST_BLOCK", ways[i], 1);
        begin_with(&t, i ? "own" : "general", out);
        setenv("NORMLAB_FIRST_BLOCK", ways[1 - i], 1);
        expect_refusal(&t, "NORMLAB_FIRST_BLOCK");
        unsetenv("NORMLAB_FIRST_BLOCK");
        go_on(&t, out); /* its own way, unasked */
        size_t size;
        char *record = toy_read(&t, out, "run.json", &size);
        cr_assert(record && strstr(record, i ? "\"own\"" : "\"general\""), "%s", record);
        free(record);
    }
    toy_close(&t);
}
