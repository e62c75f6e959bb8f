/* The way through the first block; see first_way.h. */
#include "first_way.h"

#include <math.h>   // fabs
#include <stdio.h>  // snprintf
#include <stdlib.h> // getenv
#include <string.h> // strcmp

#include <jansson.h> // JSON

#include "cuda/conv/conv_plan.h"  // nl_convs_library
#include "cuda/conv/conv_tune.h"  // NL_CONV_TIME_CALLS
#include "cuda/conv/plan_cache.h" // nl_plan_cache_find
#include "cuda/runtime/device.h"  // nl_device_open
#include "first_cuda.h"           // nl_cuda_first_shape

#define VARIABLE "NORMLAB_FIRST_BLOCK"
#define AGREE 1e-5 /* relative, of two losses */

static const char *const words[] = {"general", "own"};

json_t *nl_first_way_json(const nl_first_way *way) {
    json_t *json = json_pack("{s:s, s:s}", "way", words[way->own], "why", way->why);
    if (way->seconds[0] > 0)
        json_object_set_new(
            json, "seconds",
            json_pack("{s:f, s:f}", words[0], way->seconds[0], words[1], way->seconds[1]));
    if (way->apart > 0)
        json_object_set_new(json, "losses_apart",
                            isfinite(way->apart) ? json_real(way->apart)
                                                 : json_string("not finite"));
    return json;
}

/* -1: not set. */
static int read_variable(int *forced, nl_error *err) {
    const char *text = getenv(VARIABLE);
    *forced = !text || !*text ? -1 : strcmp(text, "0") == 0 ? 0 : strcmp(text, "1") == 0 ? 1 : 2;
    if (*forced < 2) return NL_OK;
    nl_fail(err, NL_EUSAGE, VARIABLE, "must be 0 or 1, not \"%.32s\"", text);
    return nl_hint(err, "without it the program takes what is faster here");
}

/* The resumed run's; runs from before there was a choice went the general way. */
static bool is_own(const char *plan) {
    json_t *root = json_loads(plan, 0, NULL);
    const json_t *first = json_object_get(root, "first_block");
    const char *way = json_string_value(json_object_get(first, "way"));
    const bool own = way && strcmp(way, words[1]) == 0;
    json_decref(root);
    return own;
}

/* ---- where it was timed before --------------------------------------------------------------- */

/* What the choice rests on, but for device and library. */
static void describe(char *text, size_t size, const nl_k_first *f, const nl_config *config) {
    const nl_k_shape *s = &f->stage.shape;
    snprintf(text, size,
             "first block, normlab %s fp32 n%d c%d h%d w%d o%d k%d p%d o%d %s groups %d%s",
             NL_VERSION, s->n, f->channels, f->h, f->w, s->c, f->k, f->pad, f->outputs,
             f->sets == NL_K_SETS_NONE ? "none" : nl_norm_words[config->model.norm], s->groups,
             s->relu ? " relu" : "");
}

/* ---- timing ---------------------------------------------------------------------------------- */

/* Both ways, each in an engine of its own. A way that fails is not taken. */
static int time_both(nl_first_way *way, const nl_engine_spec *spec, const nl_k_first *first,
                     nl_first_trial *trial, nl_error *err) {
    double loss[2] = {0, 0};
    *way = (nl_first_way){.why = "timed"};
    int code = trial(&way->seconds[0], &loss[0], spec, NULL, err);
    if (code) return code;
    nl_error failure = {0};
    if (trial(&way->seconds[1], &loss[1], spec, first, &failure)) {
        nl_warn(NL_FIRST_BLOCK, "%s: %s; the general way is taken", failure.where, failure.what);
        *way = (nl_first_way){.why = "own kernels failed"};
        return NL_OK;
    }
    const double apart = fabs(loss[1] - loss[0]) / fabs(loss[0]);
    if (!(apart <= AGREE)) {
        nl_warn(NL_FIRST_BLOCK, "its kernels' loss is %.9g, the general way's %.9g: that is taken",
                loss[1], loss[0]);
        way->apart = isfinite(apart) ? apart : HUGE_VAL;
        way->why = "losses differ";
    } else {
        way->own = way->seconds[1] < way->seconds[0];
    }
    return NL_OK;
}

static bool find_cached(nl_first_way *way, const char *device, const char *problem) {
    char tag[16];
    if (!nl_plan_cache_find(tag, sizeof tag, device, problem)) return false;
    *way = (nl_first_way){.own = strcmp(tag, words[1]) == 0, .why = "plan cache"};
    return way->own || strcmp(tag, words[0]) == 0;
}

