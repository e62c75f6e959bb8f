/* The table of keys, and its wording in help and errors. */
#include "config_keys.h"

#include <assert.h> // static_assert
#include <math.h>   // INFINITY, isfinite
#include <stdarg.h> // va_list
#include <stdio.h>  // snprintf
#include <string.h> // strcmp

#include "base/number.h" // nl_shortest

/* --- The table ------------------------------------------------------------------------------- */

const char *const nl_norm_words[] = {
    [NL_NORM_NONE] = "none",   [NL_NORM_BATCH] = "batch",       [NL_NORM_LAYER] = "layer",
    [NL_NORM_GROUP] = "group", [NL_NORM_INSTANCE] = "instance", [NL_NORM_RMS] = "rms",
    [NL_NORMS] = NULL};
static const char *const schedule_words[] = {"constant", "step", "cosine", NULL};
static const char *const math_words[] = {"fp32", "tf32", NULL};
static const char *const pool_words[] = {"max", "average", NULL};
const char *const nl_stream_words[] = {"init", "order", "augment", "dropout", NULL};
static_assert(NL_SCHEDULE_COSINE == 2 && NL_MATH_TF32 == 1,
              "words are listed by the value of their enum");
static_assert(NL_STREAM_INIT == 1 && NL_STREAM_ORDER == 2 && NL_STREAM_ROTATION == 3 &&
                  NL_STREAM_DROPOUT == 4,
              "streams are listed by their numbers, from 1");
static_assert(sizeof(nl_norm) == sizeof(int), "an enum is written through an int");

#define ANY                                                                                        \
    { -INFINITY, INFINITY, false, false }
#define ABOVE(limit)                                                                               \
    { limit, INFINITY, true, false }
#define FROM(limit)                                                                                \
    { limit, INFINITY, false, false }
#define FROM_TO(low, high)                                                                         \
    { low, high, false, false }
#define FROM_BELOW(low, high)                                                                      \
    { low, high, false, true }
#define AT(field) offsetof(nl_config, field)

// clang-format off
const nl_key nl_config_keys[] = {
    {"data.set", NL_KEY_NAME, AT(data.picture.set), ANY, NULL, "mnist",
     "its folder in the cache; a known set has defaults for the five keys below"},
    {"data.shape", NL_KEY_SHAPE, AT(data.picture.shape), FROM_TO(1, NL_MAX_SIDE), NULL, NULL,
     "channels, height and width of an image"},
    {"data.classes", NL_KEY_INT, AT(data.picture.classes), FROM_TO(2, NL_MAX_CLASSES), NULL, NULL,
     "labels are 0 to one less"},
    {"data.class_names", NL_KEY_NAMES, AT(data.picture.names), ANY, NULL, NULL,
     "what they mean"},
    {"data.mean", NL_KEY_REALS, AT(data.picture.mean), ANY, NULL, NULL,
     "mean of the pixels / 255"},
    {"data.std", NL_KEY_REALS, AT(data.picture.std), ABOVE(0), NULL, NULL,
     "their standard deviation"},
    {"data.rotate", NL_KEY_REAL, AT(data.rotate), FROM_TO(0, 180), NULL, "7",
     "largest rotation of a training image, degrees"},
    {"data.shuffle", NL_KEY_BOOL, AT(data.shuffle), ANY, NULL, "true",
     "new order of the training images in each epoch"},
    {"data.batch", NL_KEY_INT, AT(data.batch), FROM(1), NULL, "64",
     "images a training step"},
    {"model.norm", NL_KEY_WORD, AT(model.norm), ANY, nl_norm_words, "batch",
     "of all layers with a norm"},
    {"model.group_size", NL_KEY_INT, AT(model.group_size), FROM(1), NULL, "4",
     "channels a group, for norm: group"},
    {"model.eps", NL_KEY_REAL, AT(model.eps), FROM_TO(1e-12, 1), NULL, "1e-5",
     "added to a variance under the root"},
    {"model.dropout", NL_KEY_REAL, AT(model.dropout), FROM_BELOW(0, 1), NULL, "0.05",
     "share of elements dropped"},
    {"train.epochs", NL_KEY_INT, AT(train.epochs), FROM(0), NULL, "20",
     "passes over the training images"},
    {"train.lr", NL_KEY_REAL, AT(train.lr), ABOVE(0), NULL, "0.01",
     "learning rate of the first epoch"},
    {"train.momentum", NL_KEY_REAL, AT(train.momentum), FROM_BELOW(0, 1), NULL, "0.9",
     "of the gradient descent"},
    {"train.nesterov", NL_KEY_BOOL, AT(train.nesterov), ANY, NULL, "false",
     "Nesterov's form of it"},
    {"train.l1", NL_KEY_REAL, AT(train.l1), FROM(0), NULL, "0",
     "times the sum of |p| over all parameters"},
    {"train.weight_decay", NL_KEY_REAL, AT(train.weight_decay), FROM(0), NULL, "0",
     "times p, added to the gradient of p"},
    {"train.norm_momentum", NL_KEY_REAL, AT(train.norm_momentum), FROM_TO(0, 1), NULL, "0.1",
     "of the running values of batch norm"},
    {"train.schedule.kind", NL_KEY_WORD, AT(train.schedule.kind), ANY, schedule_words, "step",
     "of the learning rate"},
    {"train.schedule.every", NL_KEY_INT, AT(train.schedule.every), FROM(1), NULL, "5",
     "epochs between two steps"},
    {"train.schedule.factor", NL_KEY_REAL, AT(train.schedule.factor), ABOVE(0), NULL, "0.1",
     "of one step"},
    {"train.seed", NL_KEY_SEED, AT(train.seed), FROM_TO(0, UINT32_MAX), NULL, "1",
     "of the random numbers"},
    {"train.vary", NL_KEY_SET, AT(train.vary), ANY, nl_stream_words, "all",
     "what of them follows the seed; the rest keeps seed 1"},
    {"train.math", NL_KEY_WORD, AT(train.math), ANY, math_words, "fp32",
     "of convolutions on a GPU"},
};
#undef AT

