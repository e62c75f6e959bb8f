/* What a config says of its pictures: data.set, shape, classes, names, mean and deviation. */
#include <criterion/criterion.h>
#include <jansson.h> // json_decref
#include <stdio.h>   // snprintf
#include <string.h>  // strstr

#include "normlab/model.h" // nl_model_check
#include "config/config_keys.h"
#include "support/config_text.h"

static nl_config config;
static nl_error err;

#define NET(classes)                                                                               \
    "model:\n"                                                                                     \
    "  layers:\n"                                                                                  \
    "    - {conv: " #classes ", kernel: 3}\n"                                                      \
    "    - {pool: average}\n"

static const nl_picture *load(const char *text) {
    cr_assert_eq(config_text_load(&config, text, &err), NL_OK, "%s: %s: %s", text, err.where,
                 err.what);
    return &config.data.picture;
}

static void expect_shape(const nl_picture *p, int channels, int height, int width, int classes) {
    cr_expect(p->shape.channels == channels && p->shape.height == height &&
                  p->shape.width == width && p->classes == classes,
              "%d x %d x %d, %d classes", p->shape.channels, p->shape.height, p->shape.width,
              p->classes);
}

/* ---- good ones ---- */

Test(config_picture, without_a_word_it_is_mnist) {
    const nl_picture *p = load(NET(10));
    cr_expect_str_eq(config.data.picture.set, "mnist");
    expect_shape(p, 1, 28, 28, 10);
    cr_expect(p->mean.of[0] == 0.1307 && p->std.of[0] == 0.3081);
    cr_expect_eq(nl_picture_names(p), 0);
}

Test(config_picture, a_set_brings_its_own) {
    static const struct {
        const char *set;
        int channels, side, classes, names;
        const char *last;
    } sets[] = {{"mnist", 1, 28, 10, 0, ""},
                {"fashion-mnist", 1, 28, 10, 10, "ankle boot"},
                {"kmnist", 1, 28, 10, 10, "wo"},
                {"emnist-letters", 1, 28, 26, 26, "Z"},
                {"emnist-balanced", 1, 28, 47, 47, "t"},
                {"cifar10", 3, 32, 10, 10, "truck"}};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        nl_picture p;
        cr_assert(nl_picture_of_set(&p, sets[i].set));
        expect_shape(&p, sets[i].channels, sets[i].side, sets[i].side, sets[i].classes);
        cr_expect_eq(nl_picture_names(&p), sets[i].names, "%s", sets[i].set);
        cr_expect_str_eq(p.names[p.classes - 1], sets[i].last);
        for (int c = 0; c < p.shape.channels; c++)
            cr_expect(p.mean.of[c] > 0 && p.mean.of[c] < 1 && p.std.of[c] > 0 && p.std.of[c] < 1);
    }
    nl_picture p;
    cr_expect(!nl_picture_of_set(&p, "no-such-set"));
}

Test(config_picture, what_is_given_goes_before_the_set) {
    const nl_picture *p = load("data:\n  set: cifar10\n  std: 0.5\n  shape: [3, 16, 24]\n" NET(10));
    expect_shape(p, 3, 16, 24, 10);
    cr_expect(p->mean.of[0] == 0.4914 && p->mean.of[1] == 0.4822 && p->mean.of[2] == 0.4465);
    cr_expect(p->std.of[0] == 0.5 && p->std.of[1] == 0.5 && p->std.of[2] == 0.5);
    cr_expect_str_eq(p->names[0], "airplane");
    p = load("data:\n  set: cifar10\n  classes: 4\n" NET(4));
    cr_expect_eq(nl_picture_names(p), 0, "names of ten classes are none of four");
}

