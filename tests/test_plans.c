/* cuDNN's plans without a GPU: every convolution of every config, in all directions and batch sizes
 * that training meets, must have a deterministic plan that finalizes and states its workspace, on
 * each of the devices whose properties lie in tests/device-profiles.
 */
#include <criterion/criterion.h>
#include <stdio.h>  // printf
#include <stdlib.h> // free, setenv
#include <string.h> // memcmp

#include "normlab/model.h"

#ifdef NORMLAB_WITH_CUDA
#include <jansson.h> // the cache file

#include "cuda/conv/conv_gemm.h" // nl_gemm_open
#include "cuda/conv/conv_graph.h"
#include "cuda/conv/plan_cache.h"
#include "support/idx_set.h" // temp_dir_make
#include "support/slurp.h"

static const char *const configs[] = {"bn_l1", "ln", "gn", "bn", "none"};
static const char *const profiles[] = {"h100", "a100", "t4", "rtx4090"};
static const int batches[] = {64, 32, 16};
enum { CONFIGS = 5, PROFILES = 4, BATCHES = 3, MAX_PROBLEMS = 256 };

typedef struct problems {
    nl_conv_problem list[MAX_PROBLEMS];
    int count;
} problems;

static const nl_cudnn *cudnn(void) {
    const nl_cudnn *api;
    nl_error err;
    if (nl_cudnn_load(&api, &err) == NL_OK) return api;
    printf("plans: skipped: %s\n", err.what);
    fflush(stdout);
    return NULL;
}

/* Each different problem of all configs once. */
static void collect(problems *all) {
    all->count = 0;
    for (int i = 0; i < CONFIGS; i++) {
        nl_config config;
        nl_error err = {0};
        static nl_model model;
        char path[512];
        snprintf(path, sizeof path, "%s/configs/%s.yaml", NL_SOURCE_DIR, configs[i]);
        cr_assert(nl_config_load(&config, path, &err) == NL_OK, "%s: %s", err.where, err.what);
        cr_assert(nl_model_build(&model, &config, 16, &err) == NL_OK, "%s", err.what);
        for (int k = 0; k < model.n_layers; k++) {
            const nl_layer *l = &model.layers[k];
            if (l->kind != NL_LAYER_CONV) continue;
            for (int b = 0; b < BATCHES * NL_CONV_DIRS; b++) {
                const nl_conv_problem p = {(nl_conv_dir)(b % NL_CONV_DIRS),
                                           {batches[b / NL_CONV_DIRS], l->in_c, l->in_h, l->in_w,
                                            l->out_c, l->kernel, l->pad}};
                int known = 0;
                for (int j = 0; j < all->count; j++) {
                    known = known || memcmp(&all->list[j], &p, sizeof p) == 0;
                }
                cr_assert(all->count < MAX_PROBLEMS);
                if (!known) all->list[all->count++] = p;
            }
        }
    }
}

static nl_conv_target open_profile(const nl_cudnn *api, const char *name) {
    char path[512];
    size_t size;
    snprintf(path, sizeof path, "%s/tests/device-profiles/%s.json", NL_SOURCE_DIR, name);
    char *json = slurp(path, &size);
    nl_conv_target target;
    nl_error err = {0};
    cr_assert(nl_conv_target_profile(&target, api, json, &err) == NL_OK, "%s: %s", name, err.what);
    free(json);
    return target;
}

static nl_conv_candidates candidates(const nl_conv_graph *graph, bool tf32) {
    nl_conv_candidates list;
    nl_error err = {0};
    cr_assert(nl_conv_graph_candidates(&list, graph, tf32, &err) == NL_OK, "%s", err.what);
    return list;
}

typedef struct counts {
    int problems, plans, rejected, fewest;
    int64_t largest; /* workspace of a problem's first plan */
} counts;

static void check_problem(counts *n, nl_conv_target target, nl_conv_problem p, const char *device) {
    nl_conv_graph graph;
    nl_error err = {0};
    cr_assert(nl_conv_graph_open(&graph, target, p, &err) == NL_OK, "%s", err.what);
    nl_conv_candidates list = candidates(&graph, false);
    int good = 0;
    for (int i = 0; i < list.count; i++) {
        nl_conv_exec exec;
        if (nl_conv_exec_open(&exec, &graph, list.tags[i], &err)) continue;
        cr_assert(exec.workspace >= 0 && exec.workspace < (int64_t)1 << 30, "%s: plan %s: %lld",
                  device, list.tags[i], (long long)exec.workspace);
        if (good++ == 0 && exec.workspace > n->largest) n->largest = exec.workspace;
        nl_conv_exec_close(&exec);
    }
    cr_assert(good > 0, "%s: no deterministic plan for direction %d, batch %d, %d -> %d channels",
              device, p.dir, p.shape.n, p.shape.c, p.shape.o);
    n->problems++;
    n->plans += good;
    n->rejected += list.rejected;
    if (good < n->fewest) n->fewest = good;
    nl_conv_candidates_free(&list);
    nl_conv_graph_close(&graph);
}

