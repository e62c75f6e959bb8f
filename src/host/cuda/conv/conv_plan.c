/* Plans of a run: where each problem's choice comes from, and running it.
 *
 * The choice: the plan text of a resumed run, if one was given; else, when timing is wanted, the
 * cache file, else the fastest of the candidates; without timing the first that works. Every
 * plan is run inside a graph before the run relies on it.
 */
#include "conv_plan.h"

#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // memcmp

#include <jansson.h> // JSON

#include "conv_gemm.h"           // nl_gemm
#include "conv_graph.h"          // nl_conv_exec
#include "conv_space.h"          // nl_conv_space
#include "conv_tune.h"           // nl_conv_time
#include "cudnn_desc.h"          // nl_cudnn_fail
#include "cuda/runtime/device.h" // nl_device_alloc
#include "base/grow.h"           // nl_grow
#include "plan_cache.h"          // nl_plan_cache_find

static const int64_t largest_workspace = 256 << 20;
static const char gemm_tag[] = "gemm";

typedef struct plan {
    nl_conv_problem problem;
    bool gemm;
    nl_conv_graph graph; /* where it is no gemm */
    nl_conv_exec exec;
    void *workspace[NL_CONV_LANES];
} plan;

struct nl_convs {
    nl_convs_options options;
    const nl_cudnn *api;
    cudnnHandle_t handle;
    nl_gemm *gemm;  /* NULL: no cuBLAS on this machine */
    json_t *given;  /* problem: tag, of the options' plan */
    json_t *chosen; /* problem: tag */
    plan *plans;
    int n_plans;
    nl_conv_space space;
    char versions[128], key[512];
};

/* ---- open and close ----------------------------------------------------------------------------
 */

static int read_given(nl_convs *c, const char *text, nl_error *err) {
    if (!text) return NL_OK;
    json_error_t error;
    json_t *root = json_loads(text, 0, &error);
    c->given = json_incref(json_object_get(root, "plans"));
    json_decref(root);
    if (json_is_object(c->given)) return NL_OK;
    return nl_fail(err, NL_EDATA, "run.json", "the convolution plans of the run cannot be read");
}

int nl_convs_probe(nl_error *err) {
    const nl_cudnn *api;
    return nl_cudnn_load(&api, err);
}

int nl_convs_open(nl_convs **convs, const nl_convs_options *options, nl_error *err) {
    nl_convs *c = nl_alloc(1, sizeof *c, "convolution plans");
    c->options = *options;
    c->chosen = json_object();
    *convs = c;
    int code = nl_cudnn_load(&c->api, err);
    if (!code) {
        const cudnnStatus_t status = c->api->create(&c->handle);
        if (status) code = nl_cudnn_fail(c->api, status, c->api->path, err);
    }
    if (!code) code = read_given(c, options->plan, err);
    if (code) {
        nl_convs_close(c);
        *convs = NULL;
        return code;
    }
    c->gemm = nl_gemm_open();
    snprintf(c->versions, sizeof c->versions, "cuDNN %s, cuBLAS %s", c->api->version,
             c->gemm ? nl_gemm_version(c->gemm) : "none");
    snprintf(c->key, sizeof c->key, "%s, %s", options->device, c->versions);
    c->options.plan = NULL; /* the caller's text may go */
    c->options.device = c->key;
    return NL_OK;
}

static void close_plan(plan *p) {
    if (p->gemm) return;
    nl_conv_exec_close(&p->exec);
    if (p->graph.graph) nl_conv_graph_close(&p->graph);
}

void nl_convs_close(nl_convs *c) {
    if (!c) return;
    for (int i = 0; i < c->n_plans; i++) close_plan(&c->plans[i]);
    nl_conv_space_close(&c->space);
    free(c->plans);
    nl_gemm_close(c->gemm);
    if (c->handle) c->api->destroy(c->handle);
    json_decref(c->given);
    json_decref(c->chosen);
    free(c);
}

const char *nl_convs_versions(const nl_convs *c) {
    return c->versions;
}

char *nl_convs_json(const nl_convs *c) {
    json_t *root = json_pack("{s:s,s:O}", "device", c->key, "plans", c->chosen);
    char *text = json_dumps(root, JSON_SORT_KEYS);
    json_decref(root);
    return text;
}

/* ---- one plan ----------------------------------------------------------------------------------
 */

