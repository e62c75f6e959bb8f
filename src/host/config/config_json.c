/* The resolved config as JSON, and back. What comes back is the metadata of a checkpoint, which
 * anyone may have written: it passes through the same table and the same checks as a file. A JSON
 * number becomes text that brings it back, and is parsed like one of a file.
 */
#include "normlab/config.h"

#include <jansson.h> // json_t
#include <stdio.h>   // snprintf
#include <stdlib.h>  // malloc
#include <string.h>  // strchr

#include "base/number.h" // nl_shortest
#include "config_read.h"

/* --- Config to JSON -------------------------------------------------------------------------- */

static json_t *norm_to_json(const nl_key *key, int norm) {
    if (norm == NL_NORM_NONE || norm == NL_NORM_OF_MODEL) return json_boolean(norm);
    return json_string(key->words[norm]);
}

static json_t *shape_to_json(const nl_image_shape *s) {
    return json_pack("[iii]", s->channels, s->height, s->width);
}

static json_t *reals_to_json(const nl_by_channel *numbers) {
    if (numbers->count == 1) return json_real(numbers->of[0]);
    json_t *list = json_array();
    for (int i = 0; i < numbers->count; i++)
        NL_ASSERT(json_array_append_new(list, json_real(numbers->of[i])) == 0);
    return list;
}

static json_t *names_to_json(const char *names) {
    json_t *list = json_array();
    for (int i = 0; i < NL_MAX_CLASSES && *names; i++, names += NL_CLASS_NAME)
        NL_ASSERT(json_array_append_new(list, json_string(names)) == 0);
    return list;
}

static json_t *set_to_json(const nl_key *key, unsigned set) {
    json_t *list = json_array();
    for (int i = 0; key->words[i]; i++)
        if (set >> i & 1u) NL_ASSERT(json_array_append_new(list, json_string(key->words[i])) == 0);
    return list;
}

static json_t *value_to_json(const nl_key *key, const void *base) {
    const void *at = (const char *)base + key->offset;
    switch (key->type) {
    case NL_KEY_BOOL:
        return json_boolean(*(const bool *)at);
    case NL_KEY_INT:
        return json_integer(*(const int *)at);
    case NL_KEY_SEED:
        return json_integer(*(const uint32_t *)at);
    case NL_KEY_REAL:
        return json_real(*(const double *)at);
    case NL_KEY_WORD:
        return json_string(key->words[*(const int *)at]);
    case NL_KEY_NORM:
        return norm_to_json(key, *(const int *)at);
    case NL_KEY_NAME:
        return json_string(at);
    case NL_KEY_SHAPE:
        return shape_to_json(at);
    case NL_KEY_REALS:
        return reals_to_json(at);
    case NL_KEY_NAMES:
        return names_to_json(at);
    case NL_KEY_SET:
        return set_to_json(key, *(const unsigned *)at);
    }
    nl_abort("type of a key", __FILE__, __LINE__);
}

/* Sets a value at a dotted path, making the objects on the way. */
static void set_path(json_t *object, const char *path, json_t *value) {
    for (const char *dot; (dot = strchr(path, '.')); path = dot + 1) {
        char part[64];
        snprintf(part, sizeof part, "%.*s", (int)(dot - path), path);
        json_t *below = json_object_get(object, part);
        if (!below) {
            below = json_object();
            NL_ASSERT(json_object_set_new(object, part, below) == 0);
        }
        object = below;
    }
    NL_ASSERT(value && json_object_set_new(object, path, value) == 0);
}

static json_t *layer_to_json(const nl_layer_spec *spec) {
    const nl_layer_draft draft = {.spec = *spec};
    const nl_key *norm = &nl_layer_keys[nl_key_find(nl_layer_keys, nl_layer_key_count, "norm")];
    json_t *layer = NULL;
    if (spec->kind == NL_LAYER_CONV)
        layer = json_pack("{si si si so sb}", "conv", spec->out, "kernel", spec->kernel, "pad",
                          spec->pad, "norm", value_to_json(norm, &draft), "relu", spec->relu);
    else if (spec->kind == NL_LAYER_MAX_POOL)
        layer =
            json_pack("{ss si sb}", "pool", "max", "size", spec->size, "dropout", spec->dropout);
    else
        layer = json_pack("{ss}", "pool", "average");
    NL_NEED(layer);
    return layer;
}

json_t *nl_config_to_json(const nl_config *config) {
    json_t *object = json_object();
    NL_ASSERT(object);
    set_path(object, "name", json_string(config->name));
    for (int i = 0; i < nl_config_key_count; i++)
        set_path(object, nl_config_keys[i].name, value_to_json(&nl_config_keys[i], config));
    json_t *layers = json_array();
    for (int i = 0; i < config->model.n_layers; i++)
        NL_ASSERT(json_array_append_new(layers, layer_to_json(&config->model.layers[i])) == 0);
    set_path(object, "model.layers", layers);
    return object;
}

