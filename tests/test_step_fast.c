/* The fused CPU engine against the plain one: whole steps, gradients tensor by tensor, evaluation;
 * the same bits for any number of threads and whatever else is in a batch. */
#include <criterion/criterion.h> // Test, cr_assert
#include <math.h>                // fabs
#include <signal.h>              // SIGABRT
#include <stdio.h>               // fopen
#include <stdlib.h>              // free
#include <string.h>              // memcmp
#include <unistd.h>              // getpid

#include "../src/host/verify/step_truth.h" // nl_truth_check
#include "cpu/fast/net_fast.h"             // nl_program_fast_check
#include "normlab/backend.h"               // nl_backend_cpu
#include "normlab/rng.h"                   // nl_epoch_order
#include "support/idx_set.h"               // IDX_PIXELS
#include "support/config_text.h"           // ODD_NET
#include "support/isa.h"                   // TEST_IN_EACH_SET

enum { IMAGES = 70 };

/* ---- A run in memory ---- */

typedef struct run {
    nl_config config;
    nl_model model;
    nl_dataset data;
    uint32_t order[IMAGES];
    nl_rotation rotations[IMAGES];
} run;

static void fill(run *r, const char *file, const char *const *sets) {
    nl_error err = {0};
    cr_assert_eq(nl_config_load(&r->config, file, &err), 0, "%s: %s", err.where, err.what);
    for (; *sets; sets++) cr_assert_eq(nl_config_set(&r->config, *sets, &err), 0, "%s", err.what);
    cr_assert_eq(nl_config_check(&r->config, &err), 0, "%s", err.what);
    cr_assert_eq(nl_model_build(&r->model, &r->config, 2, &err), 0, "%s: %s", err.where, err.what);
    r->data.train.count = r->data.test.count = IMAGES;
    r->data.train.images = nl_alloc(IMAGES, IDX_PIXELS, "images");
    r->data.train.labels = nl_alloc(IMAGES, 1, "labels");
    for (uint32_t i = 0; i < IMAGES * IDX_PIXELS; i++)
        r->data.train.images[i] = (uint8_t)(nl_philox4x32(i, 0, 0, 0, 7, 7).v[0] >> 24);
    for (uint32_t i = 0; i < IMAGES; i++) r->data.train.labels[i] = (uint8_t)(i * 7 % 10);
    r->data.test = r->data.train;
    nl_epoch_order(r->order, IMAGES, 3, 0, true);
    for (uint32_t i = 0; i < IMAGES; i++)
        r->rotations[i] = nl_rotation_make(nl_rotation_degrees(3, 0, i, r->config.data.rotate),
                                           r->model.picture.shape);
}

static void release(run *r) {
    free(r->data.train.images);
    free(r->data.train.labels);
}

/* Everything in double, from an engine of either precision. */
typedef struct result {
    nl_step_record records[8];
    double *params, *momentum, *buffers;
    double eval_loss;
    uint32_t eval_hits;
    float probs[IMAGES * IDX_CLASSES];
} result;

/* The weights and running values that a run begins with. */
static nl_state first_state(const run *r) {
    const nl_state first = nl_state_alloc(&r->model, sizeof(float));
    float *params = first.params;
    nl_model_init(&r->model, params, first.buffers, 3);
    for (int i = 0; i < r->model.n_tensors; i++) { /* gamma and beta of no special values */
        const nl_tensor *t = &r->model.tensors[i];
        if (strncmp(t->name, "norm", 4) != 0 || t->buffer) continue;
        for (int64_t k = 0; k < t->count; k++)
            params[t->offset + k] += 0.3F * (float)sin((double)(k + i));
    }
    return first;
}

