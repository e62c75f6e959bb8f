/* The CUDA engine against the plain CPU engine: batches of all sizes, and evaluation. Runs where
 * test_engine_cuda.c does. */
#include <criterion/criterion.h>
#include <math.h>   // fabs
#include <stdlib.h> // free
#include <string.h> // memcmp

#include "support/need_device.h"
#include "support/parts_check.h"
#include "support/small_run.h"

/* ---- batches -----------------------------------------------------------------------------------
 */

/* The last batch has one image, with which this network cannot be trained; nobody asks for it. */
Test(batches_cuda, a_last_batch_that_cannot_train_may_be_left_out) {
    NEED_DEVICE();
    static const char net[] = "data: {batch: 2}\n"
                              "model:\n"
                              "  layers:\n"
                              "    - {conv: 4, kernel: 5, pad: 2, norm: true, relu: true}\n"
                              "    - {pool: max, size: 4}\n"
                              "    - {conv: 10, kernel: 7, norm: true}\n"
                              "    - {pool: average}\n";
    small_run *r = small_run_of(net, 2, "batch", NULL);
    nl_step_record got[STEPS], want[STEPS];
    nl_state begin = small_run_state(r);
    nl_engine *cuda = small_run_engine(&nl_backend_cuda, r, &begin);
    nl_engine *plain = small_run_engine(&nl_backend_plain, r, &begin);
    small_run_steps(&nl_backend_cuda, cuda, got, 0, STEPS - 1);
    small_run_steps(&nl_backend_plain, plain, want, 0, STEPS - 1);
    for (int i = 0; i < STEPS - 1; i++)
        cr_assert(fabs(got[i].loss - want[i].loss) <= 3e-2 * want[i].loss, "step %d", i);
    nl_error err = {0};
    cr_assert(nl_backend_cuda.enqueue(cuda, STEPS - 1, 1, &err) == NL_EUSAGE);
    cr_assert(strstr(err.what, "one value a channel"), "%s", err.what);
    nl_backend_cuda.close(cuda);
    nl_backend_plain.close(plain);
    nl_state_free(&begin);
    small_run_close(r);
}

/* One step, with all that there is. */
Test(batches_cuda, a_batch_above_the_data_is_the_data) {
    NEED_DEVICE();
    static const char *const sizes[][2] = {{"data.batch=37", NULL},
                                           {"data.batch=2147483647", NULL}};
    nl_step_record records[2];
    nl_state states[2];
    small_run *r = NULL;
    for (int i = 0; i < 2; i++) {
        if (r) small_run_close(r);
        r = small_run_open("batch", sizes[i]);
        states[i] = small_run_state(r);
        nl_engine *engine = small_run_engine(&nl_backend_cuda, r, &states[i]);
        small_run_steps(&nl_backend_cuda, engine, &records[i], 0, 1);
        small_run_fetch(&nl_backend_cuda, engine, &states[i]);
        nl_backend_cuda.close(engine);
    }
    cr_assert(records[0].images == IMAGES && records[0].loss == records[1].loss);
    cr_assert(small_run_same(r, &states[0], &states[1]));
    nl_state_free(&states[0]);
    nl_state_free(&states[1]);
    small_run_close(r);
}

Test(batches_cuda, a_batch_that_the_kernels_cannot_count_is_refused) {
    NEED_DEVICE();
    static const char *const sets[] = {"data.batch=100000", NULL};
    small_run *r = small_run_open("batch", sets);
    nl_engine *engine;
    nl_error err = {0};
    r->data.train.count = 200000; /* nothing is read: the size alone is too much */
    cr_assert(nl_backend_cuda.open(&engine, &r->spec, &err) == NL_EDEVICE);
    cr_assert(!strcmp(err.where, "data.batch"), "%s", err.where);
    cr_assert(strstr(err.what, "100000") && strstr(err.what, "at most 85598"), "%s", err.what);
    cr_assert(strstr(err.hint, "85598"), "%s", err.hint);
    small_run_close(r);
}

/* ---- evaluation --------------------------------------------------------------------------------
 */

typedef struct scores {
    float probs[IMAGES * IDX_CLASSES], logits[IMAGES * IDX_CLASSES];
    uint8_t predictions[IMAGES];
    nl_eval_result result;
} scores;

/* The rotations are those of the images asked for, no more. */
static void evaluate(const nl_backend *backend, nl_engine *engine, scores *s, const nl_split *split,
                     const nl_rotation *all_rotations, uint32_t images) {
    nl_rotation *rotations = NULL;
    if (all_rotations) {
        rotations = nl_alloc(images, sizeof *rotations, "rotations");
        memcpy(rotations, all_rotations, images * sizeof *rotations);
    }
    const nl_eval_pass pass = {.split = split,
                               .rotations = rotations,
                               .images = images,
                               .probs = s->probs,
                               .predictions = s->predictions,
                               .logits = s->logits};
    nl_error err = {0};
    cr_assert(backend->evaluate(engine, &pass, &s->result, &err) == NL_OK, "%s", err.what);
    free(rotations);
}

/* Both splits, with and without rotations, all images and 5 of them. */
static void check_evaluation(const char *name) {
    small_run *r = small_run_open(name, NULL);
    nl_state state = small_run_state(r);
    nl_step_record records[STEPS];
    nl_engine *cuda = small_run_engine(&nl_backend_cuda, r, &state);
    small_run_steps(&nl_backend_cuda, cuda, records, 0, 6); /* running values of their own */
    small_run_fetch(&nl_backend_cuda, cuda, &state);
    nl_engine *cpu = small_run_engine(&nl_backend_plain, r, &state);
    for (int i = 0; i < 8; i++) {
        static scores a, b;
        const nl_split *split = i & 1 ? &r->data.test : &r->data.train;
        const nl_rotation *rotations = i & 2 ? r->rotations : NULL;
        const uint32_t images = i & 4 ? 5 : IMAGES;
        evaluate(&nl_backend_cuda, cuda, &a, split, rotations, images);
        evaluate(&nl_backend_plain, cpu, &b, split, rotations, images);
        cr_assert(fabs(a.result.loss - b.result.loss) <= 1e-5 * b.result.loss,
                  "%s, pass %d: loss %.9g, the CPU has %.9g", name, i, a.result.loss,
                  b.result.loss);
        cr_assert(a.result.hits == b.result.hits);
        cr_assert(!memcmp(a.predictions, b.predictions, images));
        for (uint32_t k = 0; k < images * IDX_CLASSES; k++) {
            cr_assert(fabsf(a.logits[k] - b.logits[k]) <= 1e-4F, "%s, pass %d, logit %u", name, i,
                      k);
            cr_assert(fabsf(a.probs[k] - b.probs[k]) <= 1e-5F);
        }
    }
    small_run_steps(&nl_backend_cuda, cuda, records, 6, STEPS - 6); /* training goes on behind it */
    nl_backend_cuda.close(cuda);
    nl_backend_plain.close(cpu);
    nl_state_free(&state);
    small_run_close(r);
}

Test(batches_cuda, evaluation_in_parts) {
    NEED_DEVICE();
    parts_check(&nl_backend_cuda);
}

Test(batches_cuda, evaluation_of_batch_norm) {
    NEED_DEVICE();
    check_evaluation("batch");
}

Test(batches_cuda, evaluation_of_group_norm) {
    NEED_DEVICE();
    check_evaluation("group");
}