/* --- JSON to config -------------------------------------------------------------------------- */

/* The text of a number, bool or string, into `text` or as jansson holds it. */
static int scalar_of(nl_scalar *value, char *text, size_t size, const json_t *json,
                     const char *path, nl_error *err) {
    value->text = text;
    value->quoted = json_is_string(json);
    if (json_is_string(json)) {
        value->text = json_string_value(json);
        if (strlen(value->text) != json_string_length(json))
            return nl_key_fail(err, value, path, "holds a zero byte");
    } else if (json_is_boolean(json)) {
        snprintf(text, size, "%s", json_is_true(json) ? "true" : "false");
    } else if (json_is_integer(json)) {
        snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
    } else if (json_is_real(json)) {
        snprintf(text, size, "%s", nl_shortest(json_real_value(json)).text);
    } else {
        return nl_key_fail(err, value, path, "wants one value");
    }
    return NL_OK;
}

static int read_layer(nl_config *config, json_t *json, const nl_scalar *at, nl_error *err) {
    nl_layer_draft draft = {0};
    const int number = config->model.n_layers + 1;
    const char *key;
    json_t *item;
    if (!json_is_object(json)) return nl_key_fail(err, at, "model.layers", "wants objects");
    json_object_foreach(json, key, item) {
        char text[64];
        nl_scalar value = *at;
        int code = scalar_of(&value, text, sizeof text, item, key, err);
        if (!code) code = nl_layer_assign(&draft, number, key, &value, err);
        if (code) return code;
    }
    return nl_layer_add(config, &draft, at, err);
}

static int read_layers(nl_config *config, const json_t *json, const nl_scalar *at, nl_error *err) {
    size_t i;
    json_t *item;
    if (!json_is_array(json)) return nl_key_fail(err, at, "model.layers", "wants a list");
    json_array_foreach(json, i, item) {
        const int code = read_layer(config, item, at, err);
        if (code) return code;
    }
    return NL_OK;
}

/* A list of values. */
static int read_list(nl_config *config, const char *path, const json_t *json, const nl_scalar *at,
                     nl_error *err) {
    size_t i;
    json_t *item;
    int code = NL_OK;
    nl_list list = nl_list_make();
    nl_scalar value = *at;
    json_array_foreach(json, i, item) {
        char text[64];
        nl_scalar one = *at;
        if (!code) code = scalar_of(&one, text, sizeof text, item, path, err);
        if (!code) code = nl_list_add(&list, &one, path, err);
    }
    value.items = list.items;
    value.n_items = list.count;
    if (!code) code = nl_config_assign(config, path, &value, err);
    nl_list_free(&list);
    return code;
}

static int read_section(nl_config *config, json_t *json, const char *prefix, const nl_scalar *at,
                        nl_error *err) {
    const char *key;
    json_t *item;
    json_object_foreach(json, key, item) {
        char path[160], below[164], text[64];
        nl_scalar value = *at;
        snprintf(path, sizeof path, "%s%.80s", prefix, key);
        snprintf(below, sizeof below, "%s.", path);
        int code = NL_OK;
        if (!strcmp(path, "model.layers")) {
            code = read_layers(config, item, at, err);
        } else if (nl_config_is_section(path) && json_is_object(item)) {
            code = read_section(config, item, below, at, err);
        } else if (json_is_array(item) && strcmp(path, "name") != 0) {
            code = read_list(config, path, item, at, err);
        } else if (!(code = scalar_of(&value, text, sizeof text, item, path, err))) {
            if (strcmp(path, "name") != 0)
                code = nl_config_assign(config, path, &value, err);
            else if (!value.quoted)
                code = nl_key_fail(err, &value, path, "wants a string");
            else
                snprintf(config->name, sizeof config->name, "%s", value.text);
        }
        if (code) return code;
    }
    return NL_OK;
}

int nl_config_from_json(nl_config *config, const json_t *json, const char *where, nl_error *err) {
    const nl_scalar at = {.text = "", .file = where, .code = NL_EDATA};
    nl_config_defaults(config);
    if (!json_is_object(json)) return nl_key_fail(err, &at, "config", "is no JSON object");
    /* jansson walks objects through pointers that are not const; nothing is changed */
    const int code = read_section(config, (json_t *)(uintptr_t)json, "", &at, err);
    if (code) return code;
    nl_config_take_set(config);
    nl_error whole;
    if (!nl_config_check(config, &whole)) return NL_OK;
    return nl_key_fail(err, &at, "config", "%s: %s", whole.where, whole.what);
}
