/* The CUDA engine with the first block's own kernels: whole runs of the published networks against
 * double precision, random networks both ways, and how the way is chosen. Runs on a GPU where there
 * is one, and on the CPU in the build that runs the kernels there. tests/simt also runs
 * test_engine_cuda with NORMLAB_FIRST_BLOCK=1.
 */
#include <criterion/criterion.h>
#include <math.h>   // NAN
#include <stdio.h>  // printf
#include <stdlib.h> // setenv
#include <string.h> // strstr

#include <jansson.h> // json_is_string

#include "cuda/first_way.h" // nl_first_way_choose
#include "normlab/random_net.h"
#include "support/memory_run.h"

enum { STEPS = 20, BATCH = 2 };

#define NEED_DEVICE()                                                                              \
    do {                                                                                           \
        nl_error no_device;                                                                        \
        if (nl_cuda_probe(0, &no_device)) cr_skip_test("no GPU");                                  \
    } while (0)

// --- the published networks ----------------------------------------------------------------------

/* way: of the first block, which the engine has to have taken; NULL: it has none. */
static void train(const nl_backend *backend, memory_run *r, nl_step_record *records,
                  const char *way) {
    memory_engine e = memory_engine_open(r, backend);
    char *plan = way ? backend->plan(e.engine) : NULL;
    cr_assert(!way || strstr(plan, way), "%s", plan);
    free(plan);
    memory_engine_steps(&e, 0, STEPS, records);
    memory_engine_close(&e);
}

static void check_losses(const char *config) {
    static nl_step_record got[STEPS], want[STEPS];
    memory_run r;
    memory_run_open(&r, config, STEPS * BATCH, "data.batch=2", NULL);
    setenv("NORMLAB_FIRST_BLOCK", "1", 1);
    train(&nl_backend_cuda, &r, got, "\"way\": \"own\"");
    unsetenv("NORMLAB_FIRST_BLOCK");
    train(&nl_backend_cpu64, &r, want, NULL);
    const double worst = memory_losses_agree(config, got, want, STEPS);
    printf("first block: %s: %d steps, losses within %.2g of double precision's\n", config, STEPS,
           worst);
    fflush(stdout);
    memory_run_close(&r);
}

Test(first_block_cuda, losses_of_bn_l1) {
    NEED_DEVICE();
    check_losses("bn_l1");
}

Test(first_block_cuda, losses_of_ln) {
    NEED_DEVICE();
    check_losses("ln");
}

Test(first_block_cuda, losses_of_gn) {
    NEED_DEVICE();
    check_losses("gn");
}

// --- random networks ------------------------------------------------------------------------------

static void check_both(nl_random_net *net, nl_norm norm) {
    nl_random_outcome outcome;
    nl_error err = {0};
    for (net->first_block = NL_FIRST_GENERAL; net->first_block <= NL_FIRST_OWN; net->first_block++)
        cr_assert(!nl_random_net_check(net, &nl_backend_cuda, &outcome, &err),
                  "%s, seed %u, way %d: %s: %s", nl_norm_words[norm], net->seed, net->first_block,
                  err.where, err.what);
}

/* The executor's other schedules (tests/simt) train other networks. */
Test(first_block_cuda, random_networks_both_ways) {
    NEED_DEVICE();
    const char *schedule = getenv("NL_SIMT_SCHEDULE");
    uint32_t seed = 1000 * (1 + (schedule ? (uint32_t)strtoul(schedule, NULL, 10) : 0));
    for (nl_norm norm = 0; norm < NL_NORMS; norm++) {
        nl_random_net net;
        for (int found = 0; found < 2; seed++) {
            if (!nl_random_net_first_block(&net, seed, 8000, norm)) continue;
            found++;
            check_both(&net, norm);
        }
    }
}

// --- the way -------------------------------------------------------------------------------------

