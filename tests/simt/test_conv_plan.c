/* How a run comes to its convolution plans, with a cuDNN that is played: what its candidates do is
 * in their names. "good W": works, with W bytes of workspace. "refused": cannot be made. "live":
 * runs, but not in a capture. "breaks": takes the device with it.
 */
#include <criterion/criterion.h>
#include <stdio.h>  // snprintf
#include <stdlib.h> // setenv, atoll
#include <string.h> // strncmp

#include <jansson.h> // the cache file

#include "cuda/conv/conv_gemm.h"
#include "cuda/conv/conv_graph.h"
#include "cuda/conv/conv_plan.h"
#include "cuda/conv/plan_cache.h"
#include "support/idx_set.h" // temp_dir_make

// --- cuDNN, played ---

static const char *const *offered; /* candidates, until NULL */
static char *cache_dir;

struct cudnnContext {
    cudaStream_t stream;
};
static int n_handles; /* that there are */

static cudnnStatus_t set_stream(cudnnHandle_t handle, cudaStream_t stream) {
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}
static cudnnStatus_t create(cudnnHandle_t *handle) {
    *handle = nl_alloc(1, sizeof **handle, "handle");
    n_handles++;
    return CUDNN_STATUS_SUCCESS;
}
static cudnnStatus_t destroy(cudnnHandle_t handle) {
    free(handle);
    n_handles--;
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
    for (int i = 0; offered[i]; i++) nl_conv_candidates_add(list, offered[i]);
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

typedef struct job {
    float *out;
    char *workspace;
    int64_t size;
    cudaStream_t stream;
} job;
enum { JOBS = 1 << 13 };
static job jobs[JOBS];
static int n_jobs;

static void work(void *argument) {
    const job *j = argument;
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
    cr_assert(n_jobs < JOBS);
    jobs[n_jobs] = (job){tensors[2], workspace, exec->workspace, handle->stream};
    simt_submit(handle->stream, work, &jobs[n_jobs++]);
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

// --- planning ---

static cudaStream_t streams[16]; /* of the test that runs */
static int n_streams;

static cudaStream_t make_stream(void) {
    cr_assert(cudaStreamCreateWithFlags(&streams[n_streams], cudaStreamNonBlocking) == cudaSuccess);
    return streams[n_streams++];
}

static nl_convs *open_convs(bool autotune, const char *plan) {
    nl_convs *convs;
    nl_error err = {0};
    const nl_convs_options options = {.streams = {make_stream(), make_stream()},
                                      .autotune = autotune,
                                      .device = "played",
                                      .plan = plan};
    cr_assert(nl_convs_open(&convs, &options, &err) == NL_OK, "%s", err.what);
    return convs;
}

static nl_conv_problem problem_of(int n) {
    return (nl_conv_problem){NL_CONV_FORWARD, {n, 2, 4, 4, 3, 3, 1}};
}

static int plan(nl_convs *convs, const char *const *tags, int n, nl_error *err) {
    int index;
    offered = tags;
    *err = (nl_error){0};
    const int code = nl_convs_plan(&index, convs, problem_of(n), "conv1", err);
    cr_assert(code || index == n - 1);
    return code;
}

static bool chose(const nl_convs *convs, const char *tag) {
    char *text = nl_convs_json(convs);
    const bool found = strstr(text, tag) != NULL;
    free(text);
    return found;
}

static void begin(void) {
    cache_dir = temp_dir_make();
    setenv("XDG_CACHE_HOME", cache_dir, 1);
}
static void end(void) {
    cr_assert(n_handles == 0);
    while (n_streams > 0) cudaStreamDestroy(streams[--n_streams]);
    temp_dir_remove(cache_dir);
}

TestSuite(conv_plan, .init = begin, .fini = end);

Test(conv_plan, workspaces_grow_as_often_as_it_takes) {
    enum { GROWTHS = 24 };
    nl_convs *convs = open_convs(false, NULL);
    nl_error err;
    float *x;
    cr_assert(cudaMalloc((void **)&x, 1 << 20) == cudaSuccess);
    for (int i = 1; i <= GROWTHS; i++) {
        char tag[NL_TAG];
        snprintf(tag, sizeof tag, "good %d", (8 << 20) + i * 4);
        const char *const tags[] = {tag, NULL};
        cr_assert(plan(convs, tags, i, &err) == NL_OK, "%s", err.what);
    }
    for (int i = 0; i < GROWTHS; i++)
        cr_assert(!nl_convs_run(convs, i, i % NL_CONV_LANES, x, x, x, &err));
    cr_assert(cudaDeviceSynchronize() == cudaSuccess);
    nl_convs_close(convs);
    cudaFree(x);
}

Test(conv_plan, any_number_of_problems_and_of_candidates) {
    enum { PROBLEMS = 1100, CANDIDATES = 100 };
    static char names[CANDIDATES][NL_TAG];
    const char *tags[CANDIDATES + 1] = {NULL};
    for (int i = 0; i < CANDIDATES; i++) {
        snprintf(names[i], NL_TAG, i < CANDIDATES - 1 ? "refused %d" : "good %d", i);
        tags[i] = names[i];
    }
    const char *const simple[] = {"good 0", NULL};
    nl_convs *convs = open_convs(false, NULL);
    nl_error err;
    cr_assert(plan(convs, tags, 1, &err) == NL_OK, "%s", err.what);
    cr_assert(chose(convs, "good 99"));
    for (int i = 2; i <= PROBLEMS; i++) cr_assert(plan(convs, simple, i, &err) == NL_OK);
    nl_convs_close(convs);
}

Test(conv_plan, where_none_works_the_first_reason_is_told) {
    static const char *const tags[] = {"refused at first", "refused at last", NULL}, *none = NULL;
    nl_convs *convs = open_convs(false, NULL);
    nl_error err;
    cr_assert(plan(convs, tags, 1, &err) == NL_EDEVICE);
    cr_assert(strstr(err.what, "none of 2") && strstr(err.what, "refused at first here"), "%s",
              err.what);
    cr_assert(plan(convs, &none, 1, &err) == NL_EDEVICE && strstr(err.what, "names none"));
    nl_convs_close(convs);
}

Test(conv_plan, a_device_that_breaks_is_no_matter_of_plans) {
    static const char *const tags[] = {"breaks", "good 0", NULL};
    nl_convs *convs = open_convs(false, NULL);
    nl_error err;
    cr_assert(plan(convs, tags, 1, &err) == NL_EDEVICE);
    cr_assert(strstr(err.what, "illegal memory access") && !strstr(err.what, "plans works"), "%s",
              err.what);
    nl_convs_close(convs);
}

Test(conv_plan, lack_of_memory_is_told_as_such) {
    static const char *const tags[] = {"good 100000000", "good 200000000", NULL};
    static const char *const small[] = {"good 100000000", "good 9000000", NULL};
    nl_convs *convs = open_convs(false, NULL);
    nl_error err;
    simt_memory(40 << 20);
    cr_assert(plan(convs, tags, 1, &err) == NL_EDEVICE);
    cr_assert(strstr(err.what, "out of GPU memory: 95.4 MiB wanted"), "%s", err.what);
    cr_assert(strstr(err.hint, "data.batch"), "%s", err.hint);
    cr_assert(plan(convs, small, 1, &err) == NL_OK && chose(convs, "good 9000000"), "%s", err.what);
    nl_convs_close(convs);
}

/* Both lanes at work at once, as in a step: neither takes the other's stream or workspace. */
Test(conv_plan, each_lane_has_a_stream_and_a_workspace) {
    static const char *const tags[] = {"good 64", NULL};
    nl_convs *convs = open_convs(false, NULL);
    nl_error err;
    float *x;
    cr_assert(cudaMalloc((void **)&x, 1 << 20) == cudaSuccess);
    cr_assert(plan(convs, tags, 1, &err) == NL_OK && n_handles == NL_CONV_LANES);
    const int first = n_jobs;
    for (int i = 0; i < 4; i++)
        cr_assert(!nl_convs_run(convs, 0, i % NL_CONV_LANES, x, x, x, &err));
    for (int i = 0; i < 4; i++) {
        const job *j = &jobs[first + i];
        cr_assert(j->stream == streams[i % NL_CONV_LANES]);
        cr_assert((j->workspace == jobs[first].workspace) == (i % NL_CONV_LANES == 0));
    }
    cr_assert(cudaDeviceSynchronize() == cudaSuccess);
    nl_convs_close(convs);
    cudaFree(x);
}

/* Room for one lane and not for the other: the lanes stay as they were. */
Test(conv_plan, a_workspace_that_fits_once_is_none) {
    static const char *const small[] = {"good 9000000", NULL}, *const large[] = {"good 30000000",
                                                                                 NULL};
    nl_convs *convs = open_convs(false, NULL);
    nl_error err;
    float *x;
    cr_assert(cudaMalloc((void **)&x, 1 << 20) == cudaSuccess);
    simt_memory(60 << 20);
    cr_assert(plan(convs, small, 1, &err) == NL_OK);
    cr_assert(plan(convs, large, 2, &err) == NL_EDEVICE);
    cr_assert(plan(convs, small, 2, &err) == NL_OK);
    for (int lane = 0; lane < NL_CONV_LANES; lane++)
        cr_assert(!nl_convs_run(convs, 1, lane, x, x, x, &err));
    cr_assert(cudaDeviceSynchronize() == cudaSuccess);
    nl_convs_close(convs);
    cudaFree(x);
}

/* Whatever a plan comes from, it has been run inside a graph before a run relies on it. */
Test(conv_plan, a_plan_that_cannot_be_captured_is_none) {
    static const char *const tags[] = {"live", "good 16", NULL};
    static const char key[] = "forward n1 c2 h4 w4 o3 k3 p1 fp32";
    nl_error err;
    for (int autotune = 0; autotune < 2; autotune++) {
        json_t *choices = json_pack("{s:s}", key, "live");
        nl_plan_cache_store("played, cuDNN 9, cuBLAS none", choices);
        json_decref(choices);
        nl_convs *convs = open_convs(autotune, NULL);
        cr_assert(plan(convs, tags, 1, &err) == NL_OK && chose(convs, "good 16"), "%s", err.what);
        nl_convs_close(convs);
    }
    char given[256], tag[NL_TAG];
    cr_assert(nl_plan_cache_find(tag, sizeof tag, "played, cuDNN 9, cuBLAS none", key));
    cr_assert(!strcmp(tag, "good 16"), "the cache has the new choice: %s", tag);
    snprintf(given, sizeof given, "{\"plans\": {\"%s\": \"live\"}}", key);
    nl_convs *convs = open_convs(true, given);
    cr_assert(plan(convs, tags, 1, &err) == NL_EDEVICE);
    cr_assert(strstr(err.what, "not while capturing") && strstr(err.hint, "resume it where"), "%s",
              err.what);
    nl_convs_close(convs);
}
