/* The model: the network table, the table of tensors and its arenas, initial values, and networks
 * that cannot be. */
#include <criterion/criterion.h>
#include <math.h>   // fabs, sqrt
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // strcmp

#include "normlab/model.h"
#include "normlab/rng.h" // nl_init_uniform
#include "support/config_text.h"

static nl_config config;
static nl_model model;
static nl_error err;

static const char *const variants[] = {"bn_l1", "bn", "ln", "gn", "none"};
enum { VARIANTS = sizeof variants / sizeof *variants };

static void build(const char *name, const char *const *sets) {
    config_text_variant(&config, NL_SOURCE_DIR, name, sets);
    cr_assert_eq(nl_model_build(&model, &config, 32, &err), NL_OK, "%s: %s", err.where, err.what);
}

/* --- Shapes ---------------------------------------------------------------------------------- */

Test(model, network_table) {
    static const struct {
        const char *label;
        int in_c, in_h, out_c, out_h, kernel, pad, stride, rf, jump, dropout;
        bool relu;
        int64_t macs;
    } rows[] = {
        {"conv1", 1, 28, 96, 28, 5, 2, 1, 5, 1, 0, true, 1881600},
        {"conv2", 96, 28, 16, 28, 1, 0, 1, 5, 1, 0, true, 1204224},
        {"pool3", 16, 28, 16, 14, 2, 0, 2, 6, 2, 1, false, 0},
        {"conv3", 16, 14, 16, 12, 3, 0, 1, 10, 2, 0, true, 331776},
        {"conv4", 16, 12, 8, 12, 1, 0, 1, 10, 2, 0, true, 18432},
        {"pool6", 8, 12, 8, 6, 2, 0, 2, 12, 4, 2, false, 0},
        {"conv5", 8, 6, 16, 4, 3, 0, 1, 20, 4, 0, true, 18432},
        {"conv6", 16, 4, 10, 2, 3, 0, 1, 28, 4, 0, false, 5760},
        {"pool9", 10, 2, 10, 1, 2, 0, 1, 32, 4, 0, false, 0},
    };
    for (int v = 0; v < VARIANTS; v++) {
        build(variants[v], NULL);
        cr_assert_eq(model.n_layers, 9);
        for (int i = 0; i < 9; i++) {
            const nl_layer *l = &model.layers[i];
            cr_expect_str_eq(l->label, rows[i].label);
            cr_expect_eq(l->in_c, rows[i].in_c, "%s", l->label);
            cr_expect(l->in_h == rows[i].in_h && l->in_w == rows[i].in_h, "%s", l->label);
            cr_expect_eq(l->out_c, rows[i].out_c, "%s", l->label);
            cr_expect(l->out_h == rows[i].out_h && l->out_w == rows[i].out_h, "%s", l->label);
            cr_expect_eq(l->kernel, rows[i].kernel, "%s", l->label);
            cr_expect_eq(l->pad, rows[i].pad, "%s", l->label);
            cr_expect_eq(l->stride, rows[i].stride, "%s", l->label);
            cr_expect_eq(l->rf, rows[i].rf, "%s", l->label);
            cr_expect_eq(l->jump, rows[i].jump, "%s", l->label);
            cr_expect_eq(l->dropout, rows[i].dropout, "%s", l->label);
            cr_expect_eq(l->relu, rows[i].relu, "%s", l->label);
            cr_expect_eq(l->macs, rows[i].macs, "%s", l->label);
        }
        cr_expect_eq(model.macs, 3460224);
        cr_expect_eq(model.n_params, strcmp(variants[v], "none") ? 9426 : 9122);
    }
}

