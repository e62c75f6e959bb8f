/* A run stopped after any step, by a signal or without a word, and resumed ends with the same bits
 * as one that nothing stopped: the CPU's engines. Those of CUDA: simt/test_resume_steps_cuda.c. */
#include <criterion/criterion.h>

#include "support/stops.h"

enum { EPOCHS = 5, STEPS = 8, BATCH = 6 }; /* the last of 2 images: 40 steps */

static void resume_after_every_step(const nl_backend *backend) {
    toy t;
    toy_open(&t);
    t.config.train.epochs = EPOCHS;
    t.config.data.batch = BATCH;
    t.study.options.save_every = 13;
    t.study.layer_stats = nl_layer_stats_of;
    t.study.options.layer_stats = true;
    stops_after_each_step(&t, backend, STEPS);
    toy_close(&t);
}

Test(resume_steps, in_double) {
    resume_after_every_step(&nl_backend_cpu64);
}

Test(resume_steps, in_float) {
    resume_after_every_step(&nl_backend_plain);
}

Test(resume_steps, of_the_fast_engine) {
    resume_after_every_step(&nl_backend_cpu);
}

/* --save-every: what a process leaves that ends without a word in its step-th step, the newest state
 * of a multiple of N before it, goes on to the same bits. */
Test(resume_steps, saved_every_so_many) {
    toy t;
    toy_open(&t);
    stops_saved_every(&t, &nl_backend_cpu64, TOY_STEPS, 4);
    toy_close(&t);
}

Test(resume_steps, saved_every_so_many_by_the_fast_engine) {
    toy t;
    toy_open(&t);
    stops_saved_every(&t, &nl_backend_cpu, TOY_STEPS, 5);
    toy_close(&t);
}
