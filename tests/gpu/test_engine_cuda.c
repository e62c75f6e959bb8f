/* The CUDA engine against the plain CPU engine: whole steps, partial batches, evaluation, resuming,
 * a loss that is not finite. Runs on a GPU where there is one, and on the CPU in the build that
 * runs the kernels there (with the CPU's convolutions in cuDNN's place).
 */
#include <criterion/criterion.h>
#include <math.h>   // fabs
#include <stdio.h>  // printf
#include <stdlib.h> // free
#include <string.h> // memcmp

#include "normlab/backend.h"
#include "normlab/rng.h"         // nl_epoch_order
#include "support/config_text.h" // config_text_load
#include "support/idx_set.h"     // idx_set_draw
#ifdef NL_SIMT_TEST
#include "cuda_runtime_api.h" // simt_memory
#endif

enum { BATCH = 2, IMAGES = 37, STEPS = 19, SEED = 5 }; /* 18 full batches, one of 1 image */

/* Whether there is a device; says so where there is none. */
static bool have_device(void) {
    nl_error err;
    if (nl_cuda_probe(0, &err) == NL_OK) return true;
    printf("gpu: skipped: %s\n", err.what);
    fflush(stdout);
    return false;
}

#define NEED_DEVICE()                                                                              \
    if (!have_device()) cr_skip_test("no GPU")

/* ---- a run in memory ---------------------------------------------------------------------------
 */

typedef struct run {
    nl_config config;
    nl_model model;
    nl_dataset data;
    uint32_t order[IMAGES];
    nl_rotation rotations[IMAGES];
    nl_engine_spec spec;
} run;

static void make_split(nl_split *split, uint32_t first) {
    split->count = IMAGES;
    split->images = nl_alloc(IMAGES, IDX_PIXELS, "images");
    split->labels = nl_alloc(IMAGES, 1, "labels");
    for (uint32_t i = 0; i < IMAGES; i++) {
        idx_set_draw(split->images + i * IDX_PIXELS, first + i);
        split->labels[i] = (uint8_t)((first + i) % 10);
    }
}

/* The published networks' layers with an eighth of the work. */
static const char small_net[] = "data: {batch: 2}\n"
                                "model:\n"
                                "  layers:\n"
                                "    - {conv: 8, kernel: 5, pad: 2, norm: true, relu: true}\n"
                                "    - {conv: 4, kernel: 1, norm: true, relu: true}\n"
                                "    - {pool: max, size: 2, dropout: true}\n"
                                "    - {conv: 8, kernel: 3, norm: true, relu: true}\n"
                                "    - {pool: max, size: 2, dropout: true}\n"
                                "    - {conv: 4, kernel: 3, norm: true}\n"
                                "    - {conv: 10, kernel: 3}\n"
                                "    - {pool: average}\n";

/* A network with a norm and further overrides, which end with NULL. last: the smallest batch that
 * it is to train with. */
static run *make_run_of(const char *net, int last, const char *norm, const char *const *sets) {
    run *r = nl_alloc(1, sizeof *r, "run");
    nl_error err = {0};
    char set[32];
    snprintf(set, sizeof set, "model.norm=%s", norm);
    cr_assert(!config_text_load(&r->config, net, &err), "%s: %s", err.where, err.what);
    cr_assert(nl_config_set(&r->config, set, &err) == NL_OK, "%s", err.what);
    for (; sets && *sets; sets++)
        cr_assert(!nl_config_set(&r->config, *sets, &err), "%s", err.what);
    cr_assert(nl_config_check(&r->config, &err) == NL_OK, "%s", err.what);
    cr_assert(nl_model_build(&r->model, &r->config, last, &err) == NL_OK, "%s", err.what);
    make_split(&r->data.train, 0);
    make_split(&r->data.test, 1000);
    nl_epoch_order(r->order, IMAGES, SEED, 0, true);
    for (uint32_t i = 0; i < IMAGES; i++) {
        r->rotations[i] =
            nl_rotation_make(nl_rotation_degrees(SEED, 0, i, 7), r->model.picture.shape);
    }
    r->spec = (nl_engine_spec){
        .config = &r->config, .model = &r->model, .data = &r->data, .seed = SEED, .threads = 1};
    return r;
}

static run *make_run(const char *norm, const char *const *sets) {
    return make_run_of(small_net, 1, norm, sets);
}

static void free_run(run *r) {
    free(r->data.train.images);
    free(r->data.train.labels);
    free(r->data.test.images);
    free(r->data.test.labels);
    free(r);
}

