/* What is promised of every config that was accepted, whichever reader it came by. */
#include "fuzz.h"

#include <jansson.h> // json_dumps
#include <limits.h>  // INT_MAX
#include <math.h>    // isfinite
#include <stdlib.h>  // free
#include <string.h>  // memchr

#include "base/number.h"        // nl_json_precision
#include "config/config_keys.h" // nl_config_keys
#include "normlab/model.h"      // nl_model_check

static void check_limits(double value, const nl_limits *l) {
    HOLDS(isfinite(value) && value >= l->min && value <= l->max);
    HOLDS(!(l->above && value == l->min) && !(l->below && value == l->max));
}

static int words_of(const nl_key *key) {
    int words = 0;
    while (key->words[words]) words++;
    return words;
}

static void check_word(int value, const nl_key *key) {
    HOLDS(value >= 0 && value < words_of(key) + (key->type == NL_KEY_NORM));
}

static void check_picture(const nl_picture *p) {
    HOLDS(memchr(p->set, '\0', sizeof p->set) && p->set[0] && !strchr(p->set, '/'));
    HOLDS(p->shape.channels >= 1 && p->shape.channels <= NL_MAX_CHANNELS);
    HOLDS(p->shape.height >= 1 && p->shape.height <= NL_MAX_SIDE);
    HOLDS(p->shape.width >= 1 && p->shape.width <= NL_MAX_SIDE);
    for (int c = 0; c < p->shape.channels; c++)
        HOLDS(isfinite(p->mean.of[c]) && isfinite(p->std.of[c]) && p->std.of[c] > 0);
    const int names = nl_picture_names(p);
    HOLDS(names == 0 || names == p->classes);
    for (int i = 0; i < names; i++) HOLDS(memchr(p->names[i], '\0', NL_CLASS_NAME));
}

static void check_value(const void *base, const nl_key *key) {
    const void *at = (const char *)base + key->offset;
    switch (key->type) {
    case NL_KEY_INT:
        check_limits(*(const int *)at, &key->limits);
        break;
    case NL_KEY_REAL:
        check_limits(*(const double *)at, &key->limits);
        break;
    case NL_KEY_WORD:
    case NL_KEY_NORM:
        check_word(*(const int *)at, key);
        break;
    case NL_KEY_SET:
        HOLDS(*(const unsigned *)at >> words_of(key) == 0);
        break;
    case NL_KEY_BOOL:
    case NL_KEY_SEED:
        break;
    case NL_KEY_NAME:
    case NL_KEY_SHAPE:
    case NL_KEY_REALS:
    case NL_KEY_NAMES:
        break; /* the picture's */
    }
}

static void check_back(const nl_config *config) {
    json_t *json = nl_config_to_json(config);
    char *text = json_dumps(json, JSON_COMPACT | nl_json_precision(json));
    HOLDS(text);
    json_decref(json);
    json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    nl_config back;
    nl_error err;
    fuzz_no_error(&err);
    HOLDS(nl_model_config_from_json(&back, json, "back", &err) == NL_OK);
    const char *keys[NL_MAX_KEYS + 1];
    HOLDS(nl_config_differences(keys, config, &back) == 0);
    HOLDS(strcmp(config->name, back.name) == 0);
    json_decref(json);
    free(text);
}

void fuzz_check_config(const nl_config *config) {
    nl_error err;
    HOLDS(nl_model_check(config, &err) == NL_OK);
    for (int i = 0; i < nl_config_key_count; i++) check_value(config, &nl_config_keys[i]);
    check_picture(&config->data.picture);
    HOLDS(config->model.n_layers >= 1 && config->model.n_layers <= NL_MAX_LAYERS);
    for (int epoch = 0; epoch < 3 && epoch < config->train.epochs; epoch++)
        HOLDS(!(nl_config_lr(config, epoch) < 0));
    check_back(config);
}
