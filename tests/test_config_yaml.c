/* Wrong config files: every message names file and line, the key, and what is allowed. */
#include <criterion/criterion.h>
#include <stdio.h>  // snprintf
#include <string.h> // strstr

#include "support/config_text.h"
#include "support/idx_set.h" // temp_dir_make, idx_set_save

static nl_config config;
static nl_error err;
static char *dir;

static void make_dir(void) {
    dir = temp_dir_make();
}

static void remove_dir(void) {
    temp_dir_remove(dir);
}

TestSuite(config_yaml, .init = make_dir, .fini = remove_dir);

static int load_text(const char *text) {
    return config_text_load(&config, text, &err);
}

/* --- Wrong files ----------------------------------------------------------------------------- */

/* Part of WHERE: ":3" is line 3. */
typedef struct wrong_file {
    const char *text, *where, *what, *hint;
} wrong_file;

static void expect_wrong(const wrong_file *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const wrong_file *w = &cases[i];
        cr_expect_eq(load_text(w->text), NL_EUSAGE, "loaded: %s", w->text);
        cr_expect(config_text_ends(err.where, w->where), "%s: where is %s", w->text, err.where);
        cr_expect(strstr(err.where, "x.yaml"), "%s: where is %s", w->text, err.where);
        cr_expect(strstr(err.what, w->what), "%s: what is %s", w->text, err.what);
        cr_expect(!w->hint || strstr(err.hint, w->hint), "%s: hint is %s", w->text, err.hint);
        cr_expect(!strpbrk(err.what, "\n\r\033"), "%s: more than a line: %s", w->text, err.what);
    }
}
#define EXPECT_WRONG(cases) expect_wrong(cases, sizeof(cases) / sizeof *(cases))

Test(config_yaml, wrong_keys) {
    static const wrong_file cases[] = {
        {"data:\n  btch: 64\n" SMALL_NET, ":2", "data.btch: unknown key", "data.batch"},
        {"dat:\n  batch: 64\n" SMALL_NET, ":1", "dat: unknown key", "data"},
        {"batch: 64\n" SMALL_NET, ":1", "batch: unknown key", "data.batch"},
        {"train:\n  batch: 64\n" SMALL_NET, ":2", "train.batch: unknown key", "data.batch"},
        {"train:\n  schedule:\n    evrey: 5\n" SMALL_NET, ":3", "train.schedule.evrey: unknown key",
         "train.schedule.every"},
        {"train:\n  L1: 5\n" SMALL_NET, ":2", "train.L1: unknown key", "train.l1"},
        {"train:\n  zzzzz: 5\n" SMALL_NET, ":2", "train.zzzzz: unknown key", "train --help"},
        {"name: x\n" SMALL_NET, ":1", "name: unknown key", NULL},
        {"data:\n  batch: 64\n  rotate: 7\n  batch: 32\n" SMALL_NET, ":4",
         "data.batch: given twice, first in line 2", NULL},
        {"data:\n  batch: 64\ndata:\n  rotate: 7\n" SMALL_NET, ":4", "data: given twice", NULL},
        {SMALL_NET "  layers:\n    - {pool: average}\n", ":6", "model.layers: given twice", NULL},
        {"data: 5\n" SMALL_NET, ":1", "data: a section", NULL},
        {"data:\n  batch: {a: 1}\n" SMALL_NET, ":2", "data.batch: wants one value", NULL},
        {"data:\n  batch: [1]\n" SMALL_NET, ":2", "data.batch: wants one value", NULL},
        {"data:\n  [1]: 2\n" SMALL_NET, ":2", "a key has to be a word", NULL},
        {"- 1\n- 2\n", ":1", "begins with a section", NULL},
    };
    EXPECT_WRONG(cases);
}