Test(model, groups_of_each_norm) {
    static const int convs[] = {0, 1, 3, 4, 6}, channels[] = {96, 16, 16, 8, 16},
                     quarters[] = {24, 4, 4, 2, 4};
    for (int i = 0; i < 5; i++) {
        const nl_layer *l = &model.layers[convs[i]];
        build("gn", NULL);
        cr_expect_eq(l->norm->sets, NL_SETS_GROUPS);
        cr_expect_eq(l->groups, quarters[i]);
        build("ln", NULL);
        cr_expect_eq(l->norm->sets, NL_SETS_GROUPS);
        cr_expect_eq(l->groups, 1);
        build("ln", (const char *const[]){"model.norm=instance", NULL});
        cr_expect_eq(l->norm->sets, NL_SETS_GROUPS);
        cr_expect_eq(l->groups, channels[i]);
        build("bn", NULL);
        cr_expect_eq(l->norm->sets, NL_SETS_BATCH);
        build("none", NULL);
        cr_expect_null(l->norm);
    }
    cr_expect_null(model.layers[7].norm); /* conv6 has none in any variant */
}

/* Each value of nl_norm has its word in a config and its row in the table. */
Test(model, each_norm_has_a_name_and_a_row) {
    for (int i = NL_NORM_NONE + 1; i < NL_NORMS; i++) {
        const nl_norm_row *norm = nl_norm_find((nl_norm)i);
        char set[64];
        snprintf(set, sizeof set, "model.norm=%s", nl_norm_words[i]);
        build("ln", (const char *const[]){set, NULL});
        cr_expect_eq((int)config.model.norm, i, "%s", nl_norm_words[i]);
        cr_expect(model.layers[0].norm == norm && norm->paper, "%s", nl_norm_words[i]);
        cr_expect_eq(model.layers[0].r_var >= 0, norm->runs, "%s", nl_norm_words[i]);
    }
    cr_expect_null(nl_norm_find(NL_NORM_NONE));
}

static int load_layers(const char *sets, const char *layers) {
    char text[512];
    snprintf(text, sizeof text, "model:\n  norm: %s\n  group_size: 4\n  layers:\n%s", sets, layers);
    err = (nl_error){0};
    int code = config_text_load(&config, text, &err);
    if (!code) code = nl_model_build(&model, &config, 1, &err);
    return code;
}

Test(model, a_layer_names_its_own_norm) {
    static const char *const layers = "    - {conv: 6, kernel: 3, norm: batch}\n"
                                      "    - {conv: 7, kernel: 3, norm: rms}\n"
                                      "    - {conv: 8, kernel: 3, norm: group}\n"
                                      "    - {conv: 5, kernel: 3, norm: true}\n"
                                      "    - {conv: 5, kernel: 3, norm: none}\n"
                                      "    - {conv: 10, kernel: 3, norm: false}\n"
                                      "    - {pool: average}\n";
    static const nl_norm want[] = {NL_NORM_BATCH,    NL_NORM_RMS,  NL_NORM_GROUP,
                                   NL_NORM_INSTANCE, NL_NORM_NONE, NL_NORM_NONE};
    cr_assert_eq(load_layers("instance", layers), NL_OK, "%s: %s", err.where, err.what);
    for (int i = 0; i < 6; i++) cr_expect(model.layers[i].norm == nl_norm_find(want[i]), "%d", i);
    cr_expect_eq(model.layers[1].groups, 1);
    cr_expect_eq(model.layers[2].groups, 2);
    cr_expect_eq(model.layers[3].groups, 5);
    cr_assert_eq(load_layers("none", layers), NL_OK);
    cr_expect_null(model.layers[3].norm);
    /* group_size concerns layers with group norm alone, named so or by model.norm */
    cr_assert_eq(load_layers("group", layers), NL_EUSAGE);
    cr_expect(strstr(err.what, "conv4"), "%s", err.what);
    cr_expect_eq(load_layers("batch", "    - {conv: 10, kernel: 3, norm: bach}\n"
                                      "    - {pool: average}\n"),
                 NL_EUSAGE);
    cr_expect(strstr(err.what, "true | false | none | batch"), "%s", err.what);
}