static void run_on(result *out, run *r, const nl_backend *backend, int threads, int steps) {
    nl_error err = {0};
    nl_engine *engine;
    const nl_engine_spec spec = {
        .config = &r->config, .model = &r->model, .data = &r->data, .seed = 3, .threads = threads};
    const int size = backend->real_size;
    nl_state first = first_state(r), state = nl_state_alloc(&r->model, size);
    nl_state_convert(&state, size, &first, sizeof(float), &r->model);
    cr_assert_eq(backend->open(&engine, &spec, &err), 0);
    cr_assert_eq(backend->set_state(engine, &state, &err), 0);
    const nl_epoch epoch = {0, r->config.train.lr, r->order, r->rotations};
    cr_assert_eq(backend->begin_epoch(engine, &epoch, &err), 0);
    cr_assert_eq(backend->enqueue(engine, 0, (uint32_t)steps, &err), 0);
    cr_assert_eq(backend->collect(engine, 0, (uint32_t)steps, out->records, &err), 0);
    cr_assert_eq(backend->get_state(engine, &state, &err), 0);
    const nl_eval_pass pass = {.split = &r->data.test, .images = IMAGES, .probs = out->probs};
    nl_eval_result eval;
    cr_assert_eq(backend->evaluate(engine, &pass, &eval, &err), 0);
    out->eval_loss = eval.loss;
    out->eval_hits = eval.hits;
    backend->close(engine);
    const nl_state wide = nl_state_alloc(&r->model, sizeof(double));
    nl_state_convert(&wide, sizeof(double), &state, size, &r->model);
    out->params = wide.params;
    out->momentum = wide.momentum;
    out->buffers = wide.buffers;
    nl_state_free(&first);
    nl_state_free(&state);
}

static void release_result(result *r) {
    free(r->params);
    free(r->momentum);
    free(r->buffers);
}

/* ---- Against the oracle ---- */

/* The state that a step began with, and what it left: step_truth.h. */
static void compare(const run *r, const result *fast) {
    const int64_t size = r->model.params_size, running = r->model.buffers_size;
    const nl_engine_spec spec = {
        .config = &r->config, .model = &r->model, .data = &r->data, .seed = 3};
    const nl_epoch epoch = {0, r->config.train.lr, r->order, r->rotations};
    nl_state first = first_state(r);
    double *left = nl_alloc((size_t)(size + running), sizeof *left, "left");
    memcpy(left, fast->momentum, sizeof *left * (size_t)size);
    if (running) memcpy(left + size, fast->buffers, sizeof *left * (size_t)running);
    const nl_step_verdict v = nl_truth_check(&spec, first.params, first.buffers, &epoch, left);
    cr_assert(v.share <= 1, "%s: error %.3g, allowed %.3g, plain float's %.3g", v.tensor,
              v.share * v.bound, v.bound, v.plain);
    nl_state_free(&first);
    free(left);
}

static void check(const char *file, const char *const *sets) {
    static run r;
    static result fast, oracle;
    memset(&r, 0, sizeof r);
    fill(&r, file, sets);
    run_on(&fast, &r, &nl_backend_cpu, 2, 1);
    run_on(&oracle, &r, &nl_backend_cpu64, 1, 1);
    cr_assert_float_eq(fast.records[0].loss, oracle.records[0].loss, 2e-6 * oracle.records[0].loss);
    cr_assert_float_eq(fast.records[0].penalty, oracle.records[0].penalty, 1e-6);
    cr_assert_eq(fast.records[0].hits, oracle.records[0].hits);
    compare(&r, &fast);
    cr_assert(fabs(fast.eval_loss - oracle.eval_loss) <= 1e-4 * oracle.eval_loss,
              "eval loss %.9g, not %.9g", fast.eval_loss, oracle.eval_loss);
    for (int i = 0; i < IMAGES * IDX_CLASSES; i++)
        cr_assert(fabsf(fast.probs[i] - oracle.probs[i]) <= 1e-4F, "prob %d: %g, not %g", i,
                  (double)fast.probs[i], (double)oracle.probs[i]);
    release_result(&fast);
    release_result(&oracle);
    release(&r);
}

#define CONFIG(name) NL_SOURCE_DIR "/configs/" name ".yaml"
#define SETS(...)                                                                                  \
    (const char *const[]) {                                                                        \
        __VA_ARGS__, NULL                                                                          \
    }

static void published_variants_match_the_oracle(void) {
    check(CONFIG("bn_l1"), SETS("data.batch=19"));
    check(CONFIG("ln"), SETS("data.batch=7"));
    check(CONFIG("gn"), SETS("data.batch=8", "train.l1=0.01"));
    check(CONFIG("bn"), SETS("data.batch=2", "train.weight_decay=0.1"));
    check(CONFIG("none"), SETS("data.batch=5"));
    check(CONFIG("gn"), SETS("model.norm=instance", "data.batch=3"));
    check(CONFIG("gn"), SETS("model.group_size=2", "data.batch=1", "model.dropout=0.5"));
}

TEST_IN_EACH_SET(step_fast, published_variants_match_the_oracle)

static void check_text(const char *text, const char *const *sets) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/nl_odd_%d.yaml", (int)getpid());
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
    check(path, sets);
    remove(path);
}