static nl_state make_state(const run *r) {
    nl_state s = nl_state_alloc(&r->model, sizeof(float));
    nl_model_init(&r->model, s.params, s.buffers, SEED);
    return s;
}

static nl_engine *open_engine(const nl_backend *backend, const run *r, const nl_state *state) {
    nl_engine *engine;
    nl_error err = {0};
    cr_assert(backend->open(&engine, &r->spec, &err) == NL_OK, "%s: %s", err.where, err.what);
    cr_assert(backend->set_state(engine, state, &err) == NL_OK, "%s", err.what);
    const nl_epoch epoch = {.epoch = 0,
                            .lr = 0.01,
                            .order = r->order,
                            .rotations = r->config.data.rotate > 0 ? r->rotations : NULL};
    cr_assert(backend->begin_epoch(engine, &epoch, &err) == NL_OK, "%s", err.what);
    return engine;
}

static void steps(const nl_backend *backend, nl_engine *engine, nl_step_record *records,
                  uint32_t first, uint32_t count) {
    nl_error err = {0};
    cr_assert(backend->enqueue(engine, first, count, &err) == NL_OK, "%s", err.what);
    cr_assert(backend->collect(engine, first, count, records + first, &err) == NL_OK, "%s",
              err.what);
}

static void fetch(const nl_backend *backend, nl_engine *engine, nl_state *state) {
    nl_error err = {0};
    cr_assert(backend->get_state(engine, state, &err) == NL_OK, "%s", err.what);
}

/* One epoch on a backend from the initial state, in enqueues of `burst` steps. */
static void train(const nl_backend *backend, const run *r, nl_step_record records[STEPS],
                  nl_state *state, uint32_t burst) {
    *state = make_state(r);
    nl_engine *engine = open_engine(backend, r, state);
    for (uint32_t first = 0; first < STEPS; first += burst) {
        steps(backend, engine, records, first, first + burst < STEPS ? burst : STEPS - first);
    }
    fetch(backend, engine, state);
    backend->close(engine);
}

static bool same_bits(const run *r, const nl_state *a, const nl_state *b) {
    const size_t params = (size_t)r->model.params_size * sizeof(float);
    const size_t buffers = (size_t)r->model.buffers_size * sizeof(float);
    return !memcmp(a->params, b->params, params) && !memcmp(a->momentum, b->momentum, params) &&
           !memcmp(a->buffers, b->buffers, buffers);
}

/* ---- losses ------------------------------------------------------------------------------------
 */