/* One value a group says nothing to a norm that centres. */
Test(model, one_value_a_group_is_for_norms_that_do_not_centre) {
    static const char *const layers = "    - {conv: 1, kernel: 28, norm: true}\n"
                                      "    - {conv: 10, kernel: 1}\n"
                                      "    - {pool: average}\n";
    for (int i = NL_NORM_NONE + 1; i < NL_NORMS; i++) {
        const nl_norm_row *norm = nl_norm_find((nl_norm)i);
        if (i == NL_NORM_GROUP) continue; /* its groups are of 4 channels here */
        cr_expect_eq(load_layers(nl_norm_words[i], layers), norm->centres ? NL_EUSAGE : NL_OK, "%s",
                     nl_norm_words[i]);
    }
}

/* --- Tensors --------------------------------------------------------------------------------- */

Test(model, tensors_in_pytorch_order) {
    static const char *const layer1[] = {"conv1.weight", "conv1.bias",         "norm1.weight",
                                         "norm1.bias",   "norm1.running_mean", "norm1.running_var",
                                         "conv2.weight"};
    build("bn", NULL);
    cr_expect_eq(model.n_tensors, 5 * 6 + 2);
    for (int i = 0; i < 7; i++) cr_expect_str_eq(model.tensors[i].name, layer1[i]);
    cr_expect_str_eq(model.tensors[31].name, "conv6.bias");

    const nl_tensor *w = nl_model_find(&model, "conv3.weight");
    cr_assert(w);
    cr_expect(w->rank == 4 && w->shape[0] == 16 && w->shape[1] == 16 && w->shape[2] == 3 &&
              w->shape[3] == 3);
    const nl_tensor *mean = nl_model_find(&model, "norm4.running_mean");
    cr_assert(mean);
    cr_expect(mean->buffer && mean->rank == 1 && mean->shape[0] == 8 && mean->count == 8);
    cr_expect_null(nl_model_find(&model, "norm6.weight"));
    cr_expect_null(nl_model_find(&model, "conv1"));

    build("gn", NULL);
    cr_expect_eq(model.n_tensors, 5 * 4 + 2);
    cr_expect_null(nl_model_find(&model, "norm1.running_mean"));
    cr_expect_eq(model.buffers_size, 0);
    build("none", NULL);
    cr_expect_eq(model.n_tensors, 12);
}

Test(model, arenas_without_gaps_or_overlap) {
    for (int v = 0; v < VARIANTS; v++) {
        build(variants[v], NULL);
        int64_t end[2] = {0, 0}, params = 0;
        for (int i = 0; i < model.n_tensors; i++) {
            const nl_tensor *t = &model.tensors[i];
            int64_t count = 1;
            for (int k = 0; k < t->rank; k++) count *= t->shape[k];
            cr_expect_eq(t->count, count, "%s", t->name);
            cr_expect_eq(t->offset, (end[t->buffer] + 3) / 4 * 4, "%s", t->name);
            end[t->buffer] = t->offset + t->count;
            if (!t->buffer) params += t->count;
        }
        cr_expect_eq(model.n_params, params);
        cr_expect_eq(model.params_size, (end[0] + 3) / 4 * 4);
        cr_expect_eq(model.buffers_size, (end[1] + 3) / 4 * 4);
    }
}

Test(model, layers_know_their_tensors) {
    build("bn", NULL);
    for (int i = 0; i < model.n_layers; i++) {
        const nl_layer *l = &model.layers[i];
        const int index[6] = {l->weight, l->bias, l->gamma, l->beta, l->r_mean, l->r_var};
        static const char *const names[6] = {"conv%d.weight",       "conv%d.bias",
                                             "norm%d.weight",       "norm%d.bias",
                                             "norm%d.running_mean", "norm%d.running_var"};
        for (int k = 0; k < 6; k++) {
            char name[64];
            snprintf(name, sizeof name, "%.4s%d%s", names[k], l->conv, names[k] + 6);
            const nl_tensor *t = nl_model_find(&model, name);
            cr_expect_eq(index[k], t ? (int)(t - model.tensors) : -1, "%s", name);
        }
    }
}

/* --- Initial values -------------------------------------------------------------------------- */

typedef struct arenas {
    float *params, *buffers;
} arenas;

