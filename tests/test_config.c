/* The config: the five of configs/, defaults, --set, the learning rate, the help. */
#include <criterion/criterion.h>
#include <math.h>   // fabs
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // strstr

#include "normlab/model.h" // nl_model_check
#include "config/config_keys.h"
#include "support/config_text.h"

static nl_config config;
static nl_error err;

static int load_text(const char *text) {
    return config_text_load(&config, text, &err);
}

static void load_good(const char *name) {
    config_text_variant(&config, NL_SOURCE_DIR, name, NULL);
}

/* --- Good files ------------------------------------------------------------------------------ */

Test(config, the_published_variants) {
    static const struct {
        const char *name;
        nl_norm norm;
        double l1;
    } variants[] = {{"bn_l1", NL_NORM_BATCH, 0.001},
                    {"bn", NL_NORM_BATCH, 0},
                    {"ln", NL_NORM_LAYER, 0},
                    {"gn", NL_NORM_GROUP, 0},
                    {"none", NL_NORM_NONE, 0}};
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        load_good(variants[i].name);
        cr_expect_eq(config.model.norm, variants[i].norm, "%s", variants[i].name);
        cr_expect_eq(config.train.l1, variants[i].l1, "%s", variants[i].name);
        cr_expect_eq(config.data.picture.mean.of[0], 0.1307);
        cr_expect_eq(config.data.picture.std.of[0], 0.3081);
        cr_expect_eq(config.data.rotate, 7.0);
        cr_expect(config.data.shuffle);
        cr_expect_eq(config.data.batch, 64);
        cr_expect_eq(config.model.group_size, 4);
        cr_expect_eq(config.model.eps, 1e-5);
        cr_expect_eq(config.model.dropout, 0.05);
        cr_expect_eq(config.model.n_layers, 9);
        cr_expect_eq(config.train.epochs, 20);
        cr_expect_eq(config.train.lr, 0.01);
        cr_expect_eq(config.train.momentum, 0.9);
        cr_expect_not(config.train.nesterov);
        cr_expect_eq(config.train.weight_decay, 0.0);
        cr_expect_eq(config.train.norm_momentum, 0.1);
        cr_expect_eq(config.train.schedule.kind, NL_SCHEDULE_STEP);
        cr_expect_eq(config.train.schedule.every, 5);
        cr_expect_eq(config.train.schedule.factor, 0.1);
        cr_expect_eq(config.train.seed, 1u);
        cr_expect_eq(config.train.math, NL_MATH_FP32);
    }
}

Test(config, layers_as_listed) {
    load_good("gn");
    const nl_layer_spec *l = config.model.layers;
    cr_expect_eq(l[0].kind, NL_LAYER_CONV);
    cr_expect_eq(l[0].out, 96);
    cr_expect_eq(l[0].kernel, 5);
    cr_expect_eq(l[0].pad, 2);
    cr_expect(l[0].norm && l[0].relu);
    cr_expect_eq(l[2].kind, NL_LAYER_MAX_POOL);
    cr_expect_eq(l[2].size, 2);
    cr_expect(l[2].dropout);
    cr_expect_eq(l[7].out, 10);
    cr_expect(!l[7].norm && !l[7].relu && l[7].pad == 0);
    cr_expect_eq(l[8].kind, NL_LAYER_AVG_POOL);
    cr_expect_eq(l[1].line, l[0].line + 1);
}

Test(config, what_a_file_leaves_out_has_its_default) {
    load_good("bn"); /* which spells out every default */
    const nl_config all = config;
    cr_assert_eq(load_text(SMALL_NET), NL_OK, "%s: %s", err.where, err.what);
    cr_expect_eq(config.data.batch, all.data.batch);
    cr_expect_eq(config.data.picture.std.of[0], all.data.picture.std.of[0]);
    cr_expect_eq(config.model.norm, all.model.norm);
    cr_expect_eq(config.model.eps, all.model.eps);
    cr_expect_eq(config.train.lr, all.train.lr);
    cr_expect_eq(config.train.schedule.factor, all.train.schedule.factor);
    cr_expect_eq(config.train.seed, all.train.seed);
    cr_expect_str_eq(config.name, "x");
}

