/* The CUDA engine against the plain CPU engine: whole steps, resuming, a loss that is not finite, too
 * little memory. Runs on a GPU where there is one, and on the CPU in the build that runs the kernels
 * there (with the CPU's convolutions in cuDNN's place).
 */
#include <criterion/criterion.h>
#include <math.h>   // fabs
#include <stdio.h>  // printf
#include <string.h> // strstr

#include "support/need_device.h"
#include "support/small_run.h"
#ifdef NL_SIMT_TEST
#include "cuda_runtime_api.h" // simt_memory
#endif

/* ---- losses ------------------------------------------------------------------------------------
 */

static void compare_records(const char *name, const nl_step_record *got,
                            const nl_step_record *want) {
    double worst = 0;
    for (int i = 0; i < STEPS; i++) {
        const double relative = fabs(got[i].loss - want[i].loss) / want[i].loss;
        const double bound = i == 0 ? 1e-5 : 3e-2; /* why: support/memory_run.c */
        cr_assert(relative <= bound, "%s, step %d: loss %.9g, the CPU has %.9g", name, i,
                  got[i].loss, want[i].loss);
        cr_assert(fabs(got[i].penalty - want[i].penalty) <= 1e-4 * want[i].penalty,
                  "%s, step %d: penalty %.9g, the CPU has %.9g", name, i, got[i].penalty,
                  want[i].penalty);
        cr_assert(got[i].images == want[i].images && got[i].images == (i < 18 ? BATCH : 1));
        cr_assert(got[i].hits <= got[i].images);
        if (relative > worst) worst = relative;
    }
    cr_assert(got[0].hits == want[0].hits);
    printf("gpu: %s: %d steps, losses within %.2g of the CPU's\n", name, STEPS, worst);
    fflush(stdout);
}

static void check_losses(const char *name, const char *const *sets) {
    small_run *r = small_run_open(name, sets);
    nl_step_record got[STEPS], want[STEPS];
    nl_state a, b;
    small_run_train(&nl_backend_cuda, r, got, &a, STEPS);
    small_run_train(&nl_backend_plain, r, want, &b, STEPS);
    compare_records(name, got, want);
    nl_state_free(&a);
    nl_state_free(&b);
    small_run_close(r);
}

Test(engine_cuda, losses_of_batch_norm_with_l1) {
    NEED_DEVICE();
    static const char *const sets[] = {"train.l1=0.001", NULL};
    check_losses("batch", sets);
}

Test(engine_cuda, losses_of_layer_norm) {
    NEED_DEVICE();
    check_losses("layer", NULL);
    check_losses("rms", NULL);
}

Test(engine_cuda, losses_of_group_norm_with_nesterov_and_decay) {
    NEED_DEVICE();
    static const char *const sets[] = {"train.nesterov=true", "train.weight_decay=0.01", NULL};
    check_losses("group", sets);
}

Test(engine_cuda, losses_without_a_norm_rotation_and_dropout) {
    NEED_DEVICE();
    static const char *const sets[] = {"data.rotate=0", "model.dropout=0", NULL};
    check_losses("none", sets);
}

/* ---- the same bits -----------------------------------------------------------------------------
 */

/* 19 at once run the graph of 16 steps, one of a single step and that of the last batch; 3 at a
 * time never the long one. */
Test(engine_cuda, any_cut_into_enqueues_gives_the_same_bits) {
    NEED_DEVICE();
    small_run *r = small_run_open("batch", NULL);
    nl_step_record one[STEPS], many[STEPS];
    nl_state a, b;
    small_run_train(&nl_backend_cuda, r, one, &a, STEPS);
    small_run_train(&nl_backend_cuda, r, many, &b, 3);
    cr_assert(small_run_same(r, &a, &b));
    for (int i = 0; i < STEPS; i++) cr_assert(one[i].loss == many[i].loss, "step %d", i);
    nl_state_free(&a);
    nl_state_free(&b);
    small_run_close(r);
}

Test(engine_cuda, a_run_resumed_in_the_epoch_gives_the_same_bits) {
    NEED_DEVICE();
    small_run *r = small_run_open("group", NULL);
    nl_step_record whole[STEPS], parts[STEPS];
    nl_state a, b = small_run_state(r);
    small_run_train(&nl_backend_cuda, r, whole, &a, STEPS);
    nl_engine *engine = small_run_engine(&nl_backend_cuda, r, &b);
    small_run_steps(&nl_backend_cuda, engine, parts, 0, 7);
    small_run_fetch(&nl_backend_cuda, engine, &b);
    nl_backend_cuda.close(engine);
    engine = small_run_engine(&nl_backend_cuda, r, &b);
    small_run_steps(&nl_backend_cuda, engine, parts, 7, STEPS - 7);
    small_run_fetch(&nl_backend_cuda, engine, &b);
    nl_backend_cuda.close(engine);
    cr_assert(small_run_same(r, &a, &b));
    for (int i = 0; i < STEPS; i++) cr_assert(whole[i].loss == parts[i].loss, "step %d", i);
    nl_state_free(&a);
    nl_state_free(&b);
    small_run_close(r);
}