static arenas init(uint32_t seed) {
    arenas a = {.params = nl_alloc((size_t)model.params_size, sizeof(float), "params"),
                .buffers = nl_alloc((size_t)model.buffers_size, sizeof(float), "buffers")};
    memset(a.params, 0xff, (size_t)model.params_size * sizeof(float)); /* NaN */
    memset(a.buffers, 0xff, (size_t)model.buffers_size * sizeof(float));
    nl_model_init(&model, a.params, a.buffers, seed);
    return a;
}

static void release(arenas a) {
    free(a.params);
    free(a.buffers);
}

static void expect_all(const float *arena, int tensor, float value) {
    const nl_tensor *t = &model.tensors[tensor];
    for (int64_t i = 0; i < t->count; i++)
        cr_assert_eq(arena[t->offset + i], value, "%s[%d]", t->name, (int)i);
}

/* Each tensor has a stream of its own: by ordinal, weight or bias, and element. */
static void expect_drawn(const float *arena, const nl_layer *l, bool is_bias) {
    const nl_tensor *t = &model.tensors[is_bias ? l->bias : l->weight];
    float *drawn = nl_alloc((size_t)t->count, sizeof *drawn, "drawn");
    nl_init_uniform(drawn, t->count, (int64_t)l->in_c * l->kernel * l->kernel, 1, (uint32_t)l->conv,
                    is_bias);
    cr_expect(!memcmp(drawn, arena + t->offset, (size_t)t->count * sizeof *drawn), "%s", t->name);
    free(drawn);
}

static void expect_uniform(const float *arena, int tensor, double limit) {
    const nl_tensor *t = &model.tensors[tensor];
    double largest = 0, sum = 0;
    for (int64_t i = 0; i < t->count; i++) {
        const double x = arena[t->offset + i];
        cr_assert(fabs(x) <= limit, "%s[%d] is %g, limit %g", t->name, (int)i, x, limit);
        if (fabs(x) > largest) largest = fabs(x);
        sum += x;
    }
    const double sigma = limit / sqrt(3.0 * (double)t->count);
    cr_expect(fabs(sum / (double)t->count) < 5 * sigma, "%s has mean %g", t->name,
              sum / (double)t->count);
    if (t->count > 100) cr_expect(largest > 0.9 * limit, "%s reaches %g only", t->name, largest);
}

Test(model, initial_values) {
    build("bn", NULL);
    const arenas a = init(1);
    for (int i = 0; i < model.n_layers; i++) {
        const nl_layer *l = &model.layers[i];
        if (l->kind != NL_LAYER_CONV) continue;
        const double limit = 1 / sqrt((double)l->in_c * l->kernel * l->kernel);
        expect_uniform(a.params, l->weight, limit);
        expect_uniform(a.params, l->bias, limit);
        expect_drawn(a.params, l, false);
        expect_drawn(a.params, l, true);
        if (!l->norm) continue;
        expect_all(a.params, l->gamma, 1);
        expect_all(a.params, l->beta, 0);
        expect_all(a.buffers, l->r_mean, 0);
        expect_all(a.buffers, l->r_var, 1);
    }
    cr_assert_eq(model.params_size, 9428); /* two of padding, behind conv6.bias */
    cr_expect_eq(a.params[9426], 0.0f);
    cr_expect_eq(a.params[9427], 0.0f);
    release(a);
}

Test(model, variants_share_their_convolutions_and_seeds_do_not) {
    build("bn", NULL);
    const nl_model bn = model;
    const arenas a = init(3), other = init(4);
    build("gn", NULL);
    const arenas b = init(3);
    for (int i = 0; i < model.n_tensors; i++) {
        const nl_tensor *t = &model.tensors[i], *u = nl_model_find(&bn, t->name);
        cr_assert(u, "%s", t->name);
        const size_t bytes = (size_t)t->count * sizeof(float);
        cr_expect(!memcmp(b.params + t->offset, a.params + u->offset, bytes), "%s", t->name);
        if (!strncmp(t->name, "conv", 4))
            cr_expect(memcmp(b.params + t->offset, other.params + u->offset, bytes), "%s", t->name);
    }
    release(a);
    release(b);
    release(other);
}