static void odd_network_matches_the_oracle(void) {
    check_text(ODD_NET, SETS("model.norm=batch", "data.batch=6"));
    check_text(ODD_NET, SETS("model.norm=layer", "data.batch=6", "train.nesterov=true"));
    check_text(ODD_NET, SETS("model.norm=instance", "data.batch=6"));
    check_text(ODD_NET, SETS("model.norm=rms", "data.batch=6"));
    check_text(ODD_NET, SETS("model.norm=none", "data.batch=6"));
}

TEST_IN_EACH_SET(step_fast, odd_network_matches_the_oracle)

/* Every norm in one network, cut and not. */
static const char *const mixed_network =
    "model:\n"
    "  norm: rms\n"
    "  group_size: 3\n"
    "  layers:\n"
    "    - {conv: 5, kernel: 3, pad: 2, norm: batch, relu: true}\n"
    "    - {pool: max, size: 3, dropout: true}\n"
    "    - {conv: 12, kernel: 3, pad: 1, norm: group}\n"
    "    - {conv: 9, kernel: 1, norm: true, relu: true}\n"
    "    - {conv: 11, kernel: 2, pad: 1, norm: batch, relu: true}\n"
    "    - {conv: 7, kernel: 2, norm: instance, relu: true}\n"
    "    - {pool: max, size: 2}\n"
    "    - {conv: 8, kernel: 3, pad: 1, norm: layer, relu: true}\n"
    "    - {conv: 10, kernel: 3, pad: 1, norm: rms}\n"
    "    - {pool: average}\n";

static void mixed_norms_match_the_oracle(void) {
    check_text(mixed_network, SETS("data.batch=6"));
    check_text(mixed_network, SETS("model.norm=batch", "data.batch=5", "train.nesterov=true"));
    check_text(mixed_network, SETS("model.norm=none", "data.batch=4"));
}

TEST_IN_EACH_SET(step_fast, mixed_norms_match_the_oracle)

static void check_norms(const char *text) {
    check_text(text, SETS("model.norm=batch", "data.batch=6"));
    check_text(text, SETS("model.norm=layer", "data.batch=5"));
    check_text(text, SETS("model.norm=rms", "data.batch=5"));
    check_text(text, SETS("model.norm=none", "data.batch=3"));
}

/* Nothing but the loss makes the gradient of a last layer, and a norm there needs it twice. */
static void norm_on_the_last_convolution(void) {
    check_norms("model:\n"
                "  layers:\n"
                "    - {conv: 8, kernel: 5, relu: true}\n"
                "    - {conv: 10, kernel: 3, norm: true}\n"
                "    - {pool: average}\n");
    check_norms("model:\n"
                "  layers:\n"
                "    - {conv: 10, kernel: 5, norm: true, relu: true}\n"
                "    - {pool: average}\n");
    check_norms("model:\n"
                "  layers:\n"
                "    - {conv: 8, kernel: 5, norm: true, relu: true}\n"
                "    - {conv: 10, kernel: 3, norm: true, relu: true}\n"
                "    - {pool: max, size: 4, dropout: true}\n"
                "    - {pool: average}\n");
}

TEST_IN_EACH_SET(step_fast, norm_on_the_last_convolution)

/* The network's input has one channel and no padding: no other layer's input is laid out so. */
static void max_pools_before_the_first_convolution(void) {
    check_norms("model:\n"
                "  layers:\n"
                "    - {pool: max, size: 3}\n"
                "    - {conv: 12, kernel: 3, pad: 1, norm: true, relu: true}\n"
                "    - {conv: 10, kernel: 3, norm: true}\n"
                "    - {pool: average}\n");
    check_norms("model:\n"
                "  layers:\n"
                "    - {pool: max, size: 2, dropout: true}\n"
                "    - {pool: max, size: 2, dropout: true}\n"
                "    - {conv: 10, kernel: 3, norm: true, relu: true}\n"
                "    - {pool: max, size: 2}\n"
                "    - {pool: average}\n");
}

TEST_IN_EACH_SET(step_fast, max_pools_before_the_first_convolution)

/* Convolutions without a norm between such as pool the batch, a pool between two cuts. */
static void cuts_around_layers_without_a_norm(void) {
    check_norms("model:\n"
                "  layers:\n"
                "    - {conv: 9, kernel: 3, norm: true}\n"
                "    - {conv: 7, kernel: 3}\n"
                "    - {conv: 8, kernel: 3, relu: true}\n"
                "    - {pool: max, size: 2, dropout: true}\n"
                "    - {conv: 6, kernel: 1, norm: true, relu: true}\n"
                "    - {conv: 6, kernel: 3, norm: true, relu: true}\n"
                "    - {conv: 10, kernel: 1, relu: true}\n"
                "    - {pool: average}\n");
}