Test(config_picture, a_set_of_ones_own) {
    const nl_picture *p =
        load("data:\n  set: digits.8x8\n  shape: [2, 8, 9]\n  classes: 3\n  mean: [0.25, 0.5]\n"
             "  std: [1, 2]\n  class_names: [left, 'up, or down', right]\n" NET(3));
    cr_expect_str_eq(config.data.picture.set, "digits.8x8");
    expect_shape(p, 2, 8, 9, 3);
    cr_expect(p->mean.of[0] == 0.25 && p->mean.of[1] == 0.5 && p->std.of[1] == 2);
    cr_expect_str_eq(p->names[1], "up, or down");
    cr_expect_eq(nl_picture_names(p), 3);
}

static void set(const char *assignment) {
    cr_assert_eq(nl_config_set(&config, assignment, &err), NL_OK, "%s: %s", assignment, err.what);
}

/* --set in any order: a set's defaults fill what nobody gave. */
Test(config_picture, by_set) {
    const nl_picture *p = load("data:\n  mean: 0.25\n" NET(10));
    set("data.class_names=[a, b, c, d, e, f, g, h, i, 'j, k']");
    set("data.set=cifar10");
    expect_shape(p, 3, 32, 32, 10);
    cr_expect(p->mean.of[2] == 0.25 && p->std.of[2] == 0.2616);
    cr_expect_str_eq(p->names[9], "j, k");
    set("data.set=mnist");
    expect_shape(p, 1, 28, 28, 10);
    cr_expect(p->std.of[0] == 0.3081);
    set("data.shape=[ 4,64 , 8 ]");
    set("data.std=[1, 2, 3, 4]");
    set("data.class_names=[]");
    expect_shape(p, 4, 64, 8, 10);
    cr_expect(p->std.of[3] == 4);
    cr_expect_eq(nl_picture_names(p), 0);
    cr_expect_eq(nl_model_check(&config, &err), NL_OK, "%s", err.what);
}

/* ---- wrong ones ---- */

typedef struct wrong {
    const char *text, *where, *what, *hint;
} wrong;

static void expect_wrong(int code, const char *name, const wrong *w) {
    cr_expect_eq(code, NL_EUSAGE, "loaded: %s", name);
    cr_expect(strstr(err.where, w->where), "%s: where is %s", name, err.where);
    cr_expect(strstr(err.what, w->what), "%s: what is %s", name, err.what);
    cr_expect(!w->hint || strstr(err.hint, w->hint), "%s: hint is %s", name, err.hint);
}