Test(config_yaml, wrong_values) {
    static const wrong_file cases[] = {
        {"data:\n  batch: 64x\n" SMALL_NET, ":2",
         "data.batch: '64x' is not a whole number; allowed: "
         "whole number, 1 or more",
         NULL},
        {"data:\n  batch: 64 x\n" SMALL_NET, ":2", "data.batch: '64 x' is not", NULL},
        {"data:\n  batch: 6.4e1\n" SMALL_NET, ":2", "data.batch: '6.4e1' is not a whole", NULL},
        {"data:\n  batch: 0x40\n" SMALL_NET, ":2", "data.batch: '0x40' is not a whole", NULL},
        {"data:\n  batch: 064\n" SMALL_NET, ":2", "data.batch: '064' is not a whole", NULL},
        {"data:\n  batch: 0\n" SMALL_NET, ":2", "data.batch: '0' is out of range", NULL},
        {"data:\n  batch: -64\n" SMALL_NET, ":2", "out of range; allowed: whole number, 1 or more",
         NULL},
        {"data:\n  batch: 3000000000\n" SMALL_NET, ":2", "data.batch: '3000000000' is out", NULL},
        {"data:\n  batch:\n" SMALL_NET, ":2", "data.batch: has no value", NULL},
        {"data:\n  batch: \"64\"\n" SMALL_NET, ":2", "data.batch: \"64\" is a string", NULL},
        {"data:\n  batch: null\n" SMALL_NET, ":2", "data.batch: 'null' is not", NULL},
        {"data:\n  batch: true\n" SMALL_NET, ":2", "data.batch: 'true' is not", NULL},
        {"data:\n  shuffle: yes\n" SMALL_NET, ":2", "data.shuffle: 'yes' is not", NULL},
        {"data:\n  shuffle: 1\n" SMALL_NET, ":2", "allowed: true | false", NULL},
        {"data:\n  shuffle: \"true\"\n" SMALL_NET, ":2", "data.shuffle: \"true\" is a string",
         NULL},
        {"data:\n  rotate: 180.5\n" SMALL_NET, ":2", "allowed: number, 0 to 180", NULL},
        {"data:\n  rotate: -1\n" SMALL_NET, ":2", "data.rotate: '-1' is out of range", NULL},
        {"data:\n  rotate: .nan\n" SMALL_NET, ":2", "data.rotate: '.nan' is not a number", NULL},
        {"data:\n  rotate: nan\n" SMALL_NET, ":2", "data.rotate: 'nan' is not a number", NULL},
        {"data:\n  std: 0\n" SMALL_NET, ":2", "allowed: number above 0", NULL},
        {"data:\n  mean: inf\n" SMALL_NET, ":2", "data.mean: 'inf' is not a number", NULL},
        {"data:\n  mean: 1e999\n" SMALL_NET, ":2", "data.mean: '1e999' is out of range", NULL},
        {"train:\n  lr: 0\n" SMALL_NET, ":2", "train.lr: '0' is out of range", NULL},
        {"train:\n  lr: 1e-999\n" SMALL_NET, ":2", "train.lr: '1e-999' is out of range", NULL},
        {"train:\n  lr: 1e\n" SMALL_NET, ":2", "train.lr: '1e' is not a number", NULL},
        {"train:\n  lr: 0,1\n" SMALL_NET, ":2", "train.lr: '0,1' is not a number", NULL},
        {"train:\n  lr: 0x1p-3\n" SMALL_NET, ":2", "train.lr: '0x1p-3' is not a number", NULL},
        {"train:\n  lr: .\n" SMALL_NET, ":2", "train.lr: '.' is not a number", NULL},
        {"train:\n  momentum: 1\n" SMALL_NET, ":2", "allowed: number, 0 or more and below 1", NULL},
        {"train:\n  l1: -0.001\n" SMALL_NET, ":2", "train.l1: '-0.001' is out of range", NULL},
        {"train:\n  weight_decay: -1\n" SMALL_NET, ":2", "train.weight_decay: '-1' is out", NULL},
        {"train:\n  epochs: -1\n" SMALL_NET, ":2", "train.epochs: '-1' is out of range", NULL},
        {"train:\n  seed: 4294967296\n" SMALL_NET, ":2", "number, 0 to 4294967295", NULL},
        {"train:\n  math: fp16\n" SMALL_NET, ":2", "allowed: fp32 | tf32", NULL},
        {"train:\n  schedule:\n    kind: linear\n" SMALL_NET, ":3", "constant | step | cosine",
         NULL},
        {"train:\n  schedule:\n    every: 0\n" SMALL_NET, ":3", "train.schedule.every: '0'", NULL},
        {"train:\n  nesterov: true\n  momentum: 0\n" SMALL_NET, ":2", "train.nesterov: needs",
         NULL},
        {"data:\n  batch: \"6\\n4\\e[0m\"\n" SMALL_NET, ":2", "data.batch: \"6?4?[0m\"", NULL},
        {"model:\n  dropout: 1\n  layers:\n    - {pool: average}\n", ":2", "below 1", NULL},
    };
    EXPECT_WRONG(cases);
}

#define NET(layer) "model:\n  norm: group\n  layers:\n    - " layer "\n    - {pool: average}\n"

Test(config_yaml, wrong_layers) {
    static const wrong_file cases[] = {
        {"train:\n  lr: 1\n", "", "model.layers: missing", NULL},
        {"model:\n  layers: []\n", "", "model.layers: missing", NULL},
        {"model:\n  layers: 5\n", ":2", "model.layers: wants a list", NULL},
        {NET("5"), ":4", "model.layers: wants layers like", NULL},
        {NET("{conv: 10, kernal: 3}"), ":4", "model.layers[1].kernal: unknown key", "kernel"},
        {NET("{conv: 10, kernel: 3, conv: 10}"), ":4", "model.layers[1].conv: given twice", NULL},
        {NET("{conv: 10}"), ":4", "model.layers[1]: a convolution needs kernel", NULL},
        {NET("{conv: 10, kernel: 29}"), ":4", "model.layers[1].kernel: '29' is out", NULL},
        {NET("{conv: 10, kernel: 3, pad: 3}"), ":4", "pad 3 is not below", NULL},
        {NET("{conv: 5000, kernel: 3}"), ":4", "whole number, 1 to 4096", NULL},
        {NET("{conv: 10, kernel: 3, size: 2}"), ":4", "a convolution has no size", NULL},
        {NET("{conv: 10, pool: max}"), ":4", "either conv or pool, this one has both", NULL},
        {NET("{kernel: 3}"), ":4", "either conv or pool, this one has neither", NULL},
        {NET("{pool: max}"), ":4", "a max pool needs size", NULL},
        {NET("{pool: mean}"), ":4", "allowed: max | average", NULL},
        {NET("{pool: average, size: 2}"), ":4", "an average pool has no size", NULL},
        {NET("{conv: 10, kernel: [3]}"), ":4", "model.layers[1].kernel: wants one value", NULL},
        {NET("{conv: 10, kernel: 3, norm: true}"), ":4", "does not divide the 10 channels", NULL},
        {NET("{conv: 9, kernel: 3}"), ":5", "ends with 9 channels and needs 10", NULL},
    };
    EXPECT_WRONG(cases);
}