static void describe(char *text, size_t size, nl_conv_problem p, bool tf32) {
    static const char *const dirs[NL_CONV_DIRS] = {"forward", "data", "filter"};
    const nl_conv_shape s = p.shape;
    snprintf(text, size, "%s n%d c%d h%d w%d o%d k%d p%d %s", dirs[p.dir], s.n, s.c, s.h, s.w, s.o,
             s.k, s.pad, tf32 ? "tf32" : "fp32");
}

static int open_plan(plan *p, nl_convs *c, nl_conv_problem problem, const char *tag,
                     nl_error *err) {
    *p = (plan){.problem = problem, .gemm = !strcmp(tag, gemm_tag)};
    if (p->gemm) {
        if (c->gemm && nl_gemm_fits(problem)) return NL_OK;
        return nl_fail(err, NL_EDEVICE, "cuBLAS", "not found, or no product for this problem");
    }
    const nl_conv_target target = {.api = c->api, .handle = c->handle};
    int code = nl_conv_graph_open(&p->graph, target, problem, err);
    if (!code) code = nl_conv_exec_open(&p->exec, &p->graph, tag, err);
    if (!code && p->exec.workspace > largest_workspace) {
        code = nl_fail(err, NL_EDEVICE, "cuDNN", "a plan needs %lld bytes of workspace",
                       (long long)p->exec.workspace);
    }
    if (!code) code = nl_conv_space_reserve(&c->space, p->exec.workspace, err);
    for (int lane = 0; lane < NL_CONV_LANES; lane++) p->workspace[lane] = c->space.lanes[lane];
    if (code) close_plan(p);
    return code;
}

static int run_plan(nl_convs *c, const plan *p, int lane, cudaStream_t stream, float *out,
                    const float *a, const float *b, nl_error *err) {
    /* cuBLAS has one workspace, so its products keep to lane 0; filter gradients are none of them
     */
    if (p->gemm) return nl_gemm_run(c->gemm, p->problem, stream, out, a, b, err);
    const cudnnStatus_t status = c->api->set_stream(c->handle, stream);
    if (status) return nl_cudnn_fail(c->api, status, "stream", err);
    float *in[2];
    memcpy(in, (const float *[2]){a, b}, sizeof in); /* cuDNN's pointers are not const */
    void *const tensors[NL_CONV_DIRS][3] = {[NL_CONV_FORWARD] = {in[0], in[1], out},
                                            [NL_CONV_DATA] = {out, in[1], in[0]},
                                            [NL_CONV_FILTER] = {in[1], out, in[0]}};
    return nl_conv_exec_run(&p->exec, c->handle, tensors[p->problem.dir], p->workspace[lane], err);
}

int nl_convs_run(nl_convs *c, int index, int lane, cudaStream_t stream, float *out, const float *a,
                 const float *b, nl_error *err) {
    NL_ASSERT(index >= 0 && index < c->n_plans && lane >= 0 && lane < NL_CONV_LANES);
    const plan *p = &c->plans[index];
    NL_ASSERT(!p->gemm || lane == 0);
    return run_plan(c, p, lane, stream, out, a, b, err);
}

/* ---- choosing ----------------------------------------------------------------------------------
 */

typedef struct trial {
    nl_convs *convs;
    const plan *plan;
    const nl_conv_buffers *buffers;
} trial;

