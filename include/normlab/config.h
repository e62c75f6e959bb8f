/* The configuration of one variant: YAML file, then --set, then checks. See configs/ for examples
 * and `normlab train --help` for all keys with ranges and defaults (one table serves file, --set,
 * help and errors: src/host/config/config_keys.c).
 */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint32_t
#include <stdio.h>   // FILE

#include "normlab/error.h"   // nl_error
#include "normlab/picture.h" // nl_picture
#include "normlab/rng.h"     // nl_stream

struct json_t;

enum { NL_MAX_LAYERS = 64, NL_MAX_KEYS = 32 };

/* Where a key's value came from, if not from a line of the file (nl_config.lines). */
enum { NL_FROM_DEFAULT = 0, NL_FROM_SET = -1, NL_FROM_RECORD = -2 };

typedef enum nl_norm {
    NL_NORM_NONE,
    NL_NORM_BATCH,
    NL_NORM_LAYER,
    NL_NORM_GROUP,
    NL_NORM_INSTANCE,
    NL_NORM_RMS,
    NL_NORMS,
    NL_NORM_OF_MODEL = NL_NORMS /* of a layer: what model.norm says */
} nl_norm;
/* What a config calls them, by value; closed by NULL. */
extern const char *const nl_norm_words[NL_NORMS + 1];

/* The random streams that train.vary names, from NL_STREAM_INIT on; closed by NULL. */
extern const char *const nl_stream_words[];

typedef enum nl_schedule { NL_SCHEDULE_CONSTANT, NL_SCHEDULE_STEP, NL_SCHEDULE_COSINE } nl_schedule;
typedef enum nl_math { NL_MATH_FP32, NL_MATH_TF32 } nl_math;
typedef enum nl_layer_kind { NL_LAYER_CONV, NL_LAYER_MAX_POOL, NL_LAYER_AVG_POOL } nl_layer_kind;

/* One entry of model.layers:
 *   - {conv: 96, kernel: 5, pad: 2, norm: true, relu: true}     stride 1, with bias;
 *                       norm: true is model.norm, a name of it is the layer's own
 *   - {pool: max, size: 2, dropout: true}                       stride = size
 *   - {pool: average}                                           global, the last layer */
typedef struct nl_layer_spec {
    nl_layer_kind kind;
    int out, kernel, pad; /* convolution */
    nl_norm norm;         /* convolution: followed by this and then by ReLU */
    bool relu;
    int size;     /* max pool */
    bool dropout; /* max pool: followed by dropout with model.dropout */
    int line;     /* of the config file, for errors; 0: unknown */
} nl_layer_spec;

typedef struct nl_config {
    char name[128];         /* file name without folder and .yaml */
    char file[400];         /* for errors; empty: not read from a file */
    int lines[NL_MAX_KEYS]; /* by key of the table: line of the file, or NL_FROM_... */
    struct {
        nl_picture picture;
        double rotate; /* degrees, 0 to 180 */
        bool shuffle;
        int batch;
    } data;
    struct {
        nl_norm norm;
        int group_size; /* channels a group, for NL_NORM_GROUP */
        double eps;
        double dropout;
        nl_layer_spec layers[NL_MAX_LAYERS];
        int n_layers;
    } model;
    struct {
        int epochs;
        double lr, momentum, l1, weight_decay;
        bool nesterov;
        uint32_t seed;
        unsigned vary;        /* bit s - 1: stream s follows the seed; see nl_config_seed */
        double norm_momentum; /* of batch norm's running values */
        nl_math math;
        struct {
            nl_schedule kind;
            int every; /* epochs */
            double factor;
        } schedule;
    } train;
} nl_config;

/* Reads and checks one file. Errors: NL_EUSAGE with file:line and key. */
int nl_config_load(nl_config *config, const char *path, nl_error *err);

/* Reads an open file, which stays the caller's; `path` is what names and errors call it. Call
 * nl_config_check after the last --set. Errors as above. */
int nl_config_read(nl_config *config, FILE *file, const char *path, nl_error *err);

/* Applies one KEY=VALUE; call nl_config_check after the last one. */
int nl_config_set(nl_config *config, const char *assignment, nl_error *err);

/* Checks what concerns more than one key but not the network (nl_model_check, model.h).
 * nl_config_load has done it already. */
int nl_config_check(const nl_config *config, nl_error *err);

/* The shape, classes, names, mean and deviation of a set that normlab knows; false: it does not. */
bool nl_picture_of_set(nl_picture *picture, const char *set);

/* The resolved config as a JSON object (the caller owns it), and back (errors: NL_EDATA at
 * `where`). */
struct json_t *nl_config_to_json(const nl_config *config);
int nl_config_from_json(nl_config *config, const struct json_t *json, const char *where,
                        nl_error *err);

/* The dotted names of the keys in which the two differ, in the order of the table, model.layers
 * last; returns their number. Names and files of the configs are not compared. */
int nl_config_differences(const char *keys[NL_MAX_KEYS + 1], const nl_config *a,
                          const nl_config *b);

/* One line a key: name, type, range, default, help; for --help. The caller frees. */
char *nl_config_help(void);

/* The seed of one stream of random numbers: the run's, or NL_FIXED_SEED for one that train.vary leaves
 * out. Whatever draws numbers for a run asks here. */
enum { NL_FIXED_SEED = 1 };
uint32_t nl_config_seed(const nl_config *config, enum nl_stream stream);

/* The learning rate of an epoch, from 0. */
double nl_config_lr(const nl_config *config, int epoch);
