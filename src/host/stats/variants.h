/* The figures of runs in memory: a folder holds variants (configs), a variant holds runs (seeds).
 */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint32_t

#include "normlab/config.h" // nl_config

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
    double probability, loss; /* loss: NaN in files that do not tell it */
} nl_guess;

/* How a run ended, or that it has not. */
typedef enum nl_run_end {
    NL_END_FINISHED,    /* there is a final record */
    NL_END_FAILED,      /* its loss was no longer finite, or an error stopped it */
    NL_END_INTERRUPTED, /* by a signal, or killed: nobody trains it now */
    NL_END_RUNNING,
    NL_END_LOST /* finished, says its run.json, but its final record is gone */
} nl_run_end;

typedef struct nl_seed_run {
    uint32_t seed;
    char *folder;     /* where it lies, for messages */
    nl_point *points; /* by epoch, one for each; none: it did not come to the end of an epoch */
    int n_points;
    nl_piece *pieces; /* by step */
    int n_pieces;
    nl_layer_point *layers; /* in the order of the file; of a layer and epoch the last one */
    int n_layers;
    nl_run_end end;
    bool finished; /* there is a final record, and end says so too */
    nl_point final;
    nl_guess *guesses; /* by image; NULL: none */
    uint32_t n_guesses;
    struct json_t *info; /* run.json, or NULL: name and seed are those of the folder */
    bool has_config;     /* run.json holds one that can be read */
    nl_config config;
} nl_seed_run;

enum { NL_LABEL_WIDTH = 28 }; /* characters */

/* A short name, which stands beside a curve. */
typedef struct nl_label {
    char text[NL_LABEL_WIDTH * 4 + 1]; /* UTF-8 */
} nl_label;

/* Runs of one name, one config (but for the seed) and one data set. */
typedef struct nl_variant {
    char name[272];    /* unique in its nl_folder */
    nl_label label;    /* the name, short; unique too */
    char of[256];      /* the config's: the name, unless these runs stand apart from others of it */
    char *apart;       /* the keys in which they differ from those that kept the name; NULL: none */
    nl_seed_run *runs; /* by seed; at least one */
    int n_runs, n_finished;
    bool has_config; /* of the first run that has one */
    nl_config config;
} nl_variant;

typedef struct nl_folder {
    nl_variant *variants;
    int n_variants;
} nl_folder;

/* Final test figures. Accuracy, in per cent, is the primary one. The loss, per image, also measures
 * confidence: what moves it at equal accuracy (L1, say) is not what a norm does. */
typedef enum nl_metric { NL_METRIC_ACCURACY, NL_METRIC_LOSS, NL_METRICS } nl_metric;

/* The final test figure of a run; NaN where it did not finish. */
double nl_metric_of(const nl_seed_run *run, nl_metric metric);

/* The run of that seed, or NULL. */
const nl_seed_run *nl_variant_run(const nl_variant *variant, uint32_t seed);

/* Whether a run counts in the variant's figures and curves: finished, or all of them as long as
 * none is finished. */
bool nl_variant_counts(const nl_variant *variant, const nl_seed_run *run);
