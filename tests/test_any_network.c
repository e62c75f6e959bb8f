/* Random networks of the config's language: the CPU's engine trains each as double precision does.
 * scripts/any-network.sh runs more of them; tests/simt/test_any_network_cuda.c those of the CUDA
 * engine. */
#include <criterion/criterion.h>
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // strcmp

#include "config/config_keys.h" // nl_config_keys
#include "../src/host/verify/step_truth.h"
#include "normlab/rng.h" // nl_epoch_order
#include "support/survey.h"
#include "support/isa.h" // TEST_IN_EACH_SET

enum { MACS = 150000 }; /* of an image, roughly */

static void trains_on_the_cpu_as_in_double_precision(void) {
    static survey s;
    survey_run(&s, &nl_backend_cpu, survey_first(), survey_count(100), MACS);
    survey_print(&s);
    cr_assert_eq(s.failed, 0, "%d of %d networks failed; %s", s.failed, s.networks,
                 s.first_failure);
}

TEST_IN_EACH_SET(any_network, trains_on_the_cpu_as_in_double_precision)

/* ---- the draws ---------------------------------------------------------------------------------
 */

/* What the tables of config_keys.c list and no network has would be tested nowhere. */
Test(any_network, every_key_is_given_in_the_file_and_by_set) {
    static survey s;
    survey_draw(&s, 1, 100, MACS);
    for (int i = 0; i < nl_config_key_count; i++) {
        char name[64];
        snprintf(name, sizeof name, "--set %s", nl_config_keys[i].name);
        cr_assert(survey_kind(&s, nl_config_keys[i].name) > 0, "%s", nl_config_keys[i].name);
        cr_assert(survey_kind(&s, name) > 0, "%s", name);
    }
    for (int i = 0; i < nl_layer_key_count; i++) {
        char name[64];
        snprintf(name, sizeof name, "layer %s", nl_layer_keys[i].name);
        cr_assert(survey_kind(&s, name) > 0, "%s", name);
    }
    for (int i = 0; i < s.n_kinds; i++)
        cr_assert(s.kinds[i].count > 0, "no network is of the kind '%s'", s.kinds[i].name);
}

Test(any_network, a_seed_is_one_network) {
    for (uint32_t seed = 1; seed <= 300; seed++) {
        nl_random_net a, b;
        nl_random_net_draw(&a, seed, MACS);
        nl_random_net_draw(&b, seed, MACS);
        char *sets_a, *sets_b, *text_a = nl_random_net_text(&a, &sets_a),
                               *text_b = nl_random_net_text(&b, &sets_b);
        cr_assert(!strcmp(text_a, text_b) && !strcmp(sets_a, sets_b), "seed %u", seed);
        free(text_a), free(text_b), free(sets_a), free(sets_b);
    }
}

/* ---- what is found -----------------------------------------------------------------------------
 */

static const nl_model *spoiled_model;

static int spoiled_open(nl_engine **engine, const nl_engine_spec *spec, nl_error *err) {
    spoiled_model = spec->model;
    return nl_backend_plain.open(engine, spec, err);
}

/* The last gradient of the first convolution is wrong by a thousandth where there is a pool. */
static int spoiled_get_state(nl_engine *engine, const nl_state *state, nl_error *err) {
    const int code = nl_backend_plain.get_state(engine, state, err);
    const nl_layer *conv = NULL;
    bool pool = false;
    for (int i = spoiled_model->n_layers - 1; i >= 0; i--) {
        if (spoiled_model->layers[i].kind == NL_LAYER_CONV) conv = &spoiled_model->layers[i];
        pool = pool || spoiled_model->layers[i].kind == NL_LAYER_MAX_POOL;
    }
    const nl_tensor *w = &spoiled_model->tensors[conv->weight];
    if (pool) ((float *)state->momentum)[w->offset + w->count - 1] += 1e-3F;
    return code;
}

Test(any_network, a_wrong_engine_is_found_and_the_network_shrunk) {
    static survey s;
    nl_backend spoiled = nl_backend_plain;
    spoiled.open = spoiled_open;
    spoiled.get_state = spoiled_get_state;
    survey_run(&s, &spoiled, 1, 20, 10000);
    cr_assert_eq(s.failed, survey_kind(&s, "layer size"), "%d of %d with a pool", s.failed,
                 survey_kind(&s, "layer size"));
    for (uint32_t seed = 1; seed <= 20; seed++) {
        nl_random_net net;
        nl_random_outcome outcome;
        nl_random_net_draw(&net, seed, 10000);
        if (nl_random_net_check(&net, &spoiled, &outcome, NULL) == NL_OK) continue;
        survey_shrink(&net, &spoiled);
        cr_assert_eq(net.n_layers, 3, "seed %u: a convolution, a pool and the average", seed);
        cr_assert(net.images <= 2 && net.steps == 1);
    }
}

