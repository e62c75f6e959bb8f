/* A config as JSON and back, and what strangers may have written into a checkpoint. */
#include <criterion/criterion.h>
#include <jansson.h> // json_loads
#include <stdio.h>   // snprintf
#include <stdlib.h>  // free
#include <string.h>  // strstr

#include "normlab/model.h" // nl_model_config_from_json
#include "support/config_text.h"

static nl_config config;
static nl_error err;

static void load_good(const char *name) {
    config_text_variant(&config, NL_SOURCE_DIR, name, NULL);
}

/* --- JSON ------------------------------------------------------------------------------------ */

static char *dump(void) {
    json_t *json = nl_config_to_json(&config);
    char *text = json_dumps(json, JSON_REAL_PRECISION(15));
    json_decref(json);
    cr_assert(text);
    return text;
}

static int from_text(const char *text) {
    json_t *json = json_loads(text, 0, NULL);
    cr_assert(json, "%s", text);
    err = (nl_error){0};
    const int code = nl_model_config_from_json(&config, json, "file", &err);
    json_decref(json);
    return code;
}

Test(config_json, json_and_back_is_exact) {
    static const char *const names[] = {"bn_l1", "bn", "ln", "gn", "none"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        load_good(names[i]);
        cr_assert_eq(nl_config_set(&config, "train.lr=0.012345678901234", &err), NL_OK);
        cr_assert_eq(nl_config_set(&config, "train.l1=1.23456789012345e-7", &err), NL_OK);
        cr_assert_eq(nl_config_set(&config, "model.dropout=0.3", &err), NL_OK);
        cr_assert_eq(nl_config_set(&config, "train.seed=4294967295", &err), NL_OK);
        nl_config before = config;
        char *text = dump();
        cr_expect(strstr(text, "0.012345678901234"), "%s", text);
        cr_expect(strstr(text, "\"dropout\": 0.3"), "%s", text);
        cr_assert_eq(from_text(text), NL_OK, "%s: %s", err.where, err.what);
        free(text);
        /* where values came from is not part of them */
        memset(before.file, 0, sizeof before.file);
        memset(before.lines, 0, sizeof before.lines);
        memset(config.lines, 0, sizeof config.lines);
        for (int k = 0; k < before.model.n_layers; k++) before.model.layers[k].line = 0;
        cr_expect(!memcmp(&before, &config, sizeof config), "%s differs", names[i]);
    }
}

Test(config_json, norms_of_layers_come_back) {
    load_good("gn");
    config.model.layers[0].norm = NL_NORM_BATCH;
    config.model.layers[1].norm = NL_NORM_RMS;
    const nl_config before = config;
    char *text = dump();
    cr_expect(strstr(text, "\"norm\": \"batch\"") && strstr(text, "\"norm\": \"rms\"") &&
                  strstr(text, "\"norm\": true"),
              "%s", text);
    cr_assert_eq(from_text(text), NL_OK, "%s: %s", err.where, err.what);
    free(text);
    for (int i = 0; i < before.model.n_layers; i++)
        cr_expect_eq(config.model.layers[i].norm, before.model.layers[i].norm);
}

Test(config_json, json_of_strangers) {
    static const struct {
        const char *from, *to, *what;
    } edits[] = {
        {"\"batch\": 64", "\"batch\": \"64\"", "data.batch: \"64\" is a string"},
        {"\"batch\": 64", "\"batch\": 64.5", "data.batch: '64.5' is not a whole number"},
        {"\"batch\": 64", "\"batch\": 0", "data.batch: '0' is out of range"},
        {"\"batch\": 64", "\"batch\": null", "data.batch: wants one value"},
        {"\"batch\": 64", "\"batch\": [64]", "data.batch: wants one value"},
        {"\"batch\": 64", "\"batch\": true", "data.batch: 'true' is not a whole number"},
        {"\"batch\": 64", "\"batsh\": 64", "data.batsh: unknown key"},
        {"\"shuffle\": true", "\"shuffle\": \"true\"", "data.shuffle: \"true\" is a string"},
        {"\"shuffle\": true", "\"shuffle\": 1", "data.shuffle: '1' is not"},
        {"\"norm\": \"group\"", "\"norm\": 3", "model.norm: '3' is not"},
        {"\"norm\": \"group\"", "\"norm\": \"gro\\u0000up\"", "model.norm: holds a zero byte"},
        {"\"group_size\": 4", "\"group_size\": 3", "model.group_size: 3 does not divide"},
        {"\"name\": \"gn\"", "\"name\": \"../gn\"", "cannot be the name"},
        {"\"name\": \"gn\"", "\"name\": 5", "name: wants a string"},
        {"\"name\": \"gn\", ", "", "cannot be the name"},
        {"\"layers\": [", "\"layers\": 5, \"x\": [", "model.layers: wants a list"},
        {"{\"conv\": 96,", "{\"conv\": 96000,", "model.layers[1].conv: '96000' is out of range"},
        {"{\"pool\": \"average\"}", "7", "model.layers: wants objects"},
        {"\"data\": {", "\"data\": 5, \"dat\": {", "data: a section"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        load_good("gn");
        char *text = dump(), edited[8192];
        char *at = strstr(text, edits[i].from);
        cr_assert(at, "%s is not in %s", edits[i].from, text);
        snprintf(edited, sizeof edited, "%.*s%s%s", (int)(at - text), text, edits[i].to,
                 at + strlen(edits[i].from));
        json_t *json = json_loads(edited, JSON_ALLOW_NUL, NULL);
        cr_assert(json, "%s", edited);
        cr_expect_eq(nl_model_config_from_json(&config, json, "file", &err), NL_EDATA, "%s",
                     edited);
        cr_expect_str_eq(err.where, "file");
        cr_expect(strstr(err.what, edits[i].what), "%s: %s", edits[i].to, err.what);
        json_decref(json);
        free(text);
    }
    cr_expect_eq(from_text("[]"), NL_EDATA);
    cr_expect_eq(from_text("{}"), NL_EDATA);
}
