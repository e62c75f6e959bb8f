/* The table of keys: what may stand in a config, and how its text becomes a value. The same rows
 * serve the file, --set, the config inside a checkpoint, --help and the wording of every error.
 */
#pragma once

#include <stdbool.h> // bool
#include <stddef.h>  // size_t

#include "normlab/config.h" // nl_config, nl_layer_spec, nl_error

typedef enum nl_key_type {
    NL_KEY_BOOL,
    NL_KEY_INT,
    NL_KEY_SEED,
    NL_KEY_REAL,
    NL_KEY_WORD,
    NL_KEY_NORM,  /* a layer's: true, false or a word */
    NL_KEY_NAME,  /* char[NL_SET_NAME]: a folder's */
    NL_KEY_SHAPE, /* nl_image_shape: [channels, height, width] */
    NL_KEY_REALS, /* nl_by_channel: a number, or a list of one a channel */
    NL_KEY_NAMES, /* char[NL_MAX_CLASSES][NL_CLASS_NAME]: a list */
    NL_KEY_SET    /* unsigned: a list of words, or "all"; bit i for word i */
} nl_key_type;

/* Allowed numbers; INFINITY: no limit worth telling. */
typedef struct nl_limits {
    double min, max;
    bool above, below; /* the limit itself is not allowed */
} nl_limits;

typedef struct nl_key {
    const char *name; /* dotted path */
    nl_key_type type;
    size_t offset; /* of the value in its struct */
    nl_limits limits;
    const char *const *words; /* of a word: by value of the enum; of a set; closed by NULL */
    const char *fallback;     /* the default, as text; NULL: none, or that of data.set */
    const char *help;
} nl_key;

extern const nl_key nl_config_keys[]; /* into nl_config */
extern const int nl_config_key_count;

/* One entry of model.layers while it is read. */
typedef struct nl_layer_draft {
    nl_layer_spec spec;
    int pool;      /* 0 max, 1 average */
    unsigned seen; /* bit i: row i of the table was given */
} nl_layer_draft;

extern const nl_key nl_layer_keys[]; /* into nl_layer_draft */
extern const int nl_layer_key_count;

/* A value as it was found: its text, or the values of a list, and where. */
typedef struct nl_scalar {
    const char *text;
    const struct nl_scalar *items; /* NULL: no list */
    int n_items;
    bool quoted;      /* a string, which no number and no bool is */
    const char *file; /* or "--set", or what a checkpoint is called */
    int line;         /* 0: there are no lines */
    int code;         /* of the errors */
} nl_scalar;

/* Whether a list may stand for its value. */
bool nl_key_takes_list(const nl_key *key);

/* The row of that name, or -1. */
int nl_key_find(const nl_key *keys, int count, const char *name);

/* Parses the text into the struct at `base`. `path` is the key's name in errors. */
int nl_key_parse(void *base, const nl_key *key, const char *path, const nl_scalar *value,
                 nl_error *err);

/* The allowed values in words: "whole number, 1 or more". */
void nl_key_range(char *text, size_t size, const nl_key *key);

/* nl_fail at the value's place: WHERE is FILE:LINE, WHAT begins with the path. */
int nl_key_fail(nl_error *err, const nl_scalar *at, const char *path, const char *what, ...)
    __attribute__((format(printf, 4, 5)));

/* Where the value of a key came from, for errors: --set, or the line of the file, or, for a
 * default, the text given. */
void nl_key_place(char *where, size_t size, const nl_config *config, const char *name,
                  const char *otherwise);
