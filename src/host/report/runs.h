/* A folder of runs in memory: OUT holds variants (configs), a variant holds runs (seeds). */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint32_t

#include "normlab/config.h" // nl_config
#include "normlab/error.h"  // nl_error

struct json_t;

/* One epoch of metrics.jsonl; a null there is NaN here. */
typedef struct nl_point {
    int epoch; /* from 0 */
    double lr, train_loss, train_accuracy, test_loss, test_accuracy, seconds, images_per_second;
} nl_point;

/* One progress record: means over the batches since the last one, in train mode. */
typedef struct nl_piece {
    int epoch;    /* from 0 */
    int64_t step; /* its last one, over the whole run */
    double loss, accuracy;
} nl_piece;

/* One layer record: what flowed through a convolution; a null there is NaN here. */
typedef struct nl_layer_point {
    int epoch; /* from -1: before training */
    char label[32];
    double z_sd, dy_sd, zero, dead;
} nl_layer_point;

/* predictions.csv: what the last weights say about each test image. */
typedef struct nl_guess {
    uint32_t image;
    uint8_t label, prediction;
    double probability;
} nl_guess;

typedef struct nl_seed_run {
    uint32_t seed;
    nl_point *points; /* by epoch, one for each */
    int n_points;
    nl_piece *pieces; /* by step */
    int n_pieces;
    nl_layer_point *layers; /* in the order of the file; of a layer and epoch the last one */
    int n_layers;
    bool finished; /* there is a final record */
    nl_point final;
    nl_guess *guesses; /* by image; NULL: none */
    uint32_t n_guesses;
    struct json_t *info; /* run.json, or NULL */
} nl_seed_run;

typedef struct nl_variant {
    char name[256];
    nl_seed_run *runs; /* by seed */
    int n_runs, n_finished;
    bool has_config; /* of the first run that has one */
    nl_config config;
} nl_variant;

typedef struct nl_folder {
    nl_variant *variants; /* by name */
    int n_variants;
} nl_folder;

/* Reads all runs below `out`; what cannot be read is a warning. Errors: NL_EDATA when there is no
 * run at all. The caller frees. */
int nl_folder_read(nl_folder *study, const char *out, nl_error *err);
void nl_folder_free(nl_folder *study);

/* The parts of it, by file. A missing file gives nothing and no warning. */
void nl_seed_run_read_metrics(nl_seed_run *run, const char *path);
void nl_seed_run_read_guesses(nl_seed_run *run, const char *path);

/* The run of that seed, or NULL. */
const nl_seed_run *nl_variant_run(const nl_variant *variant, uint32_t seed);

/* Whether a run counts in the variant's figures and curves: finished, or all of them as long as
 * none is finished. */
bool nl_variant_counts(const nl_variant *variant, const nl_seed_run *run);

/* Whether a run of it was trained or tested on a part of the data alone (--limit-batches). */
bool nl_variant_limited(const nl_variant *variant);

/* The path of folder and file; the caller frees. */
char *nl_path(const char *folder, const char *file);