/* One process at a time: the next one finds what this one has stored. */
static int time_once(nl_first_way *way, const nl_engine_spec *spec, const nl_k_first *first,
                     const char *device, const char *problem, nl_first_trial *trial,
                     nl_error *err) {
    const int lock = nl_plan_cache_lock();
    int code = NL_OK;
    if (!find_cached(way, device, problem)) {
        code = time_both(way, spec, first, trial, err);
        if (!code) {
            json_t *fresh = json_pack("{s:s}", problem, words[way->own]);
            nl_plan_cache_store(device, fresh);
            json_decref(fresh);
        }
    }
    nl_plan_cache_unlock(lock);
    return code;
}

/* ---- choosing -------------------------------------------------------------------------------- */

/* Why there is no choice, or NULL. */
static int find_obstacle(const char **obstacle, nl_k_first *first, const nl_engine_spec *spec,
                         nl_error *err) {
    bool fits = false;
    *obstacle = "network";
    if (!nl_cuda_first_shape(first, spec->model, nl_cuda_batch(spec))) return NL_OK;
    *obstacle = "math";
    if (spec->config->train.math != NL_MATH_FP32) return NL_OK;
    *obstacle = "device";
    const int code = nl_cuda_first_fits(&fits, first, spec->device, err);
    if (!code && fits) *obstacle = NULL;
    return code;
}

static int choose(nl_first_way *way, const nl_engine_spec *spec, const nl_k_first *first,
                  nl_first_trial *trial, nl_error *err) {
    nl_device d;
    char device[NL_DEVICE_KEY + 72], library[64], problem[256], key[NL_DEVICE_KEY];
    int code = nl_device_open(&d, spec->device, err);
    if (!code) code = nl_convs_library(library, sizeof library, err);
    if (code) return code;
    nl_device_key(key, &d);
    snprintf(device, sizeof device, "%s, %s", key, library);
    describe(problem, sizeof problem, first, spec->config);
    if (find_cached(way, device, problem)) return NL_OK;
    *way = (nl_first_way){.why = "not timed here"};
    const bool enough =
        spec->data->train.count / (uint32_t)first->stage.shape.n >= NL_CONV_TIME_CALLS;
    return spec->autotune && enough ? time_once(way, spec, first, device, problem, trial, err)
                                    : NL_OK;
}

/* Of a run that was started before. */
static int resume(nl_first_way *way, const char *plan, int forced, const char *obstacle,
                  nl_error *err) {
    *way = (nl_first_way){.own = is_own(plan), .why = "resumed run"};
    if (forced >= 0 && forced != way->own) {
        nl_fail(err, NL_EUSAGE, VARIABLE, "is %d, but the run was started the way of %d", forced,
                way->own);
        return nl_hint(err, "resume it without the variable");
    }
    if (!way->own || !obstacle) return NL_OK;
    nl_fail(err, NL_EDEVICE, "run.json",
            "the run was started with the first block's own kernels, which this %s does not allow",
            obstacle);
    return nl_hint(err, "resume it where it was started");
}

static int decide(nl_first_way *way, const nl_engine_spec *spec, int forced, const char *obstacle,
                  const nl_k_first *first, nl_first_trial *trial, nl_error *err) {
    if (spec->plan) return resume(way, spec->plan, forced, obstacle, err);
    const char *by = VARIABLE;
    if (spec->first_block != NL_FIRST_ANY)
        forced = spec->first_block == NL_FIRST_OWN, by = "caller";
    *way = (nl_first_way){.why = obstacle};
    if (obstacle && spec->first_block == NL_FIRST_OWN)
        return nl_fail(err, NL_EDEVICE, NL_FIRST_BLOCK, "this %s does not allow its own kernels",
                       obstacle);
    if (obstacle && forced > 0)
        nl_warn(by, "the %s does not allow the first block's own kernels: the general way is taken",
                obstacle);
    if (obstacle) return NL_OK;
    *way = (nl_first_way){.own = forced > 0, .why = forced >= 0 ? by : "--no-autotune"};
    if (forced >= 0 || !(spec->autotune || spec->cached)) return NL_OK;
    return choose(way, spec, first, trial, err);
}

int nl_first_way_choose(nl_first_way *way, const nl_engine_spec *spec, nl_first_trial *trial,
                        nl_error *err) {
    nl_k_first first = {0};
    const char *obstacle;
    int forced;
    int code = read_variable(&forced, err);
    if (!code) code = find_obstacle(&obstacle, &first, spec, err);
    if (!code) code = decide(way, spec, forced, obstacle, &first, trial, err);
    if (!code) way->first = first;
    return code;
}
