/* The configuration: defaults, one assignment, and what concerns more than one key. The file is read
 * by config_yaml.c, a checkpoint's copy by config_json.c, --set by config_set.c; all call
 * nl_config_assign.
 */
#include "normlab/config.h"
#include "normlab/run_files.h" // NL_REPORT_FOLDER

#include <ctype.h>  // isalnum
#include <math.h>   // pow, cos
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // strchr, strrchr

#include "config_read.h"
#include "base/nearest.h"

/* --- Defaults and assignment ----------------------------------------------------------------- */

void nl_config_defaults(nl_config *config) {
    memset(config, 0, sizeof *config);
    for (int i = 0; i < nl_config_key_count; i++) {
        const nl_key *key = &nl_config_keys[i];
        const nl_scalar value = {.text = key->fallback, .file = "default", .code = NL_EINTERNAL};
        if (!key->fallback) continue;
        const int code = nl_key_parse(config, key, key->name, &value, NULL);
        NL_ASSERT(code == NL_OK);
    }
    nl_config_take_set(config);
}

bool nl_config_is_section(const char *path) {
    const size_t length = strlen(path);
    for (int i = 0; i < nl_config_key_count; i++)
        if (!strncmp(nl_config_keys[i].name, path, length) && nl_config_keys[i].name[length] == '.')
            return true;
    return false;
}

int nl_config_assign(nl_config *config, const char *path, const nl_scalar *value, nl_error *err) {
    const int i = nl_key_find(nl_config_keys, nl_config_key_count, path);
    if (i < 0) return nl_config_unknown(path, value, err);
    if (value->line > 0 && config->lines[i] > 0)
        return nl_key_fail(err, value, path, "given twice, first in line %d", config->lines[i]);
    const int code = nl_key_parse(config, &nl_config_keys[i], path, value, err);
    if (!code) config->lines[i] = value->line > 0 ? value->line : NL_FROM_RECORD;
    return code;
}

/* --- Lists ----------------------------------------------------------------------------------- */

nl_list nl_list_make(void) {
    return (nl_list){nl_alloc(NL_MAX_CLASSES + 1, sizeof(nl_scalar), "list"), 0};
}

void nl_list_free(nl_list *list) {
    for (int i = 0; i < list->count; i++) free((void *)(uintptr_t)list->items[i].text);
    free(list->items);
}

int nl_list_add(nl_list *list, const nl_scalar *item, const char *path, nl_error *err) {
    if (list->count > NL_MAX_CLASSES)
        return nl_key_fail(err, item, path, "a list of more than %d", NL_MAX_CLASSES);
    nl_scalar *copy = &list->items[list->count++];
    *copy = *item;
    copy->text = strdup(item->text);
    NL_NEED(copy->text);
    return NL_OK;
}

/* --- Unknown keys ---------------------------------------------------------------------------- */

