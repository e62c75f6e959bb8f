/* The CUDA engine where calls of the runtime fail: each call in turn, over opening, timing,
 * recording, training, evaluating and closing (fault_run.h), the general way and by the first
 * block's own kernels.
 */
#include <criterion/criterion.h>
#include <signal.h> // SIGABRT
#include <stdio.h>  // popen
#include <stdlib.h> // getenv
#include <string.h> // memcmp

#include "cuda/runtime/cuda_graph.h"
#include "cuda/runtime/device.h" // nl_cuda_check
#include "fault_run.h"
#include "normlab/verify.h"

static const char general_net[] = "  norm: layer\n"
                                  "  layers:\n"
                                  "    - {conv: 2, kernel: 5, norm: true, relu: true}\n"
                                  "    - {pool: max, size: 5, dropout: true}\n"
                                  "    - {conv: 3, kernel: 1}\n"
                                  "    - {pool: average}\n";

static fault_run *open_general(const char *name) {
    return fault_run_open(name, general_net, NL_FIRST_GENERAL, false);
}

static fault_run *open_first(const char *name, const char *norm, int kernel, nl_first_block way,
                             bool autotune) {
    char text[256];
    snprintf(text, sizeof text,
             "  norm: %s\n"
             "  layers:\n"
             "    - {conv: 4, kernel: %d, norm: true, relu: true}\n"
             "    - {conv: 3, kernel: 1}\n"
             "    - {pool: average}\n",
             norm, kernel);
    return fault_run_open(name, text, way, autotune);
}

static fault_run *open_timed(void) {
    return open_first("first block, both ways timed without work", "layer", 3, NL_FIRST_ANY, true);
}

/* ---- the branch of the filter gradients ----
 *
 * Of 1 step the waits of its branch: a recording that fails there is made again without it. */

static void without_branch(const char *name, long call) {
    fault_run *r = open_general(name);
    void *good = nl_alloc(1, r->procedure.size, "weights");
    nl_error err = {0};
    for (int i = 0; i < 2; i++) {
        simt_fail_at(name, i * call, cudaErrorUnknown);
        cr_assert(fault_run_train(&r->procedure, &err) == NL_OK, "%s: %s", err.where, err.what);
        cr_assert(simt_calls() >= call, "%ld calls of %s", simt_calls(), name);
        if (i == 0) memcpy(good, r->procedure.result, r->procedure.size);
    }
    simt_fail_at(NULL, 0, cudaSuccess);
    cr_expect(memcmp(r->procedure.result, good, r->procedure.size) == 0);
    cr_expect_eq(simt_alive(), 0);
    free(good);
    fault_run_close(r);
}

/* Or a branch that is never recorded, for what is wrong with it, would pass for one. */
Test(runtime_faults, without_a_fault_every_recording_is_taken) {
    fault_run *r = open_general("no fault");
    nl_error err = {0};
    int begun = 0, taken = 0, joined = 0;
    simt_fail_at(NULL, 0, cudaSuccess);
    cr_assert(fault_run_train(&r->procedure, &err) == NL_OK, "%s: %s", err.where, err.what);
    for (long n = 1; n <= simt_calls(); n++) {
        begun += strcmp(simt_called(n), "cudaStreamBeginCapture") == 0;
        taken += strcmp(simt_called(n), "cudaGraphInstantiate") == 0;
        joined += strcmp(simt_called(n), "cudaStreamWaitEvent") == 0;
    }
    cr_expect(begun > 0 && taken == begun, "%d of %d recordings", taken, begun);
    cr_expect_gt(joined, begun, "the branch is in use");
    fault_run_close(r);
}

Test(runtime_faults, a_step_that_cannot_be_recorded_with_a_branch_does_without) {
    enum { WARM_UP = 3 }; /* a step of two convolutions waits three times */
    without_branch("cudaStreamWaitEvent", WARM_UP + 1);
    without_branch("cudaGraphInstantiate", 1);
    without_branch("cudaStreamEndCapture", 1);
}

/* ---- errors that were told ---- */

/* A launch asks for the newest error of any call: after a fall back it must not be given one of
 * before. An error that stays is given again. */