TEST_IN_EACH_SET(step_fast, cuts_around_layers_without_a_norm)

/* Filter gradients that are long sums of small products, as few channels and a large map have. */
static void few_channels_over_a_large_map(void) {
    check_norms("model:\n"
                "  layers:\n"
                "    - {conv: 4, kernel: 3, pad: 1, relu: true}\n"
                "    - {conv: 6, kernel: 1, norm: true, relu: true}\n"
                "    - {conv: 5, kernel: 1, relu: true}\n"
                "    - {conv: 7, kernel: 5, pad: 2, norm: true, relu: true}\n"
                "    - {conv: 10, kernel: 1, relu: true}\n"
                "    - {pool: average}\n");
}

TEST_IN_EACH_SET(step_fast, few_channels_over_a_large_map)

/* Channels that take tiles of several widths in one line, the widest not the first. */
static void channels_in_tiles_of_all_widths(void) {
    check_text("model:\n"
               "  norm: layer\n"
               "  layers:\n"
               "    - {conv: 80, kernel: 3, norm: true, relu: true}\n"
               "    - {pool: max, size: 6}\n"
               "    - {conv: 112, kernel: 2, norm: true, relu: true}\n"
               "    - {conv: 56, kernel: 2, relu: true}\n"
               "    - {conv: 10, kernel: 1}\n"
               "    - {pool: average}\n",
               SETS("data.batch=3"));
}

TEST_IN_EACH_SET(step_fast, channels_in_tiles_of_all_widths)

/* ---- Lifetimes ---- */

/* The index of the first step of the training program that does `op`. */
static int step_of(const nl_engine *e, nl_op op) {
    int i = 0;
    while (i < e->n_train && e->train[i].op != op) i++;
    cr_assert_lt(i, e->n_train);
    return i;
}

static nl_engine open_bn(void) {
    static run r;
    fill(&r, CONFIG("bn"), SETS("data.batch=4"));
    return test_isa_engine(&r.config, &r.model, &r.data);
}

Test(lifetimes, what_lies_with_a_thread_is_lost_at_a_cut, .signal = SIGABRT) {
    nl_engine e = open_bn();
    nl_program_fast_check(&e);
    cr_assert(e.layers[1].places[NL_Z].kept);
    e.layers[1].places[NL_Z].kept = false;
    nl_program_fast_check(&e);
}

/* Where a cut lies between, the first layer's output is made again; else it waits on the desk. */
Test(lifetimes, the_first_layers_output_is_kept_where_nothing_is_cut, .signal = SIGABRT) {
    static run r;
    nl_engine bn = open_bn();
    cr_assert(bn.input.kept);
    cr_assert_eq(bn.train[step_of(&bn, NL_OP_FIRST)].writes, NL_HERE(NL_Z));
    fill(&r, CONFIG("gn"), SETS("data.batch=4"));
    nl_engine e = test_isa_engine(&r.config, &r.model, &r.data);
    nl_program_fast_check(&e);
    cr_assert(!e.layers[0].places[NL_Y].kept && !e.input.kept);
    e.train[step_of(&e, NL_OP_FIRST)].writes &= ~NL_BELOW(NL_Y);
    nl_program_fast_check(&e);
}

Test(lifetimes, a_tensor_is_written_before_it_is_read, .signal = SIGABRT) {
    nl_engine e = open_bn();
    e.train[step_of(&e, NL_OP_LOSS)].writes = 0;
    nl_program_fast_check(&e);
}

Test(lifetimes, a_gradient_made_in_place_is_gone, .signal = SIGABRT) {
    nl_engine e = open_bn();
    const int i = step_of(&e, NL_OP_DZ_BACK);
    cr_assert(e.layers[e.train[i].layer].in_place);
    e.train[i + 1].layer = e.train[i].layer;
    e.train[i + 1].reads = NL_HERE(NL_G);
    nl_program_fast_check(&e);
}

Test(lifetimes, an_operation_gets_at_its_own_tensors_alone, .signal = SIGABRT) {
    nl_engine e = open_bn();
    nl_step_record record;
    e.train[step_of(&e, NL_OP_POOL)].reads = 0;
    nl_step_fast_train(&e, 0, 4, &record);
}

