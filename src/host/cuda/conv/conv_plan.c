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

#include "base/grow.h"   // nl_grow
#include "conv_choose.h" // nl_conv_choose
#include "plan_cache.h"  // nl_plan_cache_find

struct nl_convs {
    nl_convs_options options;
    nl_conv_lanes lanes;
    json_t *given;  /* problem: tag, of the options' plan */
    json_t *chosen; /* problem: tag */
    nl_conv_plan *plans;
    int n_plans;
    char versions[128], key[512];
};

/* ---- open and close -------------------------------------------------------------------------- */

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

int nl_convs_library(char *text, size_t size, nl_error *err) {
    const nl_cudnn *api;
    const int code = nl_cudnn_load(&api, err);
    if (!code) snprintf(text, size, "cuDNN %s", api->version);
    return code;
}

int nl_convs_open(nl_convs **convs, const nl_convs_options *options, nl_error *err) {
    nl_convs *c = nl_alloc(1, sizeof *c, "convolution plans");
    c->options = *options;
    c->chosen = json_object();
    *convs = c;
    int code = nl_conv_lanes_open(&c->lanes, options->streams, err);
    if (!code) code = read_given(c, options->plan, err);
    if (code) {
        nl_convs_close(c);
        *convs = NULL;
        return code;
    }
    snprintf(c->versions, sizeof c->versions, "cuDNN %s, cuBLAS %s", c->lanes.api->version,
             c->lanes.gemm ? nl_gemm_version(c->lanes.gemm) : "none");
    snprintf(c->key, sizeof c->key, "%s, %s", options->device, c->versions);
    c->options.plan = NULL; /* the caller's text may go */
    c->options.device = c->key;
    return NL_OK;
}

void nl_convs_close(nl_convs *c) {
    if (!c) return;
    for (int i = 0; i < c->n_plans; i++) nl_conv_plan_close(&c->plans[i]);
    nl_conv_lanes_close(&c->lanes);
    free(c->plans);
    json_decref(c->given);
    json_decref(c->chosen);
    free(c);
}

const char *nl_convs_versions(const nl_convs *c) {
    return c->versions;
}

json_t *nl_convs_json(const nl_convs *c) {
    return json_pack("{s:s,s:O}", "device", c->key, "plans", c->chosen);
}

/* ---- planning and running -------------------------------------------------------------------- */

static void describe(char *text, size_t size, nl_conv_problem p, bool tf32) {
    static const char *const dirs[NL_CONV_DIRS] = {"forward", "data", "filter"};
    const nl_conv_shape s = p.shape;
    snprintf(text, size, "%s n%d c%d h%d w%d o%d k%d p%d %s", dirs[p.dir], s.n, s.c, s.h, s.w, s.o,
             s.k, s.pad, tf32 ? "tf32" : "fp32");
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
        nl_conv_plan p;
        if (nl_conv_try(&p, &c->lanes, problem, tag, buffers, NULL, NULL) == NL_OK) {
            nl_conv_plan_close(&p);
            return NL_OK;
        }
        const int code = nl_conv_check_device(&c->lanes, err);
        if (code) return code;
    }
    const int code =
        nl_conv_choose(tag, &c->lanes, problem, c->options.tf32, c->options.autotune, buffers, err);
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
    nl_conv_plan *p = &c->plans[c->n_plans];
    code = find_tag(tag, c, problem, text, &buffers, err);
    if (!code) code = nl_conv_try(p, &c->lanes, problem, tag, &buffers, NULL, err);
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

int nl_convs_run(nl_convs *c, int index, int lane, float *out, const float *a, const float *b,
                 nl_error *err) {
    NL_ASSERT(index >= 0 && index < c->n_plans && lane >= 0 && lane < NL_CONV_LANES);
    return nl_conv_plan_run(&c->plans[index], &c->lanes, lane, out, a, b, err);
}
