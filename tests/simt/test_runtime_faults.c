/* The CUDA engine where calls of the runtime fail: each call in turn, by itself, over opening,
 * recording, training, evaluating and closing. Nothing may crash, hang, be lost or stay behind: what
 * fails is told with exit code 4, or the run goes on and gives the same weights.
 */
#include <criterion/criterion.h>
#include <signal.h> // SIGABRT
#include <stdio.h>  // printf
#include <stdlib.h> // free
#include <string.h> // memcmp

#include "cuda/runtime/cuda_graph.h"
#include "cuda/runtime/device.h" // nl_cuda_check
#include "normlab/backend.h"
#include "normlab/rng.h" // nl_epoch_order
#include "support/config_text.h"
#include "support/idx_set.h"

/* With one image a batch there are enough steps to time both ways of a step. */
enum { IMAGES = 130, SHOWN = 4 };

static const char tiny_net[] = "data: {batch: 1, rotate: 7}\n"
                               "model:\n"
                               "  norm: layer\n"
                               "  layers:\n"
                               "    - {conv: 2, kernel: 5, norm: true, relu: true}\n"
                               "    - {pool: max, size: 24, dropout: true}\n"
                               "    - {conv: 10, kernel: 1}\n"
                               "    - {pool: average}\n";

typedef struct run {
    nl_config config;
    nl_model model;
    nl_dataset data;
    uint32_t order[IMAGES];
    nl_rotation rotations[IMAGES];
    nl_engine_spec spec;
} run;

static void make_split(nl_split *split, uint32_t count) {
    split->count = count;
    split->images = nl_alloc(count, IDX_PIXELS, "images");
    split->labels = nl_alloc(count, 1, "labels");
    for (uint32_t i = 0; i < count; i++) {
        idx_set_draw(split->images + i * IDX_PIXELS, i);
        split->labels[i] = (uint8_t)(i % 10);
    }
}

static run *make_run(bool autotune) {
    run *r = nl_alloc(1, sizeof *r, "run");
    nl_error err = {0};
    cr_assert(!config_text_load(&r->config, tiny_net, &err), "%s: %s", err.where, err.what);
    cr_assert(nl_config_check(&r->config, &err) == NL_OK, "%s", err.what);
    cr_assert(nl_model_build(&r->model, &r->config, 1, &err) == NL_OK, "%s", err.what);
    make_split(&r->data.train, autotune ? IMAGES : SHOWN);
    make_split(&r->data.test, 2);
    nl_epoch_order(r->order, r->data.train.count, 1, 0, true);
    for (uint32_t i = 0; i < r->data.train.count; i++)
        r->rotations[i] = nl_rotation_make(nl_rotation_degrees(1, 0, i, 7), r->model.picture.shape);
    r->spec = (nl_engine_spec){.config = &r->config,
                               .model = &r->model,
                               .data = &r->data,
                               .seed = 1,
                               .threads = 1,
                               .autotune = autotune};
    return r;
}

static void free_run(run *r) {
    free(r->data.train.images);
    free(r->data.train.labels);
    free(r->data.test.images);
    free(r->data.test.labels);
    free(r);
}

/* A few steps, an evaluation and what they leave; the error code of the first that fails. */
static int train(const run *r, nl_state *state, nl_error *err) {
    const nl_backend *b = &nl_backend_cuda;
    const nl_epoch epoch = {0, 0.01, r->order, r->rotations};
    const nl_eval_pass pass = {.split = &r->data.test, .images = r->data.test.count};
    nl_step_record records[SHOWN];
    nl_eval_result result;
    nl_engine *engine;
    int code = b->open(&engine, &r->spec, err);
    if (code) return code;
    code = b->set_state(engine, state, err);
    if (!code) code = b->begin_epoch(engine, &epoch, err);
    if (!code) code = b->enqueue(engine, 0, SHOWN, err);
    if (!code) code = b->collect(engine, 0, SHOWN, records, err);
    if (!code) code = b->evaluate(engine, &pass, &result, err);
    if (!code) code = b->get_state(engine, state, err);
    b->close(engine);
    return code;
}

typedef struct tally {
    long calls, told, went_on;
} tally;

/* The n-th call of `name` fails, for all n of which (n - 1) % stride is 0, until there is none. */
static tally fail_each(const run *r, const char *name, long stride) {
    const size_t size = (size_t)r->model.params_size * sizeof(float);
    nl_state good = nl_state_alloc(&r->model, sizeof(float));
    nl_error err = {0};
    tally t = {0};
    nl_model_init(&r->model, good.params, good.buffers, 1);
    simt_fail_at(name, 0, cudaSuccess);
    cr_assert(train(r, &good, &err) == NL_OK, "%s: %s", err.where, err.what);
    t.calls = simt_calls();
    for (long n = 1; n <= t.calls; n += stride) {
        nl_state state = nl_state_alloc(&r->model, sizeof(float));
        nl_model_init(&r->model, state.params, state.buffers, 1);
        err = (nl_error){0};
        simt_fail_at(name, n, cudaErrorUnknown);
        const int code = train(r, &state, &err);
        simt_fail_at(NULL, 0, cudaSuccess);
        cr_assert_eq(simt_alive(), 0, "%s, call %ld: %d things stay behind (%s)", name, n,
                     simt_alive(), err.what);
        if (code) {
            t.told++;
            cr_assert(code == NL_EDEVICE && err.what[0], "%s, call %ld: exit %d: %s", name, n, code,
                      err.what);
        } else {
            t.went_on++;
            cr_assert(memcmp(state.params, good.params, size) == 0, "%s, call %ld: other weights",
                      name, n);
        }
        nl_state_free(&state);
    }
    nl_state_free(&good);
    return t;
}