Test(config, ways_to_write_a_number) {
    static const struct {
        const char *text;
        double value;
    } cases[] = {{"1e-5", 1e-5}, {"1E-5", 1e-5}, {"+0.5", 0.5}, {".25", 0.25},        {"3.", 3},
                 {"0.1", 0.1},   {"1e+2", 100},  {"007", 7},    {"0.000000001", 1e-9}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        snprintf(text, sizeof text, "train:\n  lr: %s # a comment\n" SMALL_NET, cases[i].text);
        cr_assert_eq(load_text(text), NL_OK, "%s: %s", cases[i].text, err.what);
        cr_expect_eq(config.train.lr, cases[i].value, "%s", cases[i].text);
    }
    /* block style, quoted words, Windows line ends */
    cr_assert_eq(load_text("model:\r\n  norm: \"group\"\r\n  group_size: 5\r\n  layers:\r\n"
                           "    - conv: 10\r\n      kernel: 1\r\n      norm: true\r\n"
                           "    - pool: average\r\n"),
                 NL_OK, "%s: %s", err.where, err.what);
    cr_expect_eq(config.model.norm, NL_NORM_GROUP);
}

/* --- --set ----------------------------------------------------------------------------------- */

Test(config, set_overrides_and_the_last_counts) {
    load_good("bn_l1");
    cr_assert_eq(nl_config_set(&config, "train.l1=0", &err), NL_OK);
    cr_assert_eq(nl_config_set(&config, "model.norm=layer", &err), NL_OK);
    cr_assert_eq(nl_config_set(&config, "model.norm=group", &err), NL_OK);
    cr_assert_eq(nl_config_set(&config, "train.schedule.kind=cosine", &err), NL_OK);
    cr_assert_eq(nl_config_set(&config, "data.shuffle=false", &err), NL_OK);
    cr_assert_eq(nl_config_set(&config, "train.seed=4294967295", &err), NL_OK);
    cr_assert_eq(nl_config_check(&config, &err), NL_OK);
    cr_expect_eq(config.train.l1, 0.0);
    cr_expect_eq(config.model.norm, NL_NORM_GROUP);
    cr_expect_eq(config.train.schedule.kind, NL_SCHEDULE_COSINE);
    cr_expect_not(config.data.shuffle);
    cr_expect_eq(config.train.seed, UINT32_MAX);
}