static void compare_records(const char *name, const nl_step_record *got,
                            const nl_step_record *want) {
    double worst = 0;
    for (int i = 0; i < STEPS; i++) {
        const double relative = fabs(got[i].loss - want[i].loss) / want[i].loss;
        const double bound = i == 0 ? 1e-5 : 3e-2;
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
    run *r = make_run(name, sets);
    nl_step_record got[STEPS], want[STEPS];
    nl_state a, b;
    train(&nl_backend_cuda, r, got, &a, STEPS);
    train(&nl_backend_plain, r, want, &b, STEPS);
    compare_records(name, got, want);
    nl_state_free(&a);
    nl_state_free(&b);
    free_run(r);
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
    run *r = make_run("batch", NULL);
    nl_step_record one[STEPS], many[STEPS];
    nl_state a, b;
    train(&nl_backend_cuda, r, one, &a, STEPS);
    train(&nl_backend_cuda, r, many, &b, 3);
    cr_assert(same_bits(r, &a, &b));
    for (int i = 0; i < STEPS; i++) cr_assert(one[i].loss == many[i].loss, "step %d", i);
    nl_state_free(&a);
    nl_state_free(&b);
    free_run(r);
}

Test(engine_cuda, a_run_resumed_in_the_epoch_gives_the_same_bits) {
    NEED_DEVICE();
    run *r = make_run("group", NULL);
    nl_step_record whole[STEPS], parts[STEPS];
    nl_state a, b = make_state(r);
    train(&nl_backend_cuda, r, whole, &a, STEPS);
    nl_engine *engine = open_engine(&nl_backend_cuda, r, &b);
    steps(&nl_backend_cuda, engine, parts, 0, 7);
    fetch(&nl_backend_cuda, engine, &b);
    nl_backend_cuda.close(engine);
    engine = open_engine(&nl_backend_cuda, r, &b);
    steps(&nl_backend_cuda, engine, parts, 7, STEPS - 7);
    fetch(&nl_backend_cuda, engine, &b);
    nl_backend_cuda.close(engine);
    cr_assert(same_bits(r, &a, &b));
    for (int i = 0; i < STEPS; i++) cr_assert(whole[i].loss == parts[i].loss, "step %d", i);
    nl_state_free(&a);
    nl_state_free(&b);
    free_run(r);
}

/* ---- a loss that is not finite -----------------------------------------------------------------
 */

Test(engine_cuda, a_loss_that_is_not_finite_changes_nothing) {
    NEED_DEVICE();
    run *r = make_run("batch", NULL);
    nl_step_record records[STEPS];
    nl_state before = make_state(r), after = make_state(r), good = make_state(r);
    ((float *)before.params)[r->model.tensors[r->model.layers[1].weight].offset] = NAN;
    nl_engine *engine = open_engine(&nl_backend_cuda, r, &before);
    steps(&nl_backend_cuda, engine, records, 0, 4);
    fetch(&nl_backend_cuda, engine, &after);
    cr_assert(same_bits(r, &before, &after), "weights, momentum and running values stay");
    cr_assert(!isfinite(records[0].loss) && !isfinite(records[3].loss));
    nl_error err;
    cr_assert(nl_backend_cuda.set_state(engine, &good, &err) == NL_OK);
    const nl_epoch epoch = {.epoch = 0, .lr = 0.01, .order = r->order, .rotations = r->rotations};
    cr_assert(nl_backend_cuda.begin_epoch(engine, &epoch, &err) == NL_OK);
    steps(&nl_backend_cuda, engine, records, 0, 1);
    fetch(&nl_backend_cuda, engine, &after);
    cr_assert(isfinite(records[0].loss) && !same_bits(r, &good, &after), "a new state runs again");
    nl_backend_cuda.close(engine);
    nl_state_free(&before);
    nl_state_free(&after);
    nl_state_free(&good);
    free_run(r);
}

/* The penalty is known before anything is changed, in the first step too. */
Test(engine_cuda, a_penalty_that_is_not_finite_changes_nothing) {
    NEED_DEVICE();
    static const char *const sets[] = {"train.l1=1e307", NULL};
    run *r = make_run("batch", sets);
    const nl_backend *const backends[] = {&nl_backend_plain, &nl_backend_cuda};
    for (int i = 0; i < 2; i++) {
        nl_step_record records[STEPS];
        nl_state before = make_state(r), after = make_state(r);
        nl_engine *engine = open_engine(backends[i], r, &before);
        steps(backends[i], engine, records, 0, 2);
        fetch(backends[i], engine, &after);
        cr_assert(isfinite(records[0].loss) && records[0].penalty == INFINITY);
        cr_assert(same_bits(r, &before, &after), "%s", backends[i]->name);
        backends[i]->close(engine);
        nl_state_free(&before);
        nl_state_free(&after);
    }
    free_run(r);
}

/* ---- state -------------------------------------------------------------------------------------
 */

Test(engine_cuda, a_new_state_in_the_epoch_trains_as_in_the_epoch) {
    NEED_DEVICE();
    static const char *const sets[] = {"train.l1=0.001", NULL};
    run *r = make_run("batch", sets);
    nl_step_record first[STEPS], again[STEPS];
    nl_state begin = make_state(r), a = make_state(r), b = make_state(r);
    nl_engine *engine = open_engine(&nl_backend_cuda, r, &begin);
    steps(&nl_backend_cuda, engine, first, 0, 5);
    fetch(&nl_backend_cuda, engine, &a);
    nl_error err;
    cr_assert(nl_backend_cuda.set_state(engine, &begin, &err) == NL_OK);
    steps(&nl_backend_cuda, engine, again, 0, 5);
    fetch(&nl_backend_cuda, engine, &b);
    nl_backend_cuda.close(engine);
    cr_assert(!same_bits(r, &begin, &a) && same_bits(r, &a, &b));
    for (int i = 0; i < 5; i++)
        cr_assert(first[i].loss == again[i].loss && first[i].penalty == again[i].penalty);
    nl_state_free(&begin);
    nl_state_free(&a);
    nl_state_free(&b);
    free_run(r);
}

/* ---- batches -----------------------------------------------------------------------------------
 */

/* The last batch has one image, with which this network cannot be trained; nobody asks for it. */
Test(engine_cuda, a_last_batch_that_cannot_train_may_be_left_out) {
    NEED_DEVICE();
    static const char net[] = "data: {batch: 2}\n"
                              "model:\n"
                              "  layers:\n"
                              "    - {conv: 4, kernel: 5, pad: 2, norm: true, relu: true}\n"
                              "    - {pool: max, size: 4}\n"
                              "    - {conv: 10, kernel: 7, norm: true}\n"
                              "    - {pool: average}\n";
    run *r = make_run_of(net, 2, "batch", NULL);
    nl_step_record got[STEPS], want[STEPS];
    nl_state begin = make_state(r);
    nl_engine *cuda = open_engine(&nl_backend_cuda, r, &begin);
    nl_engine *plain = open_engine(&nl_backend_plain, r, &begin);
    steps(&nl_backend_cuda, cuda, got, 0, STEPS - 1);
    steps(&nl_backend_plain, plain, want, 0, STEPS - 1);
    for (int i = 0; i < STEPS - 1; i++)
        cr_assert(fabs(got[i].loss - want[i].loss) <= 3e-2 * want[i].loss, "step %d", i);
    nl_error err = {0};
    cr_assert(nl_backend_cuda.enqueue(cuda, STEPS - 1, 1, &err) == NL_EUSAGE);
    cr_assert(strstr(err.what, "one value a channel"), "%s", err.what);
    nl_backend_cuda.close(cuda);
    nl_backend_plain.close(plain);
    nl_state_free(&begin);
    free_run(r);
}

/* One step, with all that there is. */
Test(engine_cuda, a_batch_above_the_data_is_the_data) {
    NEED_DEVICE();
    static const char *const sizes[][2] = {{"data.batch=37", NULL},
                                           {"data.batch=2147483647", NULL}};
    nl_step_record records[2];
    nl_state states[2];
    run *r = NULL;
    for (int i = 0; i < 2; i++) {
        if (r) free_run(r);
        r = make_run("batch", sizes[i]);
        states[i] = make_state(r);
        nl_engine *engine = open_engine(&nl_backend_cuda, r, &states[i]);
        steps(&nl_backend_cuda, engine, &records[i], 0, 1);
        fetch(&nl_backend_cuda, engine, &states[i]);
        nl_backend_cuda.close(engine);
    }
    cr_assert(records[0].images == IMAGES && records[0].loss == records[1].loss);
    cr_assert(same_bits(r, &states[0], &states[1]));
    nl_state_free(&states[0]);
    nl_state_free(&states[1]);
    free_run(r);
}

Test(engine_cuda, a_batch_that_the_kernels_cannot_count_is_refused) {
    NEED_DEVICE();
    static const char *const sets[] = {"data.batch=100000", NULL};
    run *r = make_run("batch", sets);
    nl_engine *engine;
    nl_error err = {0};
    r->data.train.count = 200000; /* nothing is read: the size alone is too much */
    cr_assert(nl_backend_cuda.open(&engine, &r->spec, &err) == NL_EDEVICE);
    cr_assert(!strcmp(err.where, "data.batch"), "%s", err.where);
    cr_assert(strstr(err.what, "100000") && strstr(err.what, "at most 85598"), "%s", err.what);
    cr_assert(strstr(err.hint, "85598"), "%s", err.hint);
    free_run(r);
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
    run *r = make_run(name, NULL);
    nl_state state = make_state(r);
    nl_step_record records[STEPS];
    nl_engine *cuda = open_engine(&nl_backend_cuda, r, &state);
    steps(&nl_backend_cuda, cuda, records, 0, 6); /* running values of their own */
    fetch(&nl_backend_cuda, cuda, &state);
    nl_engine *cpu = open_engine(&nl_backend_plain, r, &state);
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
    steps(&nl_backend_cuda, cuda, records, 6, STEPS - 6); /* training goes on behind it */
    nl_backend_cuda.close(cuda);
    nl_backend_plain.close(cpu);
    nl_state_free(&state);
    free_run(r);
}

Test(engine_cuda, evaluation_of_batch_norm) {
    NEED_DEVICE();
    check_evaluation("batch");
}

Test(engine_cuda, evaluation_of_group_norm) {
    NEED_DEVICE();
    check_evaluation("group");
}

/* ---- memory ------------------------------------------------------------------------------------
 */

#ifdef NL_SIMT_TEST /* whose device can be made small */
Test(engine_cuda, out_of_memory_names_tensor_and_sizes) {
    static const char *const sets[] = {"data.batch=37", NULL};
    run *r = make_run("layer", sets);
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
    free_run(r);
}
#endif