Test(runtime_faults, an_error_that_was_told_is_not_the_next_launchs) {
    cudaEvent_t event;
    nl_error err = {0};
    simt_fail_at("cudaEventCreate", 1, cudaErrorUnknown);
    cr_assert(nl_cuda_check(cudaEventCreate(&event), "event", &err) == NL_EDEVICE);
    cr_expect(cudaGetLastError() == cudaSuccess);
    simt_break_at(1, cudaErrorIllegalAddress);
    cr_assert(nl_cuda_check(cudaEventCreate(&event), "event", &err) == NL_EDEVICE);
    cr_expect(cudaGetLastError() == cudaErrorIllegalAddress);
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

static void fail_run(fault_run *r) {
    fault_each(&r->procedure, 1);
    fault_run_close(r);
}

Test(runtime_faults, a_run_the_general_way) {
    fail_run(open_general("the general way"));
}

Test(runtime_faults, a_run_by_the_first_blocks_kernels) {
    fail_run(open_first("first block, batch norm", "batch", 3, NL_FIRST_OWN, false));
    fail_run(open_first("first block, instance norm", "instance", 5, NL_FIRST_OWN, false));
}

/* Of calls that repeat each other; NL_FAULT_STRIDE=1 makes all of them fail. */
static long stride(long usual) {
    const char *given = getenv("NL_FAULT_STRIDE");
    return given ? atol(given) : usual;
}

/* Without the kernels' work, and so the losses that would allow the own way: what fails in timing it
 * is never told. */
Test(runtime_faults, each_call_of_a_run_that_times_both_ways) {
    simt_idle(1);
    fault_run *r = open_timed();
    fault_each(&r->procedure, stride(13));
    cr_expect_eq(r->procedure.told[FAULT_OWN_WAY], 0);
    cr_expect(r->procedure.fell_back > 0, "no way ever failed by itself");
    fault_run_close(r);
}

Test(runtime_faults, a_device_that_breaks_at_any_call) {
    simt_idle(1);
    fault_run *r = open_timed();
    r->procedure.breaks = true;
    fault_each(&r->procedure, stride(53));
    for (int phase = 0; phase < FAULT_EVALUATING; phase++)
        cr_expect_eq(r->procedure.went_on[phase], 0, "%s", r->procedure.phases[phase]);
    fault_run_close(r);
}

/* What each way gives without a fault; where one that is timed fails, the other is taken. */
Test(runtime_faults, a_run_that_times_both_ways) {
    fault_run *r = open_first("first block, both ways timed", "layer", 3, NL_FIRST_ANY, true),
              *by[2];
    nl_error err = {0};
    simt_fail_at(NULL, 0, cudaSuccess);
    for (int way = 0; way < 2; way++) {
        by[way] = open_first("", "layer", 3, way ? NL_FIRST_OWN : NL_FIRST_GENERAL, true);
        cr_assert(fault_run_train(&by[way]->procedure, &err) == NL_OK, "%s", err.what);
        r->procedure.good[way] = by[way]->procedure.result;
    }
    fault_each(&r->procedure, stride(401));
    cr_expect(r->procedure.fell_back > 0, "no way ever failed by itself");
    for (int way = 0; way < 2; way++) fault_run_close(by[way]);
    fault_run_close(r);
}

/* ---- verify ---- */

static int verify(fault_procedure *p, nl_error *err) {
    enum { OPEN, BLOCK, CLOSE };
    nl_verify_case c = {
        .op = NL_V_BLOCK, .n = 2, .c = 2, .h = 4, .w = 4, .pool = 2, .dropout = 0.5};
    c.norm = nl_norm_find(NL_NORM_BATCH);
    nl_verify_gpu *gpu;
    int code = nl_verify_gpu_open(&gpu, 0, err);
    if (code) return code;
    fault_phase_ends(p, OPEN);
    nl_verify_block(&c, (nl_verify_spread){0, 1, 1});
    nl_verify_results r = nl_verify_results_make(&c);
    code = nl_verify_cuda(r.out, &c, gpu, err);
    fault_phase_ends(p, BLOCK);
    nl_verify_gpu_close(gpu);
    fault_phase_ends(p, CLOSE);
    memcpy(p->result, r.out[NL_OUT_BLOCK_DZ], p->size);
    nl_verify_results_free(&r);
    nl_verify_case_free(&c);
    return code;
}

static fault_procedure verify_procedure(void) {
    static double dz[64];
    return (fault_procedure){.name = "verify",
                             .phases = {"opening", "a block", "closing"},
                             .go = verify,
                             .size = sizeof dz,
                             .result = dz};
}

Test(runtime_faults, verify) {
    fault_procedure p = verify_procedure();
    fault_each(&p, 1);
}

/* ---- that none is forgotten ---- */

/* Those of the executor's runtime that simt_fail_at knows, of what was called since then. */
static void note_called(char *names, size_t size) {
    for (long n = 1; n <= simt_calls(); n++) {
        char line[64];
        snprintf(line, sizeof line, "%s\n", simt_called(n));
        if (!strstr(names, line)) strncat(names, line, size - strlen(names) - 1);
    }
}

static void run_out_of_memory(void) {
    nl_error err = {0};
    void *memory;
    simt_memory(1 << 10);
    cr_assert(nl_device_alloc(&memory, 1 << 20, "memory", &err) == NL_EDEVICE);
    simt_fail_at("cudaMemGetInfo", 1, cudaErrorUnknown);
    cr_assert(nl_device_alloc(&memory, 1 << 20, "memory", &err) == NL_EDEVICE);
    cr_assert(strstr(err.what, "out of GPU memory") && simt_calls() == 1, "%s", err.what);
    cr_assert(cudaGetLastError() == cudaSuccess);
}

/* Every function of the runtime that the sources call is among the calls that failed in the tests
 * above; but one that cannot. */
Test(runtime_faults, all_that_the_sources_call_may_fail) {
    static const char list[] = "grep -ohrE '\\bcuda[A-Z][A-Za-z0-9]*\\(' '" NL_SOURCE_DIR
                               "/src/host' '" NL_SOURCE_DIR "/src/kernels' | tr -d '(' | sort -u";
    static char names[4096] = "\ncudaGetErrorString\n";
    char name[64];
    int count = 0;
    nl_error err = {0};
    fault_procedure p = verify_procedure();
    fault_run *r = open_timed();
    simt_idle(1);
    simt_fail_at(NULL, 0, cudaSuccess);
    cr_assert(fault_run_train(&r->procedure, &err) == NL_OK && verify(&p, &err) == NL_OK, "%s",
              err.what);
    note_called(names, sizeof names);
    simt_fail_at(NULL, 0, cudaSuccess);
    run_out_of_memory();
    note_called(names, sizeof names);
    FILE *sources = popen(list, "r");
    for (; sources && fgets(name, sizeof name, sources); count++)
        cr_expect(strstr(names, name), "no call of %s ever failed", name);
    cr_expect(sources && pclose(sources) == 0 && count > 25, "%d functions", count);
    fault_run_close(r);
}