#define AT(field) offsetof(nl_layer_draft, field)
const nl_key nl_layer_keys[] = {
    {"conv", NL_KEY_INT, AT(spec.out), FROM_TO(1, 4096), NULL, NULL, "output channels"},
    {"kernel", NL_KEY_INT, AT(spec.kernel), FROM_TO(1, NL_MAX_SIDE), NULL, NULL, "its width and height, at most the picture's"},
    {"pad", NL_KEY_INT, AT(spec.pad), FROM_TO(0, NL_MAX_SIDE - 1), NULL, NULL, "zeros at each edge"},
    {"norm", NL_KEY_NORM, AT(spec.norm), ANY, nl_norm_words, NULL, "then that of model.norm, or its own"},
    {"relu", NL_KEY_BOOL, AT(spec.relu), ANY, NULL, NULL, "then ReLU"},
    {"pool", NL_KEY_WORD, AT(pool), ANY, pool_words, NULL, "average: global, the last layer"},
    {"size", NL_KEY_INT, AT(spec.size), FROM_TO(2, NL_MAX_SIDE), NULL, NULL, "width, height and stride"},
    {"dropout", NL_KEY_BOOL, AT(spec.dropout), ANY, NULL, NULL, "then dropout"},
};
#undef AT
// clang-format on

const int nl_config_key_count = sizeof nl_config_keys / sizeof *nl_config_keys;
const int nl_layer_key_count = sizeof nl_layer_keys / sizeof *nl_layer_keys;
static_assert(sizeof nl_config_keys / sizeof *nl_config_keys <= NL_MAX_KEYS, "too many keys");

int nl_key_find(const nl_key *keys, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (!strcmp(keys[i].name, name)) return i;
    return -1;
}

/* --- Wording --------------------------------------------------------------------------------- */

static void words_text(char *text, size_t size, const char *const *words) {
    size_t used = 0;
    text[0] = '\0';
    for (; *words && used < size; words++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " | " : "", *words);
}

