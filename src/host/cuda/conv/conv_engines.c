/* The engines of a convolution's graph and the execution plans made of them.
 *
 * Heuristics mode A ranks engine configurations by expected time; mode FALLBACK adds those that
 * always work. Both often rank engines first whose sums depend on the order of atomics: numerical
 * notes tell, and those are left out, as are TF32 unless asked for, FFT and large Winograd tiles
 * (they lose digits that the comparison with the CPU needs), and reductions in reduced precision.
 */
#include "conv_graph.h"

#include <stdio.h>  // snprintf
#include <stdlib.h> // strtol, free
#include <string.h> // strcmp

#include "cudnn_desc.h" // nl_desc

/* ---- heuristics ------------------------------------------------------------------------------ */

static bool acceptable(const nl_cudnn *api, cudnnBackendDescriptor_t engine, bool tf32) {
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t count = 0;
    if (api->get_attribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                           CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes)) {
        return false;
    }
    if (count > CUDNN_NUMERICAL_NOTE_TYPE_COUNT) return false; /* more than there are today */
    for (int64_t i = 0; i < count; i++) {
        switch (notes[i]) {
        case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
        case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
            if (!tf32) return false;
            break;
        case CUDNN_NUMERICAL_NOTE_WINOGRAD:
        case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
        case CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP:
            break;
        default: /* not deterministic, FFT, large tiles, reduced precision, and what is yet to come
                  */
            return false;
        }
    }
    return true;
}

/* Writes an engine configuration's tag; false where cuDNN does not tell. */
static bool describe(char tag[NL_TAG], const nl_cudnn *api, cudnnBackendDescriptor_t config,
                     cudnnBackendDescriptor_t engine, cudnnBackendDescriptor_t *knobs) {
    int64_t index = 0, count = 0, got = 0;
    if (api->get_attribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &got,
                           &index) ||
        api->get_attribute(config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                           CUDNN_KNOB_TYPE_COUNTS, &count, knobs) ||
        count > CUDNN_KNOB_TYPE_COUNTS) {
        return false;
    }
    int length = snprintf(tag, NL_TAG, "%d", (int)index);
    for (int64_t i = 0; i < count; i++) {
        cudnnBackendKnobType_t type;
        int64_t value = 0;
        if (api->get_attribute(knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1,
                               &got, &type) ||
            api->get_attribute(knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1,
                               &got, &value)) {
            return false;
        }
        length += snprintf(tag + length, (size_t)(NL_TAG - length), " %d=%lld", (int)type,
                           (long long)value);
        if (length >= NL_TAG) return false;
    }
    return true;
}

static void add_candidate(nl_conv_candidates *list, const nl_cudnn *api,
                          cudnnBackendDescriptor_t config, bool tf32) {
    cudnnBackendDescriptor_t engine = NULL, knobs[CUDNN_KNOB_TYPE_COUNTS] = {NULL};
    int64_t got = 0;
    char tag[NL_TAG];
    bool good = !api->create_descriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) &&
                !api->get_attribute(config, CUDNN_ATTR_ENGINECFG_ENGINE,
                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &got, &engine);
    if (good && !acceptable(api, engine, tf32)) {
        list->rejected++;
        good = false;
    }
    for (int i = 0; good && i < CUDNN_KNOB_TYPE_COUNTS; i++) {
        good = !api->create_descriptor(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &knobs[i]);
    }
    good = good && describe(tag, api, config, engine, knobs);
    if (good) nl_conv_candidates_add(list, tag);
    for (int i = 0; i < CUDNN_KNOB_TYPE_COUNTS; i++) {
        if (knobs[i]) api->destroy_descriptor(knobs[i]);
    }
    if (engine) api->destroy_descriptor(engine);
}

/* Reads the configurations that the heuristics found. cuDNN names how many there are, which may be
 * more than were asked for, and writes no more than that. */
static int read_configs(nl_conv_candidates *list, const nl_cudnn *api,
                        cudnnBackendDescriptor_t heuristics, bool tf32, nl_error *err) {
    int64_t count = 0, got = 0;
    int made = 0;
    cudnnStatus_t status = api->get_attribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                              CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, NULL);
    cudnnBackendDescriptor_t *configs = nl_alloc((size_t)count, sizeof *configs, "candidates");
    for (; made < count && !status; made += !status) {
        status = api->create_descriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[made]);
    }
    if (!status && made) {
        status = api->get_attribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &got, configs);
    }
    for (int i = 0; i < made && i < got && !status; i++) {
        add_candidate(list, api, configs[i], tf32);
    }
    for (int i = 0; i < made; i++) api->destroy_descriptor(configs[i]);
    free(configs);
    return status ? nl_cudnn_fail(api, status, "engine heuristics", err) : NL_OK;
}