Test(plans, every_problem_has_a_deterministic_plan) {
    const nl_cudnn *api = cudnn();
    if (!api) cr_skip_test("no cuDNN");
    static problems all;
    collect(&all);
    cr_assert(all.count == 54, "6 convolutions x 3 directions x 3 batch sizes, got %d", all.count);
    counts n = {.fewest = 1000};
    for (int d = 0; d < PROFILES; d++) {
        nl_conv_target target = open_profile(api, profiles[d]);
        for (int i = 0; i < all.count; i++) check_problem(&n, target, all.list[i], profiles[d]);
        nl_conv_target_close(&target);
    }
    printf("plans: cuDNN %s, %d configs, %d devices, %d problems, %d deterministic plans without "
           "TF32 (at least %d for each), %d engines left out, largest first workspace %lld bytes\n",
           api->version, CONFIGS, PROFILES, n.problems, n.plans, n.fewest, n.rejected,
           (long long)n.largest);
    fflush(stdout);
}

/* conv2 at batch 64 on an H100: the filter, under which plans are left out, has something to do. */
static nl_conv_graph conv2(const nl_conv_target *target, nl_conv_dir dir) {
    const nl_conv_problem p = {dir, {64, 96, 28, 28, 16, 1, 0}};
    nl_conv_graph graph;
    nl_error err = {0};
    cr_assert(nl_conv_graph_open(&graph, *target, p, &err) == NL_OK, "%s", err.what);
    return graph;
}

Test(plans, tf32_only_when_asked_for) {
    const nl_cudnn *api = cudnn();
    if (!api) cr_skip_test("no cuDNN");
    nl_conv_target target = open_profile(api, "h100");
    nl_conv_graph graph = conv2(&target, NL_CONV_FORWARD);
    nl_conv_candidates fp32 = candidates(&graph, false), tf32 = candidates(&graph, true);
    cr_assert(fp32.rejected > tf32.rejected && tf32.count > fp32.count,
              "fp32 %d of %d, tf32 %d of %d", fp32.count, fp32.count + fp32.rejected, tf32.count,
              tf32.count + tf32.rejected);
    for (int i = 0; i < fp32.count; i++) {
        int found = 0;
        for (int k = 0; k < tf32.count; k++) found |= !strcmp(fp32.tags[i], tf32.tags[k]);
        cr_assert(found, "a plan of fp32 is one of tf32 too: %s", fp32.tags[i]);
    }
    nl_conv_candidates_free(&fp32);
    nl_conv_candidates_free(&tf32);
    nl_conv_graph_close(&graph);
    nl_conv_target_close(&target);
}

/* Engine 20 of the filter gradient and 25 of the data gradient add with atomics. */
Test(plans, engines_known_as_not_deterministic_are_left_out) {
    const nl_cudnn *api = cudnn();
    if (!api) cr_skip_test("no cuDNN");
    static const struct {
        nl_conv_dir dir;
        int engine;
    } known[] = {{NL_CONV_FILTER, 20}, {NL_CONV_DATA, 25}};
    for (int d = 0; d < PROFILES; d++) {
        nl_conv_target target = open_profile(api, profiles[d]);
        for (int i = 0; i < 2; i++) {
            nl_conv_graph graph = conv2(&target, known[i].dir);
            nl_conv_candidates list = candidates(&graph, true);
            for (int k = 0; k < list.count; k++) {
                cr_assert(atoi(list.tags[k]) != known[i].engine, "%s: %s", profiles[d],
                          list.tags[k]);
            }
            nl_conv_candidates_free(&list);
            nl_conv_graph_close(&graph);
        }
        nl_conv_target_close(&target);
    }
}

/* cuDNN that names more than it wrote, as it may: only what there is counts. */
static const nl_cudnn *real;

static cudnnStatus_t boast(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                           cudnnBackendAttributeType_t type, int64_t wanted, int64_t *count,
                           void *elements) {
    const cudnnStatus_t status =
        real->get_attribute(descriptor, name, type, wanted, count, elements);
    if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS) *count += 1000;
    return status;
}

Test(plans, a_count_larger_than_the_list_is_not_believed) {
    real = cudnn();
    if (!real) cr_skip_test("no cuDNN");
    nl_cudnn boasting = *real;
    boasting.get_attribute = boast;
    nl_conv_target target = open_profile(real, "h100");
    nl_conv_graph graph = conv2(&target, NL_CONV_FORWARD);
    nl_conv_candidates honest = candidates(&graph, true);
    graph.target.api = &boasting;
    nl_conv_candidates list = candidates(&graph, true);
    cr_assert(honest.count > 0 && list.count == honest.count, "%d, %d", list.count, honest.count);
    for (int i = 0; i < list.count; i++) cr_assert(!strcmp(list.tags[i], honest.tags[i]));
    nl_conv_candidates_free(&honest);
    nl_conv_candidates_free(&list);
    nl_conv_graph_close(&graph);
    nl_conv_target_close(&target);
}