static void numbers_text(char *text, size_t size, const nl_key *key) {
    const bool real = key->type == NL_KEY_REAL || key->type == NL_KEY_REALS;
    const char *kind = real ? "number" : "whole number";
    const nl_limits *l = &key->limits;
    const nl_number min = nl_shortest(l->min), max = nl_shortest(l->max);
    if (isfinite(l->max) && l->below)
        snprintf(text, size, "%s, %s or more and below %s", kind, min.text, max.text);
    else if (isfinite(l->max))
        snprintf(text, size, "%s, %s to %s", kind, min.text, max.text);
    else if (isfinite(l->min))
        snprintf(text, size, l->above ? "%s above %s" : "%s, %s or more", kind, min.text);
    else
        snprintf(text, size, "%s", kind);
}

void nl_key_range(char *text, size_t size, const nl_key *key) {
    char part[96];
    switch (key->type) {
    case NL_KEY_BOOL:
        snprintf(text, size, "true | false");
        break;
    case NL_KEY_WORD:
        words_text(text, size, key->words);
        break;
    case NL_KEY_NORM:
        words_text(part, sizeof part, key->words);
        snprintf(text, size, "true | false | %s", part);
        break;
    case NL_KEY_NAME:
        snprintf(text, size, "letters, digits, - _ and ., at most %d", NL_SET_NAME - 1);
        break;
    case NL_KEY_SHAPE:
        snprintf(text, size, "[1 to %d, 1 to %d, 1 to %d]", NL_MAX_CHANNELS, NL_MAX_SIDE,
                 NL_MAX_SIDE);
        break;
    case NL_KEY_NAMES:
        snprintf(text, size, "[a name a class], of at most %d bytes", NL_CLASS_NAME - 1);
        break;
    case NL_KEY_SET:
        words_text(part, sizeof part, key->words);
        snprintf(text, size, "all, or [one or more of %s]", part);
        break;
    case NL_KEY_REALS:
        numbers_text(part, sizeof part, key);
        snprintf(text, size, "%s, or [one a channel]", part);
        break;
    default:
        numbers_text(text, size, key);
    }
}

bool nl_key_takes_list(const nl_key *key) {
    return key->type == NL_KEY_SHAPE || key->type == NL_KEY_REALS || key->type == NL_KEY_NAMES ||
           key->type == NL_KEY_SET;
}

int nl_key_fail(nl_error *err, const nl_scalar *at, const char *path, const char *what, ...) {
    char where[512], text[512];
    if (at->line > 0)
        snprintf(where, sizeof where, "%s:%d", at->file, at->line);
    else
        snprintf(where, sizeof where, "%s", at->file);
    va_list args;
    va_start(args, what);
    vsnprintf(text, sizeof text, what, args);
    va_end(args);
    return nl_fail(err, at->code, where, "%s: %s", path, text);
}

void nl_key_place(char *where, size_t size, const nl_config *config, const char *name,
                  const char *otherwise) {
    const int key = nl_key_find(nl_config_keys, nl_config_key_count, name);
    NL_ASSERT(key >= 0);
    const int line = config->lines[key];
    if (line == NL_FROM_SET)
        snprintf(where, size, "--set");
    else if (line > 0 && config->file[0])
        snprintf(where, size, "%s:%d", config->file, line);
    else
        snprintf(where, size, "%s", otherwise);
}

static void help_lines(FILE *stream, const nl_key *keys, int count) {
    char range[128];
    for (int i = 0; i < count; i++) {
        nl_key_range(range, sizeof range, &keys[i]);
        fprintf(stream, "  %-21s  %-6s  %s (%s)\n", keys[i].name,
                keys[i].fallback ? keys[i].fallback : "", keys[i].help, range);
    }
}

char *nl_config_help(void) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = nl_text_open(&text, &size);
    fputs("  key                    default meaning (allowed values)\n", stream);
    help_lines(stream, nl_config_keys, nl_config_key_count);
    fputs("\nof each entry of model.layers, which stands in the file only\n", stream);
    help_lines(stream, nl_layer_keys, nl_layer_key_count);
    nl_text_close(stream);
    return text;
}