static int ask(nl_conv_candidates *list, const nl_conv_graph *g, cudnnBackendHeurMode_t mode,
               bool tf32, nl_error *err) {
    const nl_cudnn *api = g->target.api;
    nl_desc d = nl_desc_new(api, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    nl_desc_set(&d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                &g->graph);
    nl_desc_set(&d, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (g->target.props) {
        nl_desc_set(&d, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                    &g->target.props);
    }
    cudnnBackendDescriptor_t heuristics;
    int code = nl_desc_finish(&heuristics, &d, "engine heuristics", err);
    if (code) return code;
    code = read_configs(list, api, heuristics, tf32, err);
    api->destroy_descriptor(heuristics);
    return code;
}

int nl_conv_graph_candidates(nl_conv_candidates *list, const nl_conv_graph *graph, bool tf32,
                             nl_error *err) {
    *list = (nl_conv_candidates){0};
    const int code = ask(list, graph, CUDNN_HEUR_MODE_A, tf32, err);
    return code ? code : ask(list, graph, CUDNN_HEUR_MODE_FALLBACK, tf32, err);
}

/* ---- plans ----------------------------------------------------------------------------------- */

/* A tag's engine and knobs; owned by the caller, who destroys what is not NULL. */
typedef struct recipe {
    cudnnBackendDescriptor_t engine, config, knobs[CUDNN_KNOB_TYPE_COUNTS];
    int n_knobs;
} recipe;

static int bad_tag(const char *tag, nl_error *err) {
    return nl_fail(err, NL_EDEVICE, "cuDNN", "'%s' is no convolution plan", tag);
}

static int read_tag(recipe *r, const nl_conv_graph *g, const char *tag, nl_error *err) {
    char *at;
    const int64_t index = strtol(tag, &at, 10);
    nl_desc d = nl_desc_new(g->target.api, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    nl_desc_set(&d, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &g->graph);
    nl_desc_set(&d, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &index);
    if (g->target.props) {
        nl_desc_set(&d, CUDNN_ATTR_ENGINE_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                    &g->target.props);
    }
    int code = nl_desc_finish(&r->engine, &d, "engine", err);
    while (!code && *at == ' ' && r->n_knobs < CUDNN_KNOB_TYPE_COUNTS) {
        const cudnnBackendKnobType_t type = (cudnnBackendKnobType_t)strtol(at + 1, &at, 10);
        if (*at != '=') return bad_tag(tag, err);
        const int64_t value = strtoll(at + 1, &at, 10);
        d = nl_desc_new(g->target.api, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
        nl_desc_set(&d, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type);
        nl_desc_set(&d, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &value);
        code = nl_desc_finish(&r->knobs[r->n_knobs], &d, "knob", err);
        r->n_knobs += !code;
    }
    return !code && (*at || at == tag) ? bad_tag(tag, err) : code;
}

static int make_config(recipe *r, const nl_cudnn *api, nl_error *err) {
    nl_desc d = nl_desc_new(api, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    nl_desc_set(&d, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &r->engine);
    if (r->n_knobs) {
        nl_desc_set(&d, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                    r->n_knobs, r->knobs);
    }
    return nl_desc_finish(&r->config, &d, "engine configuration", err);
}

static int make_plan(nl_conv_exec *exec, const nl_conv_graph *g, recipe *r, nl_error *err) {
    const nl_cudnn *api = g->target.api;
    nl_desc d = nl_desc_new(api, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    nl_desc_set(&d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                &r->config);
    if (g->target.props) {
        nl_desc_set(&d, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                    &g->target.props);
    } else {
        nl_desc_set(&d, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &g->target.handle);
    }
    const int code = nl_desc_finish(&exec->plan, &d, "execution plan", err);
    if (code) return code;
    int64_t got = 0;
    const cudnnStatus_t status =
        api->get_attribute(exec->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64,
                           1, &got, &exec->workspace);
    return status ? nl_cudnn_fail(api, status, "workspace size", err) : NL_OK;
}

int nl_conv_exec_open(nl_conv_exec *exec, const nl_conv_graph *graph, const char *tag,
                      nl_error *err) {
    const nl_cudnn *api = graph->target.api;
    recipe r = {0};
    *exec = (nl_conv_exec){.api = api};
    int code = read_tag(&r, graph, tag, err);
    if (!code) code = make_config(&r, api, err);
    if (!code) code = make_plan(exec, graph, &r, err);
    if (code) nl_conv_exec_close(exec);
    if (r.config) api->destroy_descriptor(r.config);
    for (int i = 0; i < r.n_knobs; i++) api->destroy_descriptor(r.knobs[i]);
    if (r.engine) api->destroy_descriptor(r.engine);
    return code;
}

void nl_conv_exec_close(nl_conv_exec *exec) {
    if (exec->plan) exec->api->destroy_descriptor(exec->plan);
    exec->plan = NULL;
}

int nl_conv_exec_run(const nl_conv_exec *exec, cudnnHandle_t handle, void *const tensors[3],
                     void *workspace, nl_error *err) {
    const int64_t uids[3] = {1, 2, 3};
    nl_desc d = nl_desc_new(exec->api, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    nl_desc_set(&d, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3, uids);
    nl_desc_set(&d, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3, tensors);
    nl_desc_set(&d, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    cudnnBackendDescriptor_t pack;
    const int code = nl_desc_finish(&pack, &d, "variant pack", err);
    if (code) return code;
    const cudnnStatus_t status = exec->api->execute(handle, exec->plan, pack);
    exec->api->destroy_descriptor(pack);
    return status ? nl_cudnn_fail(exec->api, status, "convolution", err) : NL_OK;
}