static const char *last_part(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

/* The key that was probably meant: a near name in the same section, else the same name in another
 * section, else a near path. */
static const char *suggest(const char *path) {
    static const char *const sections[] = {"data", "model", "train", "train.schedule",
                                           "model.layers"};
    enum { SECTIONS = sizeof sections / sizeof *sections };
    const char *names[NL_MAX_KEYS + SECTIONS] = {0};
    int count = 0;
    const char *last = last_part(path);
    const size_t section = (size_t)(last - path);

    for (int i = 0; i < nl_config_key_count; i++)
        if (!strncmp(nl_config_keys[i].name, path, section) &&
            !strchr(nl_config_keys[i].name + section, '.'))
            names[count++] = nl_config_keys[i].name + section;
    const char *near = nl_nearest(last, names, (size_t)count);
    if (near) return near - section;

    for (int i = 0; i < nl_config_key_count; i++)
        if (!strcmp(last_part(nl_config_keys[i].name), last)) return nl_config_keys[i].name;

    count = 0;
    for (int i = 0; i < nl_config_key_count; i++) names[count++] = nl_config_keys[i].name;
    for (int i = 0; i < SECTIONS; i++) names[count++] = sections[i];
    return nl_nearest(path, names, (size_t)count);
}

int nl_config_unknown(const char *path, const nl_scalar *at, nl_error *err) {
    if (nl_config_is_section(path))
        return nl_key_fail(err, at, path, "a section, it has keys and no value of its own");
    const int code = nl_key_fail(err, at, path, "unknown key");
    const char *meant = suggest(path);
    if (!meant)
        nl_hint(err, "normlab train --help lists all keys");
    else
        nl_hint(err, "did you mean %s?", meant);
    return code;
}

/* --- Layers ---------------------------------------------------------------------------------- */

int nl_layer_assign(nl_layer_draft *draft, int number, const char *key, const nl_scalar *value,
                    nl_error *err) {
    char path[160];
    snprintf(path, sizeof path, "model.layers[%d].%.100s", number, key);
    const int i = nl_key_find(nl_layer_keys, nl_layer_key_count, key);
    if (i < 0) {
        const char *names[NL_MAX_KEYS];
        for (int k = 0; k < nl_layer_key_count; k++) names[k] = nl_layer_keys[k].name;
        const char *meant = nl_nearest(key, names, (size_t)nl_layer_key_count);
        const int code = nl_key_fail(err, value, path, "unknown key");
        if (meant) nl_hint(err, "did you mean %s?", meant);
        return code;
    }
    if (draft->seen & 1u << i) return nl_key_fail(err, value, path, "given twice");
    draft->seen |= 1u << i;
    return nl_key_parse(draft, &nl_layer_keys[i], path, value, err);
}

/* Keys of each kind of layer: the first one makes the kind. */
static const char *const conv_keys[] = {"conv", "kernel", "pad", "norm", "relu", NULL};
static const char *const max_keys[] = {"pool", "size", "dropout", NULL};
static const char *const average_keys[] = {"pool", NULL};
/* and those without a default */
static const char *const conv_needs[] = {"conv", "kernel", NULL};
static const char *const max_needs[] = {"pool", "size", NULL};

static bool listed(const char *const *list, const char *name) {
    while (*list && strcmp(*list, name) != 0) list++;
    return *list != NULL;
}

static bool was_given(const nl_layer_draft *draft, const char *key) {
    return draft->seen >> nl_key_find(nl_layer_keys, nl_layer_key_count, key) & 1u;
}

int nl_layer_add(nl_config *config, const nl_layer_draft *draft, const nl_scalar *at,
                 nl_error *err) {
    char path[64];
    snprintf(path, sizeof path, "model.layers[%d]", config->model.n_layers + 1);
    const bool conv = was_given(draft, "conv"), pool = was_given(draft, "pool");
    if (conv == pool)
        return nl_key_fail(err, at, path, "a layer has either conv or pool, this one has %s",
                           conv ? "both" : "neither");
    const bool average = pool && draft->pool == 1;
    const char *kind = conv ? "a convolution" : average ? "an average pool" : "a max pool";
    const char *const *allowed = conv ? conv_keys : average ? average_keys : max_keys;
    const char *const *needed = conv ? conv_needs : average ? average_keys : max_needs;
    for (int i = 0; i < nl_layer_key_count; i++)
        if (draft->seen >> i & 1u && !listed(allowed, nl_layer_keys[i].name))
            return nl_key_fail(err, at, path, "%s has no %s", kind, nl_layer_keys[i].name);
    for (; *needed; needed++)
        if (!was_given(draft, *needed))
            return nl_key_fail(err, at, path, "%s needs %s", kind, *needed);
    if (conv && draft->spec.pad >= draft->spec.kernel)
        return nl_key_fail(err, at, path, "pad %d is not below the kernel's %d", draft->spec.pad,
                           draft->spec.kernel);
    if (config->model.n_layers == NL_MAX_LAYERS)
        return nl_key_fail(err, at, "model.layers", "more than %d layers", NL_MAX_LAYERS);

    nl_layer_spec *spec = &config->model.layers[config->model.n_layers++];
    *spec = draft->spec;
    spec->kind = conv ? NL_LAYER_CONV : average ? NL_LAYER_AVG_POOL : NL_LAYER_MAX_POOL;
    spec->line = at->line;
    return NL_OK;
}

/* --- Checks of the whole --------------------------------------------------------------------- */

/* The name becomes a folder beside `report`, and part of file names and pictures. */
static int check_name(const nl_config *config, nl_error *err) {
    const char *name = config->name, *where = config->file[0] ? config->file : "config";
    const size_t length = strlen(name);
    bool good = length > 0 && length <= 100 && isalnum((unsigned char)name[0]);
    for (size_t i = 0; i < length; i++)
        if (!isascii(name[i]) || !(isalnum((unsigned char)name[i]) || strchr(" ._+-=,@", name[i])))
            good = false;
    if (good && name[length - 1] != ' ' && strcmp(name, NL_REPORT_FOLDER) != 0) return NL_OK;
    nl_fail(err, NL_EUSAGE, where, "its name '%.40s' cannot be the name of a run's folder", name);
    return nl_hint(err, "rename the file: letters, digits and ._+-=,@ and spaces within, at most "
                        "100, a letter or digit first, and not '" NL_REPORT_FOLDER "'");
}

/* Kernel, pad and size of a layer are bounded by the picture's larger side. */
static int check_layer(const nl_config *config, int index, nl_error *err) {
    const nl_layer_spec *l = &config->model.layers[index];
    const bool conv = l->kind == NL_LAYER_CONV;
    const int side = nl_image_side(config->data.picture.shape);
    const struct {
        const char *key;
        int value, min, max;
    } limits[] = {{"kernel", conv ? l->kernel : 1, 1, side},
                  {"pad", conv ? l->pad : 0, 0, side - 1},
                  {"size", l->kind == NL_LAYER_MAX_POOL ? l->size : 2, 2, side > 2 ? side : 2}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (limits[i].value <= limits[i].max) continue;
        char path[64];
        const nl_scalar at = {.file = config->file[0] ? config->file : "config",
                              .line = config->file[0] ? l->line : 0,
                              .code = NL_EUSAGE};
        snprintf(path, sizeof path, "model.layers[%d].%s", index + 1, limits[i].key);
        nl_key_fail(err, &at, path, "'%d' is out of range; allowed: whole number, %d to %d",
                    limits[i].value, limits[i].min, limits[i].max);
        return nl_hint(err, "data.shape is [%d, %d, %d]", config->data.picture.shape.channels,
                       config->data.picture.shape.height, config->data.picture.shape.width);
    }
    return NL_OK;
}

int nl_config_check(const nl_config *config, nl_error *err) {
    const char *where = config->file[0] ? config->file : "config";
    int code = check_name(config, err);
    if (!code) code = nl_config_check_picture(config, where, err);
    for (int i = 0; i < config->model.n_layers && !code; i++) code = check_layer(config, i, err);
    if (code) return code;
    if (config->model.n_layers == 0)
        return nl_fail(err, NL_EUSAGE, where, "model.layers: missing; a network needs layers");
    if (config->train.nesterov && config->train.momentum == 0) {
        char place[512];
        nl_key_place(place, sizeof place, config, "train.nesterov", where);
        return nl_fail(err, NL_EUSAGE, place, "train.nesterov: needs a train.momentum above 0");
    }
    return NL_OK;
}

/* --- Seeds ----------------------------------------------------------------------------------- */

uint32_t nl_config_seed(const nl_config *config, enum nl_stream stream) {
    return config->train.vary >> (stream - 1) & 1u ? config->train.seed : NL_FIXED_SEED;
}

/* --- Learning rate --------------------------------------------------------------------------- */

/* cosine: lr/2 (1 + cos(pi epoch / epochs)), from lr at epoch 0 towards 0 at the end: Loshchilov
 * and Hutter 2017, SGDR, equation 5, without restarts and with a minimum of 0. */
double nl_config_lr(const nl_config *config, int epoch) {
    const double pi = 3.14159265358979323846, lr = config->train.lr;
    switch (config->train.schedule.kind) {
    case NL_SCHEDULE_STEP:
        return lr * pow(config->train.schedule.factor, epoch / config->train.schedule.every);
    case NL_SCHEDULE_COSINE:
        if (config->train.epochs == 0) return lr;
        return 0.5 * lr * (1 + cos(pi * epoch / config->train.epochs));
    case NL_SCHEDULE_CONSTANT:
        break;
    }
    return lr;
}