Test(config_yaml, more_than_64_layers) {
    char text[4096] = "model:\n  layers:\n";
    for (int i = 0; i < 65; i++) strcat(text, "    - {conv: 10, kernel: 1}\n");
    cr_expect_eq(load_text(text), NL_EUSAGE);
    cr_expect(config_text_ends(err.where, ":67"), "%s", err.where);
    cr_expect(strstr(err.what, "more than 64 layers"), "%s", err.what);
}

Test(config_yaml, wrong_yaml) {
    static const wrong_file cases[] = {
        {"", "x.yaml", "the config is empty", "model.layers"},
        {"\177ELF\2\1\1", "x.yaml", "not a text file", "NAME.yaml"},
        {"# nothing\n", "x.yaml", "the config is empty", NULL},
        {"data: {batch: 64]\n" SMALL_NET, ":1", "not valid YAML", "brackets"},
        {"data:\n  batch: '64\n", ":2", "not valid YAML", "is not closed"},
        {"data:\n\tbatch: 64\n", ":2", "not valid YAML", "spaces, not tabs"},
        {"data:\n  batch 64\n  std: 1\n" SMALL_NET, ":2", "a section", "KEY: VALUE"},
        {"data:\n  std: 1\ntrain\n  lr: 1\n" SMALL_NET, ":3", "not valid YAML", "KEY: VALUE"},
        {"data\n  batch: 64\n" SMALL_NET, ":1", "begins with a section, like data:", NULL},
        {"data:\n  rotate: 1\n  batch:64\n  std: 1\n" SMALL_NET, ":3", "not valid YAML",
         "KEY: VALUE"},
        {"data:\n    rotate: 1\n  batch: 64\n" SMALL_NET, ":3", "not valid YAML", "indented"},
        {"data:\n  batch: &b 64\n" SMALL_NET, ":2", "an anchor", NULL},
        {"data: &d\n  batch: 64\n" SMALL_NET, ":1", "an anchor", NULL},
        {"data:\n  batch: *b\n" SMALL_NET, ":2", "an alias", NULL},
        {"data:\n  batch: !!int 64\n" SMALL_NET, ":2", "a tag", NULL},
        {SMALL_NET "---\n" SMALL_NET, ":5", "a second document", NULL},
        {"data:\n  batch: \"6\\04\"\n" SMALL_NET, ":2", "a zero byte", NULL},
        {"data:\n  batch: \x01\n", "x.yaml", "not a text file", NULL},
        {"data:\n  batch: \xff\xfe\n", "x.yaml", "not a text file", NULL},
    };
    EXPECT_WRONG(cases);
}

Test(config_yaml, missing_file_and_folder) {
    cr_expect_eq(nl_config_load(&config, "/nowhere/x.yaml", &err), NL_EUSAGE);
    cr_expect_str_eq(err.where, "/nowhere/x.yaml");
    cr_expect_eq(nl_config_load(&config, dir, &err), NL_EUSAGE);
    cr_expect(strstr(err.what, "folder"), "%s", err.what);
    cr_expect(strstr(err.hint, "/*.yaml"), "%s", err.hint);
}

Test(config_yaml, names_that_cannot_be_folders) {
    static const char *const good[] = {"a.yaml", "bn-2.yaml", "x.yml", "a b.yaml", "1,2.yaml"};
    static const char *const bad[] = {".yaml",    "..yaml",    "-x.yaml", "report.yaml",
                                      "a'b.yaml", "a\nb.yaml", "a .yaml", "\xc3\xa9.yaml",
                                      " a.yaml",  "_.yaml"};
    char path[512];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, good[i]);
        idx_set_save(path, SMALL_NET, strlen(SMALL_NET), false);
        cr_expect_eq(nl_config_load(&config, path, &err), NL_OK, "%s: %s", good[i], err.what);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, bad[i]);
        idx_set_save(path, SMALL_NET, strlen(SMALL_NET), false);
        cr_expect_eq(nl_config_load(&config, path, &err), NL_EUSAGE, "%s", bad[i]);
        cr_expect(strstr(err.what, "name of a run's folder"), "%s: %s", bad[i], err.what);
    }
    snprintf(path, sizeof path, "%s/%0120d.yaml", dir, 1);
    idx_set_save(path, SMALL_NET, strlen(SMALL_NET), false);
    cr_expect_eq(nl_config_load(&config, path, &err), NL_EUSAGE);
}