/* --- Networks that cannot be ----------------------------------------------------------------- */

#define NET(norm, layers) "model:\n  norm: " norm "\n  group_size: 2\n  layers:\n" layers
#define END "    - {pool: average}\n"

Test(model, wrong_networks) {
    static const struct {
        const char *text;
        int line;
        const char *what;
    } cases[] = {
        {NET("none", "    - {conv: 10, kernel: 3}\n"), 5, "the last layer has to be"},
        {NET("none", END), 5, "ends with 1 channels and needs 10"},
        {NET("none", "    - {conv: 10, kernel: 3}\n" END "    - {conv: 10, kernel: 1}\n"), 7,
         "behind the global average pool"},
        {NET("none", "    - {conv: 10, kernel: 20}\n    - {conv: 10, kernel: 10}\n" END), 6,
         "conv2: its kernel 10 x 10 is larger than its padded input 9 x 9"},
        {NET("none", "    - {conv: 10, kernel: 28}\n    - {pool: max, size: 2}\n" END), 6,
         "pool2: its size 2 is larger than its input 1 x 1"},
        {NET("none", "    - {conv: 4096, kernel: 28}\n    - {conv: 4096, kernel: 28, pad: 27}\n"
                     "    - {conv: 10, kernel: 1}\n" END),
         6, "conv2: more than 67108864 parameters"},
        {NET("none", "    - {conv: 10, kernel: 28, pad: 27}\n    - {conv: 4096, kernel: 28, pad: "
                     "27}\n    - {conv: 10, kernel: 1}\n" END),
         6, "more than 16777216 elements"},
        {NET("group", "    - {conv: 9, kernel: 3, norm: true}\n    - {conv: 10, kernel: 1}\n" END),
         3, "model.group_size: 2 does not divide the 9 channels of conv1"},
        {NET("instance", "    - {conv: 10, kernel: 28, norm: true}\n" END), 5,
         "conv1: its norm would see one value a group"},
        {NET("layer", "    - {conv: 1, kernel: 28, norm: true}\n    - {conv: 10, kernel: 1}\n" END),
         5, "conv1: its norm would see one value a group"},
    };
    char place[32];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_eq(config_text_load(&config, cases[i].text, &err), NL_EUSAGE, "%s",
                     cases[i].text);
        snprintf(place, sizeof place, "x.yaml:%d", cases[i].line);
        cr_expect(strstr(err.where, place), "%s: where is %s", cases[i].text, err.where);
        cr_expect(strstr(err.what, cases[i].what), "%s: what is %s", cases[i].text, err.what);
    }
}

/* Padding and pooling in turn: the map stays small, the jump grows without end. */
Test(model, endless_receptive_field) {
    char text[4096] = "model:\n  norm: none\n  layers:\n";
    for (int i = 0; i < 30; i++)
        strcat(text, "    - {conv: 10, kernel: 28, pad: 27}\n    - {pool: max, size: 28}\n");
    strcat(text, END);
    cr_expect_eq(config_text_load(&config, text, &err), NL_EUSAGE);
    cr_expect(strstr(err.what, "receptive field is beyond"), "%s", err.what);
}

/* A map of 1 x 1 gives batch norm one value a channel, where the batch has one image. */
Test(model, batch_norm_of_one_value) {
    cr_assert_eq(config_text_load(
                     &config, NET("batch", "    - {conv: 10, kernel: 28, norm: true}\n" END), &err),
                 NL_OK);
    cr_expect_eq(nl_model_build(&model, &config, 0, &err), NL_OK);
    cr_expect_eq(nl_model_build(&model, &config, 2, &err), NL_OK);
    cr_expect_eq(nl_model_build(&model, &config, 1, &err), NL_EUSAGE);
    cr_expect(strstr(err.where, "x.yaml:5"), "%s", err.where);
    cr_expect(strstr(err.what, "conv1: batch norm would see one value a channel"), "%s", err.what);

    build("bn", NULL); /* its smallest map is 4 x 4 */
    cr_expect_eq(nl_model_build(&model, &config, 1, &err), NL_OK);
}