Test(config_picture, wrong_files) {
    static const wrong cases[] = {
        {"shape: 28", "x.yaml:2", "data.shape: '28' is no list; allowed: [1 to 4, 1 to 64", NULL},
        {"shape: [28, 28]", "x.yaml:2", "data.shape: a list of 2; allowed", NULL},
        {"shape: []", "x.yaml:2", "data.shape: a list of 0", NULL},
        {"shape: [5, 28, 28]", "x.yaml:2", "data.shape: '5' is too many channels", NULL},
        {"shape: [1, 65, 28]", "x.yaml:2", "data.shape: '65' is out of range", NULL},
        {"shape: [1, 28, 0]", "x.yaml:2", "data.shape: '0' is out of range", NULL},
        {"shape: [1, 28, 28.0]", "x.yaml:2", "data.shape: '28.0' is not a whole number", NULL},
        {"shape: [1, [28], 28]", "x.yaml:2", "data.shape: wants one value, not a list", NULL},
        {"shape: {a: 1}", "x.yaml:2", "data.shape: wants one value, not a section", NULL},
        {"classes: 1", "x.yaml:2",
         "data.classes: '1' is out of range; allowed: whole number, 2 "
         "to 256",
         NULL},
        {"classes: 257", "x.yaml:2", "data.classes: '257' is out of range", NULL},
        {"classes: [10]", "x.yaml:2", "data.classes: wants one value, not a list", NULL},
        {"classes: 26", "x.yaml", "the network ends with 10 channels and needs 26", NULL},
        {"mean: [0.1, 0.2]", "x.yaml:2", "data.mean: 2 numbers, but data.shape has 1 channel",
         "one number"},
        {"mean: [0.1, 0.2, 0.3, 0.4, 0.5]", "x.yaml:2", "data.mean: a list of 5", NULL},
        {"std: 0", "x.yaml:2", "data.std: '0' is out of range; allowed: number above 0, or [one",
         NULL},
        {"std: [1, -1]", "x.yaml:2", "data.std: '-1' is out of range", NULL},
        {"set: ../mnist", "x.yaml:2", "data.set: '../mnist' is no name of a set", NULL},
        {"set: .hidden", "x.yaml:2", "data.set: '.hidden' is no name", NULL},
        {"set: a-name-of-more-than-thirty-one-bytes", "x.yaml:2", "is no name of a set", NULL},
        {"set: digits", "x.yaml:2",
         "data.set: 'digits' is no set with defaults, and data.shape is "
         "missing",
         "data.classes, data.mean"},
        {"class_names: [a, b]", "x.yaml:2", "data.class_names: 2 names, but data.classes is 10",
         NULL},
        {"class_names: [a, b, a]", "x.yaml:2", "data.class_names: 'a' is there twice", NULL},
        {"class_names: a", "x.yaml:2", "data.class_names: 'a' is no list", NULL},
        {"class_names: [a-name-of-more-than-thirty-one-bytes]", "x.yaml:2", "is too long", NULL},
        {"class_names: [\"a\\nb\"]", "x.yaml:2", "is no line of text", NULL},
        {"shape: [1, 2, 2]", "x.yaml:5",
         "model.layers[1].kernel: '3' is out of range; allowed: "
         "whole number, 1 to 2",
         "data.shape is [1, 2, 2]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[400];
        snprintf(text, sizeof text, "data:\n  %s\n" NET(10), cases[i].text);
        int code = config_text_load(&config, text, &err);
        if (!code) code = nl_model_check(&config, &err);
        expect_wrong(code, cases[i].text, &cases[i]);
    }
}

Test(config_picture, wrong_sets) {
    static const wrong cases[] = {
        {"data.shape=[1, 28", "--set", "data.shape: '[1, 28' is no list", "a list is [A, B, C]"},
        {"data.shape=[1, 28, 28] 3", "--set", "data.shape: '[1, 28, 28] 3' is no list", NULL},
        {"data.shape=28", "--set", "data.shape: '28' is no list", NULL},
        {"data.mean=[0.1, x]", "--set", "data.mean: 'x' is not a number", NULL},
        {"data.batch=[3]", "--set", "data.batch: '[3]' is not a whole number", NULL}};
    load(NET(10));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_wrong(nl_config_set(&config, cases[i].text, &err), cases[i].text, &cases[i]);
}

/* Kernel, pad and size may be as large as the larger side. */
Test(config_picture, the_shape_bounds_the_layers) {
    static const char *const good[] = {"{conv: 4, kernel: 40, pad: 39}", "{pool: max, size: 20}"};
    static const wrong bad[] = {
        {"{conv: 4, kernel: 41, pad: 39}", ":5",
         "kernel: '41' is out of range; allowed: whole "
         "number, 1 to 40",
         "data.shape is [1, 20, 40]"},
        {"{conv: 4, kernel: 65, pad: 39}", ":5", "kernel: '65' is out of range", NULL},
        {"{pool: max, size: 41}", ":5",
         "size: '41' is out of range; allowed: whole number, 2 to "
         "40",
         NULL}};
    char text[400];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text,
                 "data:\n  shape: [1, 20, 40]\nmodel:\n  layers:\n    - %s\n    - {conv: 10, "
                 "kernel: 1}\n    - {pool: average}\n",
                 good[i]);
        load(text);
        cr_expect_eq(nl_model_check(&config, &err), NL_OK, "%s: %s", good[i], err.what);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text,
                 "data:\n  shape: [1, 20, 40]\nmodel:\n  layers:\n    - %s\n    - {conv: 10, "
                 "kernel: 1}\n    - {pool: average}\n",
                 bad[i].text);
        expect_wrong(config_text_load(&config, text, &err), bad[i].text, &bad[i]);
    }
}

