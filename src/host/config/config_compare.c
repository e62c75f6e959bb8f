/* What two configs differ in, by the tables of keys, so that a new key is compared from its first
 * day. Values are compared as they are held, not as they print. */
#include <string.h> // memcmp

#include "config_keys.h"

static size_t size_of(nl_key_type type) {
    switch (type) {
    case NL_KEY_BOOL:
        return sizeof(bool);
    case NL_KEY_INT:
    case NL_KEY_WORD:
    case NL_KEY_NORM:
        return sizeof(int);
    case NL_KEY_SEED:
        return sizeof(uint32_t);
    case NL_KEY_REAL:
        return sizeof(double);
    case NL_KEY_NAME:
        return NL_SET_NAME;
    case NL_KEY_SHAPE:
        return sizeof(nl_image_shape);
    case NL_KEY_REALS:
        return sizeof(double[NL_MAX_CHANNELS]); /* not how many were given */
    case NL_KEY_NAMES:
        return NL_MAX_CLASSES * NL_CLASS_NAME;
    case NL_KEY_SET:
        return sizeof(unsigned);
    }
    nl_abort("type of a key", __FILE__, __LINE__);
}

static bool same_value(const nl_key *key, const void *a, const void *b) {
    return memcmp((const char *)a + key->offset, (const char *)b + key->offset,
                  size_of(key->type)) == 0;
}

static bool same_layer(const nl_layer_spec *a, const nl_layer_spec *b) {
    const nl_layer_draft x = {.spec = *a}, y = {.spec = *b};
    if (a->kind != b->kind) return false;
    for (int i = 0; i < nl_layer_key_count; i++)
        if (!same_value(&nl_layer_keys[i], &x, &y)) return false;
    return true;
}

static bool same_layers(const nl_config *a, const nl_config *b) {
    if (a->model.n_layers != b->model.n_layers) return false;
    for (int i = 0; i < a->model.n_layers; i++)
        if (!same_layer(&a->model.layers[i], &b->model.layers[i])) return false;
    return true;
}

int nl_config_differences(const char *keys[NL_MAX_KEYS + 1], const nl_config *a,
                          const nl_config *b) {
    int n = 0;
    for (int i = 0; i < nl_config_key_count; i++)
        if (!same_value(&nl_config_keys[i], a, b)) keys[n++] = nl_config_keys[i].name;
    if (!same_layers(a, b)) keys[n++] = "model.layers";
    return n;
}