Test(plans, a_tag_that_is_none_is_refused) {
    const nl_cudnn *api = cudnn();
    if (!api) cr_skip_test("no cuDNN");
    static const char *const tags[] = {"", "banana", "9999", "28 2=4 banana", "28 2"};
    nl_conv_target target = open_profile(api, "h100");
    nl_conv_graph graph = conv2(&target, NL_CONV_FORWARD);
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        nl_conv_exec exec;
        nl_error err = {0};
        cr_assert(nl_conv_exec_open(&exec, &graph, tags[i], &err) == NL_EDEVICE, "'%s'", tags[i]);
        cr_assert(err.what[0] && !exec.plan);
    }
    nl_conv_graph_close(&graph);
    nl_conv_target_close(&target);
}

/* ---- the cache file ----------------------------------------------------------------------------
 */

static void store(const char *device, const char *problem, const char *tag) {
    json_t *choices = json_pack("{s:s}", problem, tag);
    nl_plan_cache_store(device, choices);
    json_decref(choices);
}

Test(plans, the_cache_keeps_choices_by_device_and_problem) {
    char tag[NL_TAG] = "untouched", *dir = temp_dir_make();
    setenv("XDG_CACHE_HOME", dir, 1);
    cr_assert(!nl_plan_cache_find(tag, sizeof tag, "A", "p") && !strcmp(tag, "untouched"));
    store("A", "p", "1 2=3");
    store("A", "q", "gemm");
    store("B", "p", "7");
    store("A", "q", "8");
    cr_assert(nl_plan_cache_find(tag, sizeof tag, "A", "p") && !strcmp(tag, "1 2=3"));
    cr_assert(nl_plan_cache_find(tag, sizeof tag, "A", "q") && !strcmp(tag, "8"));
    cr_assert(nl_plan_cache_find(tag, sizeof tag, "B", "p") && !strcmp(tag, "7"));
    cr_assert(!nl_plan_cache_find(tag, sizeof tag, "B", "q"));
    temp_dir_remove(dir);
}

Test(plans, a_broken_cache_is_an_empty_one) {
    char path[512], tag[NL_TAG], *dir = temp_dir_make();
    setenv("XDG_CACHE_HOME", dir, 1);
    store("A", "p", "1");
    snprintf(path, sizeof path, "%s/normlab/conv-plans.json", dir);
    static const char *const broken[] = {"", "[]", "{\"A\": 3}", "{\"A\": {\"p\": 1}}", "{\"A\""};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        FILE *file = fopen(path, "w");
        cr_assert(file && fputs(broken[i], file) >= 0 && fclose(file) == 0);
        cr_assert(!nl_plan_cache_find(tag, sizeof tag, "A", "p"), "%s", broken[i]);
        store("A", "p", "2");
        cr_assert(nl_plan_cache_find(tag, sizeof tag, "A", "p") && !strcmp(tag, "2"));
    }
    temp_dir_remove(dir);
}

/* A library of that name without its functions stands in front of the machine's. */
Test(plans, a_cublas_that_cannot_be_used_is_said) {
    char command[1024], path[512], said[1024] = "", *dir = temp_dir_make();
    snprintf(command, sizeof command, "cc -shared -x c -o '%s/libcublas.so.13' /dev/null", dir);
    cr_assert(system(command) == 0, "%s", command);
    setenv("NORMLAB_LIBRARY_PATH", dir, 1);
    snprintf(path, sizeof path, "%s/said", dir);
    FILE *file = freopen(path, "w+", stderr);
    cr_assert(file);
    cr_expect(nl_gemm_open() == NULL);
    rewind(file);
    cr_expect(fread(said, 1, sizeof said - 1, file) > 0);
    cr_expect(strstr(said, "libcublas.so.13: warning: has no cublasCreate_v2: 1x1 convolutions"),
              "%s", said);
    temp_dir_remove(dir);
}

#else

#include "normlab/backend.h" // nl_backend_select
#include "support/program.h" // RUN_NORMLAB

/* A build without CUDA has nothing to plan for, and says so before it looks at the machine. */
Test(plans, skipped) {
    const nl_backend *backend = NULL;
    nl_error err = {0};
    int device = -1;
    program_result r = RUN_NORMLAB("--version");
    cr_assert(r.code == 0 && strstr(r.out, "cpu64") && !strstr(r.out, "cuda"), "%s", r.out);
    program_free(&r);
    cr_assert(nl_backend_select(&backend, &device, "cuda", &err) == NL_EDEVICE && !backend);
    cr_assert(strstr(err.what, "built without CUDA"), "%s", err.what);
    cr_assert(err.hint[0]);
}

#endif
