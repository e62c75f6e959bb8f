/* Making and running a plan; see conv_run.h. */
#include "conv_run.h"

#include <string.h> // memcpy

#include "cudnn_desc.h" // nl_cudnn_fail

static const int64_t largest_workspace = 256 << 20;
const char nl_conv_gemm_tag[] = "gemm";

int nl_conv_lanes_open(nl_conv_lanes *l, const cudaStream_t streams[NL_CONV_LANES], nl_error *err) {
    *l = (nl_conv_lanes){0};
    const int code = nl_cudnn_load(&l->api, err);
    if (code) return code;
    for (int i = 0; i < NL_CONV_LANES; i++) {
        l->streams[i] = streams[i];
        cudnnStatus_t status = l->api->create(&l->handles[i]);
        if (!status) status = l->api->set_stream(l->handles[i], streams[i]);
        if (status) return nl_cudnn_fail(l->api, status, l->api->path, err);
    }
    l->gemm = nl_gemm_open();
    return NL_OK;
}

void nl_conv_lanes_close(nl_conv_lanes *l) {
    nl_conv_space_close(&l->space);
    nl_gemm_close(l->gemm);
    for (int i = 0; i < NL_CONV_LANES; i++)
        if (l->handles[i]) l->api->destroy(l->handles[i]);
    *l = (nl_conv_lanes){0};
}

int nl_conv_plan_open(nl_conv_plan *p, nl_conv_lanes *l, nl_conv_problem problem, const char *tag,
                      nl_error *err) {
    *p = (nl_conv_plan){.problem = problem, .gemm = !strcmp(tag, nl_conv_gemm_tag)};
    if (p->gemm) {
        if (l->gemm && nl_gemm_fits(problem)) return NL_OK;
        return nl_fail(err, NL_EDEVICE, "cuBLAS", "not found, or no product for this problem");
    }
    const nl_conv_target target = {.api = l->api, .handle = l->handles[0]};
    int code = nl_conv_graph_open(&p->graph, target, problem, err);
    if (!code) code = nl_conv_exec_open(&p->exec, &p->graph, tag, err);
    if (!code && p->exec.workspace > largest_workspace) {
        code = nl_fail(err, NL_EDEVICE, "cuDNN", "a plan needs %lld bytes of workspace",
                       (long long)p->exec.workspace);
    }
    if (!code) code = nl_conv_space_reserve(&l->space, p->exec.workspace, err);
    for (int lane = 0; lane < NL_CONV_LANES; lane++) p->workspace[lane] = l->space.lanes[lane];
    if (code) nl_conv_plan_close(p);
    return code;
}

void nl_conv_plan_close(nl_conv_plan *p) {
    if (p->gemm) return;
    nl_conv_exec_close(&p->exec);
    if (p->graph.graph) nl_conv_graph_close(&p->graph);
}

int nl_conv_plan_run(const nl_conv_plan *p, nl_conv_lanes *l, int lane, float *out, const float *a,
                     const float *b, nl_error *err) {
    /* cuBLAS has one workspace, and what leaves lane 0 is a filter gradient, which is no product */
    NL_ASSERT(!p->gemm || lane == 0);
    if (p->gemm) return nl_gemm_run(l->gemm, p->problem, l->streams[0], out, a, b, err);
    float *in[2];
    memcpy(in, (const float *[2]){a, b}, sizeof in); /* cuDNN's pointers are not const */
    void *const tensors[NL_CONV_DIRS][3] = {[NL_CONV_FORWARD] = {in[0], in[1], out},
                                            [NL_CONV_DATA] = {out, in[1], in[0]},
                                            [NL_CONV_FILTER] = {in[1], out, in[0]}};
    return nl_conv_exec_run(&p->exec, l->handles[lane], tensors[p->problem.dir], p->workspace[lane],
                            err);
}