static int run_trial(void *context, nl_error *err) {
    const trial *t = context;
    return run_plan(t->convs, t->plan, 0, t->convs->options.stream, t->buffers->out, t->buffers->a,
                    t->buffers->b, err);
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

/* Opens a plan and runs it, by itself and in a graph; with `seconds` also times it. */
static int try_plan(plan *p, nl_convs *c, nl_conv_problem problem, const char *tag,
                    const nl_conv_buffers *buffers, double *seconds, nl_error *err) {
    int code = open_plan(p, c, problem, tag, err);
    if (code) return code;
    const cudaStream_t stream = c->options.stream;
    trial t = {.convs = c, .plan = p, .buffers = buffers};
    code = run_trial(&t, err);
    if (!code) code = nl_cuda_check(cudaStreamSynchronize(stream), "convolution", err);
    if (!code && !seconds) code = try_captured(&t, stream, err);
    if (!code && seconds) code = nl_conv_time(seconds, run_trial, &t, stream, err);
    if (code) close_plan(p);
    return code;
}

static int list_candidates(nl_conv_candidates *list, nl_convs *c, nl_conv_problem problem,
                           nl_error *err) {
    const nl_conv_target target = {.api = c->api, .handle = c->handle};
    nl_conv_graph graph;
    int code = nl_conv_graph_open(&graph, target, problem, err);
    if (code) return code;
    code = nl_conv_graph_candidates(list, &graph, c->options.tf32, err);
    nl_conv_graph_close(&graph);
    if (!code && c->options.autotune && c->gemm && nl_gemm_fits(problem))
        nl_conv_candidates_add(list, gemm_tag);
    return code;
}

/* After a plan that failed: an error that stays, which no other plan would get round. */
static int check_device(nl_convs *c, nl_error *err) {
    (void)cudaGetLastError();
    return nl_cuda_check(cudaStreamSynchronize(c->options.stream), "trying convolution plans", err);
}

/* The fastest candidate, or without timing the first that works. A candidate that fails drops out,
 * unless the device itself has failed; where all do, the first one's reason is told. */
static int choose(char tag[NL_TAG], nl_convs *c, nl_conv_problem problem,
                  const nl_conv_buffers *buffers, nl_error *err) {
    nl_conv_candidates list = {0};
    nl_error why, first = {.what = "cuDNN names none"};
    int code = list_candidates(&list, c, problem, err);
    double best = 0;
    tag[0] = '\0';
    for (int i = 0; i < list.count && !code; i++) {
        double seconds = 0;
        plan p;
        if (try_plan(&p, c, problem, list.tags[i], buffers, c->options.autotune ? &seconds : NULL,
                     &why)) {
            if (i == 0) first = why;
            code = check_device(c, err);
            continue;
        }
        close_plan(&p);
        if (!tag[0] || seconds < best) {
            snprintf(tag, NL_TAG, "%s", list.tags[i]);
            best = seconds;
        }
        if (!c->options.autotune) break;
    }
    if (!code && !tag[0]) {
        code = nl_fail(err, NL_EDEVICE, first.where[0] ? first.where : "cuDNN",
                       "none of %d deterministic plans works: %s", list.count, first.what);
        if (first.hint[0]) nl_hint(err, "%s", first.hint);
    }
    nl_conv_candidates_free(&list);
    return code;
}

/* Where a choice comes from; see the head of this file. */
static int find_tag(char tag[NL_TAG], nl_convs *c, nl_conv_problem problem, const char *text,
                    const nl_conv_buffers *buffers, nl_error *err) {
    const char *given = json_string_value(json_object_get(c->given, text));
    if (given) {
        snprintf(tag, NL_TAG, "%s", given);
        return NL_OK;
    }
    if (c->options.autotune && nl_plan_cache_find(tag, NL_TAG, c->key, text)) {
        plan p;
        if (try_plan(&p, c, problem, tag, buffers, NULL, NULL) == NL_OK) {
            close_plan(&p);
            return NL_OK;
        }
        const int code = check_device(c, err);
        if (code) return code;
    }
    const int code = choose(tag, c, problem, buffers, err);
    if (code || !c->options.autotune) return code;
    json_t *fresh = json_pack("{s:s}", text, tag);
    nl_plan_cache_store(c->key, fresh);
    json_decref(fresh);
    return NL_OK;
}

int nl_convs_plan(int *index, nl_convs *c, nl_conv_problem problem, const char *layer,
                  nl_error *err) {
    for (int i = 0; i < c->n_plans; i++) {
        if (memcmp(&c->plans[i].problem, &problem, sizeof problem) == 0) {
            *index = i;
            return NL_OK;
        }
    }
    char text[128], tag[NL_TAG];
    describe(text, sizeof text, problem, c->options.tf32);
    nl_conv_buffers buffers;
    int code = nl_conv_buffers_open(&buffers, problem, layer, err);
    if (code) return code;
    c->plans = nl_grow(c->plans, c->n_plans, sizeof *c->plans, "convolution plans");
    plan *p = &c->plans[c->n_plans];
    code = find_tag(tag, c, problem, text, &buffers, err);
    if (!code) code = try_plan(p, c, problem, tag, &buffers, NULL, err);
    nl_conv_buffers_close(&buffers);
    if (code) {
        if (json_object_get(c->given, text)) {
            nl_hint(err,
                    "the run was started with this plan for %s of %s: resume it where it was "
                    "started",
                    text, layer);
        }
        return code;
    }
    json_object_set_new(c->chosen, text, json_string(tag));
    *index = c->n_plans++;
    return NL_OK;
}
