/* See played_cudnn.h. */
#include "played_cudnn.h"

#include <stdio.h>  // snprintf
#include <stdlib.h> // free, atoll
#include <string.h> // strncmp

#include "cuda/conv/conv_gemm.h"

const char *const *played_candidates;
int played_handles, played_jobs_made;
played_job played_jobs[PLAYED_JOBS];

struct cudnnContext {
    cudaStream_t stream;
};

static cudnnStatus_t set_stream(cudnnHandle_t handle, cudaStream_t stream) {
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}
static cudnnStatus_t create(cudnnHandle_t *handle) {
    *handle = nl_alloc(1, sizeof **handle, "handle");
    played_handles++;
    return CUDNN_STATUS_SUCCESS;
}
static cudnnStatus_t destroy(cudnnHandle_t handle) {
    free(handle);
    played_handles--;
    return CUDNN_STATUS_SUCCESS;
}
int nl_cudnn_load(const nl_cudnn **api, nl_error *err) {
    (void)err;
    static const nl_cudnn table = {
        .create = create, .destroy = destroy, .set_stream = set_stream, .version = "9"};
    *api = &table;
    return NL_OK;
}
int nl_cudnn_fail(const nl_cudnn *api, cudnnStatus_t status, const char *what, nl_error *err) {
    (void)api;
    return nl_fail(err, NL_EDEVICE, "cuDNN", "%s: %d", what, (int)status);
}
int nl_conv_graph_open(nl_conv_graph *graph, nl_conv_target target, nl_conv_problem problem,
                       nl_error *err) {
    (void)err;
    *graph = (nl_conv_graph){.target = target, .problem = problem};
    return NL_OK;
}
void nl_conv_graph_close(nl_conv_graph *graph) {
    (void)graph;
}
int nl_conv_graph_candidates(nl_conv_candidates *list, const nl_conv_graph *graph, bool tf32,
                             nl_error *err) {
    (void)graph, (void)tf32, (void)err;
    *list = (nl_conv_candidates){0};
    for (int i = 0; played_candidates[i]; i++) nl_conv_candidates_add(list, played_candidates[i]);
    return NL_OK;
}
int nl_conv_exec_open(nl_conv_exec *exec, const nl_conv_graph *graph, const char *tag,
                      nl_error *err) {
    (void)graph;
    *exec = (nl_conv_exec){0};
    if (!strncmp(tag, "refused", 7)) return nl_fail(err, NL_EDEVICE, "cuDNN", "%s here", tag);
    exec->plan = nl_alloc(1, NL_TAG, "plan");
    snprintf(exec->plan, NL_TAG, "%s", tag);
    if (!strncmp(tag, "good ", 5)) exec->workspace = atoll(tag + 5);
    return NL_OK;
}
void nl_conv_exec_close(nl_conv_exec *exec) {
    free(exec->plan);
    exec->plan = NULL;
}

static void work(void *argument) {
    const played_job *j = argument;
    if (j->size) memset(j->workspace, 1, (size_t)j->size);
    j->out[0] = 7;
}
int nl_conv_exec_run(const nl_conv_exec *exec, cudnnHandle_t handle, void *const tensors[3],
                     void *workspace, nl_error *err) {
    enum cudaStreamCaptureStatus status;
    cudaStreamIsCapturing(handle->stream, &status);
    if (!strcmp(exec->plan, "live") && status == cudaStreamCaptureStatusActive)
        return nl_fail(err, NL_EDEVICE, "cuDNN", "not while capturing");
    if (!strcmp(exec->plan, "breaks")) simt_break(cudaErrorIllegalAddress);
    NL_ASSERT(played_jobs_made < PLAYED_JOBS);
    played_job *j = &played_jobs[played_jobs_made++];
    *j = (played_job){tensors[2], workspace, exec->workspace, handle->stream};
    simt_submit_on(handle->stream, work, j, sizeof *j);
    return NL_OK;
}

// --- no cuBLAS ---

nl_gemm *nl_gemm_open(void) {
    return NULL;
}
void nl_gemm_close(nl_gemm *gemm) {
    (void)gemm;
}
const char *nl_gemm_version(const nl_gemm *gemm) {
    (void)gemm;
    return "";
}
bool nl_gemm_fits(nl_conv_problem problem) {
    return problem.shape.k == 1;
}
int nl_gemm_run(nl_gemm *gemm, nl_conv_problem problem, cudaStream_t stream, float *out,
                const float *a, const float *b, nl_error *err) {
    (void)gemm, (void)problem, (void)stream, (void)out, (void)a, (void)b;
    return nl_fail(err, NL_EINTERNAL, "cuBLAS", "there is none");
}