/* ---- a loss that is not finite -----------------------------------------------------------------
 */

Test(engine_cuda, a_loss_that_is_not_finite_changes_nothing) {
    NEED_DEVICE();
    small_run *r = small_run_open("batch", NULL);
    nl_step_record records[STEPS];
    nl_state before = small_run_state(r), after = small_run_state(r), good = small_run_state(r);
    ((float *)before.params)[r->model.tensors[r->model.layers[1].weight].offset] = NAN;
    nl_engine *engine = small_run_engine(&nl_backend_cuda, r, &before);
    small_run_steps(&nl_backend_cuda, engine, records, 0, 4);
    small_run_fetch(&nl_backend_cuda, engine, &after);
    cr_assert(small_run_same(r, &before, &after), "weights, momentum and running values stay");
    cr_assert(!isfinite(records[0].loss) && !isfinite(records[3].loss));
    nl_error err;
    cr_assert(nl_backend_cuda.set_state(engine, &good, &err) == NL_OK);
    const nl_epoch epoch = {.epoch = 0, .lr = 0.01, .order = r->order, .rotations = r->rotations};
    cr_assert(nl_backend_cuda.begin_epoch(engine, &epoch, &err) == NL_OK);
    small_run_steps(&nl_backend_cuda, engine, records, 0, 1);
    small_run_fetch(&nl_backend_cuda, engine, &after);
    cr_assert(isfinite(records[0].loss) && !small_run_same(r, &good, &after),
              "a new state runs again");
    nl_backend_cuda.close(engine);
    nl_state_free(&before);
    nl_state_free(&after);
    nl_state_free(&good);
    small_run_close(r);
}

/* The penalty is known before anything is changed, in the first step too. */
Test(engine_cuda, a_penalty_that_is_not_finite_changes_nothing) {
    NEED_DEVICE();
    static const char *const sets[] = {"train.l1=1e307", NULL};
    small_run *r = small_run_open("batch", sets);
    const nl_backend *const backends[] = {&nl_backend_plain, &nl_backend_cuda};
    for (int i = 0; i < 2; i++) {
        nl_step_record records[STEPS];
        nl_state before = small_run_state(r), after = small_run_state(r);
        nl_engine *engine = small_run_engine(backends[i], r, &before);
        small_run_steps(backends[i], engine, records, 0, 2);
        small_run_fetch(backends[i], engine, &after);
        cr_assert(isfinite(records[0].loss) && records[0].penalty == INFINITY);
        cr_assert(small_run_same(r, &before, &after), "%s", backends[i]->name);
        backends[i]->close(engine);
        nl_state_free(&before);
        nl_state_free(&after);
    }
    small_run_close(r);
}

/* ---- state -------------------------------------------------------------------------------------
 */

Test(engine_cuda, a_new_state_in_the_epoch_trains_as_in_the_epoch) {
    NEED_DEVICE();
    static const char *const sets[] = {"train.l1=0.001", NULL};
    small_run *r = small_run_open("batch", sets);
    nl_step_record first[STEPS], again[STEPS];
    nl_state begin = small_run_state(r), a = small_run_state(r), b = small_run_state(r);
    nl_engine *engine = small_run_engine(&nl_backend_cuda, r, &begin);
    small_run_steps(&nl_backend_cuda, engine, first, 0, 5);
    small_run_fetch(&nl_backend_cuda, engine, &a);
    nl_error err;
    cr_assert(nl_backend_cuda.set_state(engine, &begin, &err) == NL_OK);
    small_run_steps(&nl_backend_cuda, engine, again, 0, 5);
    small_run_fetch(&nl_backend_cuda, engine, &b);
    nl_backend_cuda.close(engine);
    cr_assert(!small_run_same(r, &begin, &a) && small_run_same(r, &a, &b));
    for (int i = 0; i < 5; i++)
        cr_assert(first[i].loss == again[i].loss && first[i].penalty == again[i].penalty);
    nl_state_free(&begin);
    nl_state_free(&a);
    nl_state_free(&b);
    small_run_close(r);
}

/* ---- memory ------------------------------------------------------------------------------------
 */

#ifdef NL_SIMT_TEST /* whose device can be made small */
Test(engine_cuda, out_of_memory_names_tensor_and_sizes) {
    static const char *const sets[] = {"data.batch=37", NULL};
    small_run *r = small_run_open("layer", sets);
    int tensors = 0, others = 0;
    for (size_t memory = 1 << 14;; memory += memory / 2) {
        nl_engine *engine;
        nl_error err = {0};
        simt_memory(memory);
        const int code = nl_backend_cuda.open(&engine, &r->spec, &err);
        if (code == NL_OK) {
            nl_backend_cuda.close(engine);
            break;
        }
        cr_assert(code == NL_EDEVICE && strstr(err.hint, "data.batch"), "%s", err.hint);
        cr_assert(strstr(err.what, "out of GPU memory") && strstr(err.what, "MiB wanted"), "%s",
                  err.what);
        *(strstr(err.where, "(37 x ") ? &tensors : &others) += 1;
    }
    cr_assert(tensors > 0 && others > 0, "%d, %d", tensors, others);
    small_run_close(r);
}
#endif
