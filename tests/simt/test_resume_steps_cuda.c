/* A run of the CUDA engine, its kernels run by the executor, stopped after any step and resumed ends
 * with the same bits. tests/test_resume_steps.c does the same with the CPU's engines. */
#include <criterion/criterion.h>

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