/* ---- ties --------------------------------------------------------------------------------------
 */

typedef struct step {
    nl_config config;
    nl_model model;
    nl_dataset data;
    nl_engine_spec spec;
    uint32_t order[NL_RANDOM_IMAGES];
    nl_epoch epoch;
    float *params, *buffers;
    nl_step_truth truth;
} step;

static void open_step(step *s, uint32_t seed) {
    nl_random_net net;
    memset(s, 0, sizeof *s);
    nl_random_net_draw(&net, seed, 20000);
    cr_assert_eq(nl_random_net_load(&s->config, &s->model, &net, NULL), NL_OK);
    nl_random_net_data(&s->data, &net, &s->model.picture);
    s->spec = (nl_engine_spec){.config = &s->config, .model = &s->model, .data = &s->data};
    nl_epoch_order(s->order, net.images, 1, 0, true);
    s->epoch = (nl_epoch){.lr = 0.01, .order = s->order};
    s->params = nl_alloc((size_t)s->model.params_size, sizeof(float), "weights");
    s->buffers = nl_alloc((size_t)s->model.buffers_size, sizeof(float), "running values");
    nl_model_init(&s->model, s->params, s->buffers, seed);
    nl_truth_open(&s->truth, &s->spec, s->params, s->buffers, &s->epoch);
}

static void close_step(step *s) {
    nl_truth_close(&s->truth);
    nl_dataset_free(&s->data);
    free(s->params);
    free(s->buffers);
}

/* A step that has decided otherwise at some of these places. */
static double distance_with(step *s, const nl_flip *flips, int count, int *ties) {
    int worst;
    double *left = nl_alloc((size_t)s->truth.size, sizeof *left, "step");
    nl_probe_step_f64(left, s->truth.probe, flips, count);
    const double distance = nl_truth_distance(&s->truth, left, &worst, ties);
    free(left);
    return distance;
}

enum { MOST_TIES = 60 }; /* each costs a backward pass */

/* Places of ReLUs and pools that are decided by so many times the tolerance, and where the other
 * decision shows. */
static int find_places(step *s, nl_flip *flips, int most, double times) {
    nl_flips all = {0};
    int found = 0;
    for (int i = 0; i < s->model.n_layers; i++) s->truth.tolerance[i] *= times;
    nl_truth_ties(&all, &s->truth);
    for (int i = 0; i < s->model.n_layers; i++) s->truth.tolerance[i] /= times;
    for (int i = 0; all.count <= MOST_TIES && i < all.count && found < most; i++) {
        int ties;
        const nl_flip f = all.list[i];
        if (found > 0 && flips[found - 1].layer == f.layer && flips[found - 1].at == f.at) continue;
        if (distance_with(s, &f, 1, &ties) > 1) flips[found++] = f;
    }
    free(all.list);
    return found;
}

/* With a tolerance 30 times as large two places are ties, and each may be decided either way; with
 * the true one they are not. */
Test(any_network, ties_are_recognised_by_their_values) {
    int relus = 0, pools = 0;
    for (uint32_t seed = 1; seed <= 60; seed++) {
        static step s;
        nl_flip flips[2];
        int ties;
        open_step(&s, seed);
        const double times = 30;
        const int found = find_places(&s, flips, 2, times);
        if (found > 0) cr_assert(distance_with(&s, flips, found, &ties) > 1, "seed %u", seed);
        for (int i = 0; i < s.model.n_layers; i++) s.truth.tolerance[i] *= times;
        for (int count = 1; count <= found; count++) {
            const double distance = distance_with(&s, flips, count, &ties);
            cr_assert(distance <= 1 && ties >= 1, "seed %u, %d places: %g of the bound, %d ties",
                      seed, count, distance, ties);
            const bool relu = s.model.layers[flips[count - 1].layer].kind == NL_LAYER_CONV;
            relus += relu;
            pools += !relu;
        }
        close_step(&s);
    }
    cr_assert(relus >= 10 && pools >= 10, "%d ReLUs, %d pools", relus, pools);
}
