/* train.vary: which random streams follow the run's seed. As a key of the config, on each engine of
 * the CPU, and in records, resumed runs and the runs beside them. */
#include <criterion/criterion.h>
#include <jansson.h> // json_load_file
#include <stdio.h>   // snprintf
#include <stdlib.h>  // free
#include <string.h>  // strstr

#include "normlab/model.h" // nl_model_config_from_json
#include "support/config_text.h"
#include "support/toy_cli.h"
#include "support/vary_check.h"

enum { INIT = 1, ORDER = 2, AUGMENT = 4, DROPOUT = 8, ALL = 15 };

static nl_config config;
static nl_error err;

/* ---- the key ---------------------------------------------------------------------------------- */

static int load_vary(const char *value) {
    char text[400];
    snprintf(text, sizeof text, SMALL_NET "train:\n  seed: 7\n  vary: %s\n", value);
    err = (nl_error){0};
    return config_text_load(&config, text, &err);
}

Test(vary, ways_to_write_it) {
    static const struct {
        const char *text;
        unsigned vary;
    } cases[] = {{"all", ALL},
                 {"[init, order, augment, dropout]", ALL},
                 {"[order]", ORDER},
                 {"[dropout, \"init\"]", INIT | DROPOUT},
                 {"\n    - augment\n    - order", ORDER | AUGMENT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(load_vary(cases[i].text), NL_OK, "%s: %s", cases[i].text, err.what);
        cr_expect_eq(config.train.vary, cases[i].vary, "%s", cases[i].text);
    }
    cr_assert_eq(config_text_load(&config, SMALL_NET, &err), NL_OK);
    cr_expect_eq(config.train.vary, ALL, "the default");
    cr_assert_eq(nl_config_set(&config, "train.vary=[augment]", &err), NL_OK, "%s", err.what);
    cr_expect_eq(config.train.vary, AUGMENT);
    cr_assert_eq(nl_config_set(&config, "train.vary=all", &err), NL_OK, "%s", err.what);
    cr_expect_eq(config.train.vary, ALL);
}

Test(vary, wrong_values) {
    static const char allowed[] = "all, or [one or more of init | order | augment | dropout]";
    static const struct {
        const char *text, *what;
    } cases[] = {{"[]", "train.vary: a list of 0; allowed: "},
                 {"[seed]", "train.vary: 'seed' is not one of its values; allowed: "},
                 {"[all]", "train.vary: 'all' is not one of its values; allowed: "},
                 {"[order, init, order]", "train.vary: 'order' is there twice; allowed: "},
                 {"order", "train.vary: 'order' is no list; allowed: "}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char set[80];
        cr_expect_eq(load_vary(cases[i].text), NL_EUSAGE, "%s", cases[i].text);
        cr_expect(config_text_ends(err.where, "x.yaml:7"), "%s", err.where);
        cr_expect(strstr(err.what, cases[i].what) && strstr(err.what, allowed), "%s", err.what);
        snprintf(set, sizeof set, "train.vary=%s", cases[i].text);
        cr_assert_eq(config_text_load(&config, SMALL_NET, &err), NL_OK);
        cr_expect_eq(nl_config_set(&config, set, &err), NL_EUSAGE, "%s", set);
        cr_expect_str_eq(err.where, "--set");
        cr_expect(strstr(err.what, cases[i].what), "%s", err.what);
        cr_expect_eq(config.train.vary, ALL, "%s: changed", set);
    }
}

Test(vary, a_stream_left_out_keeps_seed_1) {
    for (unsigned vary = 1; vary <= ALL; vary++) {
        config = (nl_config){.train = {.seed = 77, .vary = vary}};
        for (enum nl_stream s = NL_STREAM_INIT; s <= NL_STREAM_DROPOUT; s++)
            cr_expect_eq(nl_config_seed(&config, s), vary >> (s - NL_STREAM_INIT) & 1u ? 77u : 1u);
    }
}

/* In a record and back; a record of before there was the key is of all streams. */
Test(vary, json_and_back) {
    const char *keys[NL_MAX_KEYS + 1];
    cr_assert_eq(load_vary("[dropout, order]"), NL_OK);
    nl_config again;
    json_t *json = nl_config_to_json(&config), *train = json_object_get(json, "train");
    char *text = json_dumps(json_object_get(train, "vary"), JSON_COMPACT);
    cr_expect_str_eq(text, "[\"order\",\"dropout\"]");
    free(text);
    cr_assert_eq(nl_model_config_from_json(&again, json, "file", &err), NL_OK, "%s", err.what);
    cr_expect_eq(nl_config_differences(keys, &config, &again), 0);
    json_object_del(train, "vary");
    cr_assert_eq(nl_model_config_from_json(&again, json, "file", &err), NL_OK, "%s", err.what);
    cr_expect_eq(again.train.vary, ALL);
    cr_expect_eq(nl_config_differences(keys, &config, &again), 1);
    cr_expect_str_eq(keys[0], "train.vary");
    json_object_set_new(train, "vary", json_array());
    cr_expect_eq(nl_model_config_from_json(&again, json, "file", &err), NL_EDATA);
    json_decref(json);
}

/* ---- the engines ------------------------------------------------------------------------------ */

Test(vary, each_stream_alone_on_the_fast_engine) {
    vary_check_streams(&nl_backend_cpu);
    vary_check_losses(&nl_backend_cpu);
}

Test(vary, each_stream_alone_on_the_plain_engine) {
    vary_check_streams(&nl_backend_plain);
    vary_check_losses(&nl_backend_plain);
}

Test(vary, each_stream_alone_in_double) {
    vary_check_streams(&nl_backend_cpu64);
}

/* ---- records ---------------------------------------------------------------------------------- */

#define BY_ORDER "--set", "train.vary=[order]"

Test(vary, resumed_with_the_same_value_alone, .init = toy_cli_open, .fini = toy_cli_close) {
    char whole[256];
    expect_code(TRAIN(BY_ORDER, "--out", toy_path(whole, "whole")), 0, NULL);
    expect_code(TRAIN(BY_ORDER, "--epochs", "1"), 0, NULL);
    expect_code(TRAIN("--resume", "--epochs", "2"), 2, "differs in train.vary");
    expect_code(TRAIN("--resume", "--epochs", "2", "--set", "train.vary=[init]"), 2,
                "differs in train.vary");
    expect_code(TRAIN("--resume", "--epochs", "2", BY_ORDER), 0, NULL);
    cr_expect(toy_same(&toy_cli, toy_cli.out, whole, "last.safetensors"));
    cr_expect(toy_same(&toy_cli, toy_cli.out, whole, "predictions.csv"));
}

Test(vary, seeds_of_another_value_do_not_join, .init = toy_cli_open, .fini = toy_cli_close) {
    expect_code(TRAIN("--seeds", "1", BY_ORDER), 0, NULL);
    expect_code(TRAIN("--seeds", "2"), 2, "in train.vary");
    expect_code(TRAIN("--seeds", "2", BY_ORDER), 0, NULL);
}

/* A run of before there was the key goes on where the config leaves it out, or names all. */
Test(vary, an_old_record_is_of_all_streams, .init = toy_cli_open, .fini = toy_cli_close) {
    char whole[256], path[600];
    expect_code(TRAIN("--out", toy_path(whole, "whole")), 0, NULL);
    expect_code(TRAIN("--epochs", "1"), 0, NULL);
    snprintf(path, sizeof path, "%s/toy/seed-3/run.json", toy_cli.out);
    json_t *record = json_load_file(path, 0, NULL);
    json_t *train = json_object_get(json_object_get(record, "config"), "train");
    cr_assert_eq(json_object_del(train, "vary"), 0);
    cr_assert_eq(json_dump_file(record, path, JSON_INDENT(2)), 0);
    json_decref(record);
    expect_code(TRAIN("--resume", "--epochs", "2", BY_ORDER), 2, "differs in train.vary");
    expect_code(TRAIN("--resume", "--epochs", "2", "--set", "train.vary=all"), 0, NULL);
    cr_expect(toy_same(&toy_cli, toy_cli.out, whole, "last.safetensors"));
}

Test(vary, the_help_tells_of_it) {
    program_result r = RUN_NORMLAB("train", "--help");
    cr_expect(strstr(r.out, "\n  train.vary             all     what of them follows the seed; the "
                            "rest keeps seed 1 (all, or "),
              "%s", r.out);
    program_free(&r);
}