Test(config, wrong_set) {
    static const struct {
        const char *assignment, *what, *hint;
    } cases[] = {
        {"train.l1", "not of the form KEY=VALUE", "--set"},
        {"=3", "not of the form KEY=VALUE", "--set"},
        {"train.l11=0", "train.l11: unknown key", "train.l1?"},
        {"l1=0", "l1: unknown key", "train.l1"},
        {"train.l1=0x", "train.l1: '0x' is not a number; allowed: number, 0 or more", NULL},
        {"train.l1=", "train.l1: '' is not a number", NULL},
        {"train.l1= 0", "train.l1: ' 0' is not a number", NULL},
        {"train.l1 =0", "train.l1 : unknown key", NULL},
        {"model.norm=Group", "none | batch | layer | group | instance | rms", NULL},
        {"model.norm=", "model.norm: '' is not", NULL},
        {"model.dropout=1", "model.dropout: '1' is out of range", NULL},
        {"model=3", "model: a section", NULL},
        {"model.layers=3", "model.layers: layers are set in the config file", NULL},
        {"name=x", "name: unknown key", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        load_good("gn");
        const nl_config before = config;
        cr_expect_eq(nl_config_set(&config, cases[i].assignment, &err), NL_EUSAGE, "%s",
                     cases[i].assignment);
        cr_expect_str_eq(err.where, "--set");
        cr_expect(strstr(err.what, cases[i].what), "%s: %s", cases[i].assignment, err.what);
        cr_expect(!cases[i].hint || strstr(err.hint, cases[i].hint), "%s: hint is %s",
                  cases[i].assignment, err.hint);
        cr_expect(!memcmp(&before, &config, sizeof config), "%s: changed", cases[i].assignment);
    }
}

Test(config, a_group_size_that_does_not_divide_names_where_it_came_from) {
    load_good("gn");
    cr_assert_eq(nl_config_set(&config, "model.group_size=3", &err), NL_OK);
    cr_expect_eq(nl_model_check(&config, &err), NL_EUSAGE);
    cr_expect_str_eq(err.where, "--set");
    cr_expect_str_eq(err.what, "model.group_size: 3 does not divide the 16 channels of conv2");

    cr_expect_eq(load_text("model:\n  norm: group\n  group_size: 3\n  layers:\n"
                           "    - {conv: 10, kernel: 3, norm: true}\n    - {pool: average}\n"),
                 NL_EUSAGE);
    cr_expect(config_text_ends(err.where, "x.yaml:3"), "%s", err.where);
}

/* --- The rest -------------------------------------------------------------------------------- */

static void expect_near(double value, double expected) {
    cr_expect(fabs(value - expected) <= 1e-15 * fabs(expected), "%.17g, not %.17g", value,
              expected);
}

Test(config, learning_rates) {
    load_good("bn");
    static const double steps[] = {1e-2, 1e-3, 1e-4, 1e-5};
    for (int epoch = 0; epoch < 20; epoch++)
        expect_near(nl_config_lr(&config, epoch), steps[epoch / 5]);
    cr_expect_eq(nl_config_lr(&config, 0), 0.01);

    cr_assert_eq(nl_config_set(&config, "train.schedule.kind=constant", &err), NL_OK);
    cr_expect_eq(nl_config_lr(&config, 19), 0.01);

    cr_assert_eq(nl_config_set(&config, "train.schedule.kind=cosine", &err), NL_OK);
    cr_expect_eq(nl_config_lr(&config, 0), 0.01);
    expect_near(nl_config_lr(&config, 5), 0.005 * (1 + 0.70710678118654752));
    expect_near(nl_config_lr(&config, 10), 0.005);
    expect_near(nl_config_lr(&config, 15), 0.005 * (1 - 0.70710678118654752));
    cr_expect(nl_config_lr(&config, 19) > 0 && nl_config_lr(&config, 19) < 1e-4);
}

Test(config, help_has_a_line_for_each_key) {
    char *help = nl_config_help();
    static const char *const parts[] = {"data.rotate ",
                                        "0 to 180",
                                        "model.norm ",
                                        "none | batch | layer | group | instance",
                                        "train.schedule.factor ",
                                        "train.seed "};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cr_expect(strstr(help, parts[i]), "%s is missing in\n%s", parts[i], help);
    int lines = 0;
    for (const char *at = help; (at = strchr(at, '\n')); at++) lines++;
    cr_expect_geq(lines, 21);
    free(help);
}

/* --- Comparing ------------------------------------------------------------------------------- */

/* Changes the value of a key in memory to the nearest other one. */
static void change(nl_config *to, const nl_key *key) {
    void *at = (char *)to + key->offset;
    switch (key->type) {
    case NL_KEY_BOOL:
        *(bool *)at = !*(bool *)at;
        break;
    case NL_KEY_REAL:
        *(double *)at = nextafter(*(double *)at, INFINITY);
        break;
    case NL_KEY_SEED:
        ++*(uint32_t *)at;
        break;
    default:
        ++*(int *)at;
    }
}

Test(config, each_key_is_compared) {
    const char *keys[NL_MAX_KEYS + 1];
    load_good("gn");
    nl_config other = config;
    snprintf(other.name, sizeof other.name, "another name");
    other.lines[0] = 77;
    other.model.layers[2].line = 77;
    cr_assert_eq(nl_config_differences(keys, &config, &other), 0);
    for (int i = 0; i < nl_config_key_count; i++) {
        nl_config changed = other;
        change(&changed, &nl_config_keys[i]);
        cr_assert_eq(nl_config_differences(keys, &config, &changed), 1, "%s",
                     nl_config_keys[i].name);
        cr_expect_str_eq(keys[0], nl_config_keys[i].name);
    }
    for (int i = 0; i < nl_config_key_count; i++) change(&other, &nl_config_keys[i]);
    other.model.n_layers--;
    cr_assert_eq(nl_config_differences(keys, &config, &other), nl_config_key_count + 1);
}

Test(config, each_key_of_a_layer_is_compared) {
    static const struct {
        const char *was, *is;
    } lines[] = {
        {"conv: 8,", "conv: 9,"},           {"kernel: 5", "kernel: 3"},    {"pad: 2", "pad: 1"},
        {"norm: true", "norm: false"},      {"relu: true", "relu: false"}, {"size: 4", "size: 2"},
        {"dropout: true", "dropout: false"}};
    static const char text[] = "model:\n  layers:\n"
                               "    - {conv: 8, kernel: 5, pad: 2, norm: true, relu: true}\n"
                               "    - {pool: max, size: 4, dropout: true}\n"
                               "    - {conv: 10, kernel: 3, norm: false}\n"
                               "    - {pool: average}\n";
    const char *keys[NL_MAX_KEYS + 1];
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        cr_assert_eq(load_text(text), NL_OK, "%s", err.what);
        nl_config first = config;
        const char *at = strstr(text, lines[i].was);
        cr_assert(at);
        char *other = NULL;
        cr_assert(asprintf(&other, "%.*s%s%s", (int)(at - text), text, lines[i].is,
                           at + strlen(lines[i].was)) > 0);
        const int code = load_text(other);
        cr_assert(code == NL_OK, "%s: %s", lines[i].is, err.what);
        cr_assert_eq(nl_config_differences(keys, &first, &config), 1, "%s", lines[i].is);
        cr_expect_str_eq(keys[0], "model.layers");
        free(other);
    }
}