static const char *const functions[] = {"cudaGetDeviceCount",
                                        "cudaGetDeviceProperties",
                                        "cudaSetDevice",
                                        "cudaMalloc",
                                        "cudaMallocHost",
                                        "cudaMemset",
                                        "cudaMemsetAsync",
                                        "cudaMemcpyAsync",
                                        "cudaStreamCreateWithFlags",
                                        "cudaStreamSynchronize",
                                        "cudaStreamWaitEvent",
                                        "cudaEventCreate",
                                        "cudaEventRecord",
                                        "cudaEventSynchronize",
                                        "cudaStreamBeginCapture",
                                        "cudaStreamEndCapture",
                                        "cudaGraphInstantiate",
                                        "cudaGraphLaunch",
                                        "cudaGetLastError",
                                        "cudaFree",
                                        "cudaFreeHost",
                                        "cudaStreamDestroy",
                                        "cudaEventDestroy",
                                        "cudaGraphDestroy",
                                        "cudaGraphExecDestroy"};

/* Of those alone that time and record, where both ways are timed: they take the time. */
static void fail_all(bool autotune, long stride) {
    run *r = make_run(autotune);
    tally all = {0};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        const bool times = strstr(functions[i], "Event") || strstr(functions[i], "Graph") ||
                           strstr(functions[i], "Capture");
        if (autotune && !times) continue;
        const tally t = fail_each(r, functions[i], stride);
        cr_expect(t.calls > 0, "%s is never called", functions[i]);
        all = (tally){all.calls + t.calls, all.told + t.told, all.went_on + t.went_on};
    }
    printf("simt: %ld calls of the runtime%s: failed in turn, %ld were told, after %ld the run "
           "went on\n",
           all.calls, autotune ? " with timing" : "", all.told, all.went_on);
    fflush(stdout);
    free_run(r);
}

/* ---- the branch of the filter gradients ----
 *
 * Of 1 step the waits of its branch: a recording that fails there is made again without it. */

static void without_branch(const char *name, long call) {
    run *r = make_run(false);
    nl_state state[2];
    nl_error err = {0};
    for (int i = 0; i < 2; i++) {
        state[i] = nl_state_alloc(&r->model, sizeof(float));
        nl_model_init(&r->model, state[i].params, state[i].buffers, 1);
        simt_fail_at(name, i * call, cudaErrorUnknown);
        cr_assert(train(r, &state[i], &err) == NL_OK, "%s: %s", err.where, err.what);
        cr_assert(simt_calls() >= call, "%ld calls of %s", simt_calls(), name);
    }
    simt_fail_at(NULL, 0, cudaSuccess);
    cr_expect(memcmp(state[0].params, state[1].params,
                     (size_t)r->model.params_size * sizeof(float)) == 0);
    cr_expect_eq(simt_alive(), 0);
    for (int i = 0; i < 2; i++) nl_state_free(&state[i]);
    free_run(r);
}

Test(runtime_faults, a_step_that_cannot_be_recorded_with_a_branch_does_without) {
    enum { WARM_UP = 3 }; /* a step of two convolutions waits three times */
    without_branch("cudaStreamWaitEvent", WARM_UP + 1);
    without_branch("cudaGraphInstantiate", 1);
    without_branch("cudaStreamEndCapture", 1);
}

/* ---- memory that a graph refers to ---- */

static int fill(void *context, nl_error *err) {
    void *const *memory = context;
    return nl_cuda_check(cudaMemsetAsync(*memory, 0, 64, memory[1]), "fill", err);
}

Test(runtime_faults, a_graph_whose_memory_was_freed_is_reported, .signal = SIGABRT) {
    cudaStream_t stream;
    cudaGraphExec_t graph;
    void *work[2], *again;
    nl_error err;
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaMalloc(&work[0], 64);
    work[1] = stream;
    fill(work, &err);
    cr_assert(nl_cuda_capture(&graph, stream, 1, fill, work, &err) == NL_OK, "%s", err.what);
    cr_assert(cudaGraphLaunch(graph, stream) == cudaSuccess);
    cudaFree(work[0]);
    cudaMalloc(&again, 64); /* the same place, maybe, but other memory */
    cudaGraphLaunch(graph, stream);
}

/* ---- all calls ---- */

Test(runtime_faults, every_call_of_a_run) {
    fail_all(false, 1);
}

Test(runtime_faults, calls_of_a_run_that_times_both_ways) {
    const char *stride = getenv("NL_FAULT_STRIDE");
    fail_all(true, stride ? atol(stride) : 400);
}