/* A network small enough to be timed in a test, or any other that is given. */
static void open_small(memory_run *r, uint32_t images, const char *set) {
    memory_run_open(r, "bn_l1", images, "data.batch=1", "data.rotate=0", set, NULL);
    nl_layer_spec *l = r->config.model.layers;
    for (int i = 0; i < r->config.model.n_layers; i++)
        if (l[i].kind == NL_LAYER_CONV && l[i].out > 10) l[i].out = 4;
    memory_run_rebuild(r);
}

/* What the plan says of an engine's first block; the caller frees. */
static char *plan_of(memory_run *r, const char *plan, bool autotune, bool cached, int want) {
    nl_engine_spec spec = {.config = &r->config,
                           .model = &r->model,
                           .data = &r->data,
                           .seed = 1,
                           .threads = 1,
                           .autotune = autotune,
                           .cached = cached,
                           .plan = plan};
    nl_engine *engine;
    nl_error err = {0};
    const int code = nl_backend_cuda.open(&engine, &spec, &err);
    cr_assert_eq(code, want, "%d, not %d: %s: %s", code, want, err.where, err.what);
    if (code) {
        cr_assert(strstr(err.where, "NORMLAB_FIRST_BLOCK"), "%s", err.where);
        return NULL;
    }
    char *text = nl_backend_cuda.plan(engine);
    nl_backend_cuda.close(engine);
    return text;
}

static void expect(memory_run *r, const char *plan, bool autotune, bool cached, const char *way,
                   const char *why) {
    char *text = plan_of(r, plan, autotune, cached, NL_OK), want[64];
    snprintf(want, sizeof want, "\"way\": \"%s\"", way);
    cr_assert(strstr(text, want), "%s, not %s", text, want);
    snprintf(want, sizeof want, "\"why\": \"%s\"", why);
    cr_assert(strstr(text, want), "%s, not %s", text, want);
    free(text);
}

static const char plan_general[] = "{\"plans\": {}, \"first_block\": {\"way\": \"general\"}}";
static const char plan_own[] = "{\"plans\": {}, \"first_block\": {\"way\": \"own\"}}";

Test(first_block_cuda, what_says_which_way) {
    NEED_DEVICE();
    memory_run r;
    open_small(&r, 4, "model.norm=layer");
    expect(&r, NULL, false, false, "general", "--no-autotune");
    setenv("NORMLAB_FIRST_BLOCK", "1", 1);
    expect(&r, NULL, false, false, "own", "NORMLAB_FIRST_BLOCK");
    expect(&r, plan_own, false, false, "own", "resumed run");
    cr_assert_null(plan_of(&r, plan_general, false, false, NL_EUSAGE));
    cr_assert_null(plan_of(&r, "{\"plans\": {}}", false, false, NL_EUSAGE), "one of before");
    setenv("NORMLAB_FIRST_BLOCK", "0", 1);
    expect(&r, NULL, true, false, "general", "NORMLAB_FIRST_BLOCK");
    cr_assert_null(plan_of(&r, plan_own, false, false, NL_EUSAGE));
    setenv("NORMLAB_FIRST_BLOCK", "yes", 1);
    cr_assert_null(plan_of(&r, NULL, false, false, NL_EUSAGE));
    unsetenv("NORMLAB_FIRST_BLOCK");
    expect(&r, plan_own, true, false, "own", "resumed run");
    expect(&r, plan_general, true, false, "general", "resumed run");
    memory_run_close(&r);
}

Test(first_block_cuda, what_allows_no_choice) {
    NEED_DEVICE();
    memory_run r;
    setenv("NORMLAB_FIRST_BLOCK", "1", 1);
    open_small(&r, 4, "train.math=tf32");
    expect(&r, NULL, true, false, "general", "math");
    memory_run_close(&r);
    open_small(&r, 4, "model.norm=layer");
    r.config.model.layers[0].kernel = 7;
    r.config.model.layers[0].pad = 3;
    memory_run_rebuild(&r);
    expect(&r, NULL, true, false, "general", "network");
    memory_run_close(&r);
}

static struct {
    double seconds[2], loss[2];
    int code, calls;
} played;