/* ---- as JSON ---- */

static void back_and_forth(const char *text) {
    const char *keys[NL_MAX_KEYS + 1];
    nl_config back;
    load(text);
    json_t *json = nl_config_to_json(&config);
    cr_assert_eq(nl_config_from_json(&back, json, "a record", &err), NL_OK, "%s", err.what);
    cr_expect_eq(nl_config_differences(keys, &config, &back), 0, "%s: %s", text, keys[0]);
    json_decref(json);
}

Test(config_picture, json_brings_it_back) {
    back_and_forth(NET(10));
    back_and_forth("data:\n  set: fashion-mnist\n" NET(10));
    back_and_forth("data:\n  set: emnist-balanced\n  class_names: []\n" NET(47));
    back_and_forth("data:\n  set: mine\n  shape: [4, 9, 64]\n  classes: 256\n"
                   "  mean: [0.1, 0.2, 0.3, 0.4]\n  std: [0.1, 0.1, 0.1, 0.1]\n" NET(256));
    cr_expect(config.data.picture.std.of[3] == 0.1);
}

/* Records from before the picture was in the config were of MNIST. */
Test(config_picture, a_record_that_says_nothing_is_of_mnist) {
    load("data:\n  mean: 0.25\n" NET(10));
    json_t *json = nl_config_to_json(&config), *data = json_object_get(json, "data");
    static const char *const later[] = {"set", "shape", "classes", "class_names"};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        cr_assert_eq(json_object_del(data, later[i]), 0);
    nl_config back;
    cr_assert_eq(nl_config_from_json(&back, json, "a record", &err), NL_OK, "%s", err.what);
    expect_shape(&back.data.picture, 1, 28, 28, 10);
    cr_expect(back.data.picture.mean.of[0] == 0.25 && back.data.picture.std.of[0] == 0.3081);
    json_decref(json);
}

Test(config_picture, wrong_records) {
    static const struct {
        const char *json, *what;
    } cases[] = {{"{\"shape\": [1, 28]}", "data.shape: a list of 2"},
                 {"{\"shape\": [1, 28, \"28\"]}", "data.shape: \"28\" is a string"},
                 {"{\"shape\": [1, 28, [28]]}", "data.shape: wants one value"},
                 {"{\"classes\": [10]}", "data.classes: wants one value, not a list"},
                 {"{\"set\": \"a/b\"}", "data.set: \"a/b\" is no name of a set"},
                 {"{\"mean\": []}", "data.mean: a list of 0"},
                 {"{\"class_names\": [\"a\", 1, \"b\\u0000c\"]}", "holds a zero byte"}};
    load(NET(10));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *json = nl_config_to_json(&config), *data = json_loads(cases[i].json, 0, NULL);
        if (!data) data = json_loads(cases[i].json, JSON_ALLOW_NUL, NULL);
        cr_assert(data, "%s", cases[i].json);
        json_object_set_new(json, "data", data);
        nl_config back;
        cr_expect_eq(nl_config_from_json(&back, json, "a record", &err), NL_EDATA);
        cr_expect(strstr(err.what, cases[i].what), "%s: %s", cases[i].json, err.what);
        json_decref(json);
    }
}

Test(config_picture, differences_are_of_values) {
    const char *keys[NL_MAX_KEYS + 1];
    load("data:\n  set: cifar10\n  mean: 0.5\n" NET(10));
    nl_config other = config;
    load("data:\n  set: cifar10\n  mean: [0.5, 0.5, 0.5]\n" NET(10));
    cr_expect_eq(nl_config_differences(keys, &config, &other), 0);
    load("data:\n  set: cifar10\n  mean: [0.5, 0.5, 0.25]\n" NET(10));
    cr_assert_eq(nl_config_differences(keys, &config, &other), 1);
    cr_expect_str_eq(keys[0], "data.mean");
}
