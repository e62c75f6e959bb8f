/* Trying a problem's candidates; see conv_choose.h. */
#include "conv_choose.h"

#include <stdio.h> // snprintf

#include "cuda/runtime/device.h" // nl_cuda_check

typedef struct trial {
    nl_conv_lanes *lanes;
    const nl_conv_plan *plan;
    const nl_conv_buffers *buffers;
} trial;

static int run_trial(void *context, nl_error *err) {
    const trial *t = context;
    return nl_conv_plan_run(t->plan, t->lanes, 0, t->buffers->out, t->buffers->a, t->buffers->b,
                            err);
}

/* Runs a plan inside a graph, as the steps will. */
static int try_captured(trial *t, cudaStream_t stream, nl_error *err) {
    cudaGraphExec_t exec = NULL;
    int code = nl_cuda_capture(&exec, stream, 1, run_trial, t, err);
    if (!code) code = nl_cuda_check(cudaGraphLaunch(exec, stream), "convolution in a graph", err);
    if (!code) code = nl_cuda_check(cudaStreamSynchronize(stream), "convolution in a graph", err);
    if (exec) cudaGraphExecDestroy(exec);
    return code;
}

int nl_conv_try(nl_conv_plan *p, nl_conv_lanes *lanes, nl_conv_problem problem, const char *tag,
                const nl_conv_buffers *buffers, double *seconds, nl_error *err) {
    int code = nl_conv_plan_open(p, lanes, problem, tag, err);
    if (code) return code;
    const cudaStream_t stream = lanes->streams[0];
    trial t = {.lanes = lanes, .plan = p, .buffers = buffers};
    code = run_trial(&t, err);
    if (!code) code = nl_cuda_check(cudaStreamSynchronize(stream), "convolution", err);
    if (!code && !seconds) code = try_captured(&t, stream, err);
    if (!code && seconds) code = nl_conv_time(seconds, run_trial, &t, stream, err);
    if (code) nl_conv_plan_close(p);
    return code;
}

static int list_candidates(nl_conv_candidates *list, const nl_conv_lanes *lanes,
                           nl_conv_problem problem, bool tf32, bool timed, nl_error *err) {
    const nl_conv_target target = {.api = lanes->api, .handle = lanes->handles[0]};
    nl_conv_graph graph;
    int code = nl_conv_graph_open(&graph, target, problem, err);
    if (code) return code;
    code = nl_conv_graph_candidates(list, &graph, tf32, err);
    nl_conv_graph_close(&graph);
    if (!code && timed && lanes->gemm && nl_gemm_fits(problem))
        nl_conv_candidates_add(list, nl_conv_gemm_tag);
    return code;
}

int nl_conv_check_device(const nl_conv_lanes *lanes, nl_error *err) {
    (void)cudaGetLastError();
    return nl_cuda_check(cudaStreamSynchronize(lanes->streams[0]), "trying convolution plans", err);
}

int nl_conv_choose(char tag[NL_TAG], nl_conv_lanes *lanes, nl_conv_problem problem, bool tf32,
                   bool timed, const nl_conv_buffers *buffers, nl_error *err) {
    nl_conv_candidates list = {0};
    nl_error why, first = {.what = "cuDNN names none"};
    int code = list_candidates(&list, lanes, problem, tf32, timed, err);
    double best = 0;
    tag[0] = '\0';
    for (int i = 0; i < list.count && !code; i++) {
        double seconds = 0;
        nl_conv_plan p;
        if (nl_conv_try(&p, lanes, problem, list.tags[i], buffers, timed ? &seconds : NULL, &why)) {
            if (i == 0) first = why;
            code = nl_conv_check_device(lanes, err);
            continue;
        }
        nl_conv_plan_close(&p);
        if (!tag[0] || seconds < best) {
            snprintf(tag, NL_TAG, "%s", list.tags[i]);
            best = seconds;
        }
        if (!timed) break;
    }
    if (!code && !tag[0]) {
        code = nl_fail(err, NL_EDEVICE, first.where[0] ? first.where : "cuDNN",
                       "none of %d deterministic plans works: %s", list.count, first.what);
        if (first.hint[0]) nl_hint(err, "%s", first.hint);
    }
    nl_conv_candidates_free(&list);
    return code;
}