/* ---- The same bits ---- */

static void same_for_threads(const char *file) {
    static run r;
    static result first, other;
    memset(&r, 0, sizeof r);
    fill(&r, file, SETS("data.batch=16"));
    run_on(&first, &r, &nl_backend_cpu, 1, 5); /* the last step has 6 images */
    for (int threads = 1; threads <= 5; threads++) {
        run_on(&other, &r, &nl_backend_cpu, threads, 5);
        const size_t size = sizeof(double) * (size_t)r.model.params_size;
        cr_assert_eq(memcmp(first.params, other.params, size), 0, "%s, %d threads", file, threads);
        cr_assert_eq(memcmp(first.momentum, other.momentum, size), 0);
        cr_assert_eq(memcmp(first.probs, other.probs, sizeof first.probs), 0);
        cr_assert_eq(memcmp(first.records, other.records, 5 * sizeof *first.records), 0);
        release_result(&other);
    }
    release_result(&first);
    release(&r);
}

static void any_number_of_threads_gives_the_same_bits(void) {
    same_for_threads(CONFIG("bn_l1"));
    same_for_threads(CONFIG("ln"));
    same_for_threads(CONFIG("gn"));
}

TEST_IN_EACH_SET(step_fast, any_number_of_threads_gives_the_same_bits)

static void evaluation_of_an_image_does_not_depend_on_its_neighbours(void) {
    static run r;
    static result all;
    memset(&r, 0, sizeof r);
    fill(&r, CONFIG("bn"), SETS("data.batch=16"));
    run_on(&all, &r, &nl_backend_cpu, 2, 0);
    nl_split one = {1, r.data.train.images + 9 * IDX_PIXELS, r.data.train.labels + 9};
    r.data.test = one;
    nl_engine *engine;
    const nl_engine_spec spec = {
        .config = &r.config, .model = &r.model, .data = &r.data, .seed = 3, .threads = 1};
    cr_assert_eq(nl_backend_cpu.open(&engine, &spec, NULL), 0);
    const nl_state wide = {all.params, all.momentum, all.buffers};
    nl_state state = nl_state_alloc(&r.model, sizeof(float));
    nl_state_convert(&state, sizeof(float), &wide, sizeof(double), &r.model);
    cr_assert_eq(nl_backend_cpu.set_state(engine, &state, NULL), 0);
    float probs[IDX_CLASSES];
    const nl_eval_pass pass = {.split = &one, .images = 1, .probs = probs};
    nl_eval_result eval;
    cr_assert_eq(nl_backend_cpu.evaluate(engine, &pass, &eval, NULL), 0);
    cr_assert_eq(memcmp(probs, all.probs + 9 * IDX_CLASSES, sizeof probs), 0);
    nl_backend_cpu.close(engine);
    nl_state_free(&state);
    release_result(&all);
    release(&r);
}

TEST_IN_EACH_SET(step_fast, evaluation_of_an_image_does_not_depend_on_its_neighbours)

/* ---- A loss that is not finite ---- */

static void stops(const char *rate, const nl_backend *backend) {
    static run r;
    static result before, after;
    memset(&r, 0, sizeof r);
    fill(&r, CONFIG("bn"), SETS("data.batch=16", rate));
    run_on(&before, &r, backend, 2, 1); /* one update with that rate */
    run_on(&after, &r, backend, 2, 4);
    cr_assert(!isfinite(after.records[1].loss), "%s, %s: loss %g", backend->name, rate,
              after.records[1].loss);
    const size_t size = sizeof(double) * (size_t)r.model.params_size;
    const size_t running = sizeof(double) * (size_t)r.model.buffers_size;
    cr_assert_eq(memcmp(before.params, after.params, size), 0);
    cr_assert_eq(memcmp(before.momentum, after.momentum, size), 0);
    cr_assert_eq(memcmp(before.buffers, after.buffers, running), 0);
    release_result(&before);
    release_result(&after);
    release(&r);
}

/* With the smaller rate no value overflows but the variances do: a rstd of 0 would hide it. */
static void nothing_is_updated_from_the_first_non_finite_loss(void) {
    stops("train.lr=1e38", &nl_backend_cpu);
    stops("train.lr=1e22", &nl_backend_cpu);
    stops("train.lr=1e22", &nl_backend_plain);
}

TEST_IN_EACH_SET(step_fast, nothing_is_updated_from_the_first_non_finite_loss)