static int play(double *seconds, double *loss, const nl_engine_spec *spec, const nl_k_first *own,
                nl_error *err) {
    (void)spec;
    played.calls++;
    *seconds = played.seconds[own != NULL];
    *loss = played.loss[own != NULL];
    return own && played.code ? nl_fail(err, played.code, "played", "no such kernel") : NL_OK;
}

/* A choice among ways that take so long and give such losses, with a cache of its own. */
static nl_first_way choose(double general, double own_seconds, double general_loss, double own_loss,
                           int own_code) {
    char folder[] = "/tmp/normlab-first-XXXXXX", command[64];
    cr_assert_not_null(mkdtemp(folder));
    setenv("XDG_CACHE_HOME", folder, 1);
    memory_run r;
    open_small(&r, 120, "model.norm=group");
    const nl_engine_spec spec = {
        .config = &r.config, .model = &r.model, .data = &r.data, .autotune = true};
    nl_first_way way, again;
    nl_error err = {0};
    played.seconds[0] = general, played.seconds[1] = own_seconds;
    played.loss[0] = general_loss, played.loss[1] = own_loss;
    played.code = own_code, played.calls = 0;
    cr_assert(!nl_first_way_choose(&way, &spec, play, &err), "%s", err.what);
    cr_assert(!nl_first_way_choose(&again, &spec, play, &err), "%s", err.what);
    cr_assert(played.calls == 2 && again.own == way.own, "%d calls", played.calls);
    cr_assert_str_eq(again.why, "plan cache");
    memory_run_close(&r);
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert(system(command) == 0);
    return way;
}

Test(first_block_cuda, the_faster_way_whose_loss_agrees) {
    NEED_DEVICE();
    cr_assert(choose(2e-4, 1e-4, 2.3, 2.3 * (1 + 9e-6), NL_OK).own);
    cr_assert(!choose(1e-4, 2e-4, 2.3, 2.3, NL_OK).own);
    nl_first_way way = choose(2e-4, 1e-4, 2.3, 2.3 * (1 + 1.1e-5), NL_OK);
    cr_assert(!way.own && way.apart > 1e-5, "%g", way.apart);
    cr_assert_str_eq(way.why, "losses differ");
    way = choose(2e-4, 1e-4, 2.3, NAN, NL_OK);
    json_t *told = nl_first_way_json(&way);
    cr_assert(!way.own && json_is_string(json_object_get(told, "losses_apart")));
    json_decref(told);
    way = choose(2e-4, 1e-4, 2.3, 2.3, NL_EDEVICE);
    cr_assert(!way.own);
    cr_assert_str_eq(way.why, "own kernels failed");
}

/* Timed once, then taken from the cache, by eval too; not where there is nothing in it. */
Test(first_block_cuda, timed_once_and_kept) {
    NEED_DEVICE();
    char folder[] = "/tmp/normlab-first-XXXXXX", path[96], text[4096] = "";
    cr_assert_not_null(mkdtemp(folder));
    setenv("XDG_CACHE_HOME", folder, 1);
    memory_run r;
    open_small(&r, 4, "model.norm=layer");
    expect(&r, NULL, true, false, "general", "not timed here"); /* too few steps */
    memory_run_close(&r);
    open_small(&r, 120, "model.norm=layer");
    expect(&r, NULL, false, true, "general", "not timed here");
    char *timed = plan_of(&r, NULL, true, false, NL_OK);
    cr_assert(strstr(timed, "\"why\": \"timed\"") && strstr(timed, "\"seconds\""), "%s", timed);
    const char *way = strstr(timed, "\"way\": \"own\"") ? "own" : "general";
    expect(&r, NULL, true, false, way, "plan cache");
    expect(&r, NULL, false, true, way, "plan cache");
    memory_run_close(&r);
    snprintf(path, sizeof path, "%s/normlab/conv-plans.json", folder);
    FILE *file = fopen(path, "r");
    cr_assert(file && fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    cr_assert(strstr(text, "first block, normlab") && strstr(text, "layer"), "%s", text);
    free(timed);
    snprintf(path, sizeof path, "rm -r %s", folder);
    cr_assert(system(path) == 0);
}
