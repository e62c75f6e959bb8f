/* metrics.jsonl: one record a line, flushed at each line. A number that is not finite is null, and
 * what is null, or not there, is read as NaN. Writing and reading go by one table of the records'
 * keys (metrics.c).
 */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // int64_t
#include <stdio.h>   // FILE

#include "run_folder.h" // NL_PATH_SIZE

#include "normlab/error.h"       // nl_error
#include "normlab/layer_stats.h" // nl_mean_sd
#include "normlab/train.h"       // nl_final

typedef enum nl_event {
    NL_EVENT_STEP,
    NL_EVENT_PROGRESS, /* means over the batches since the last one: loss without penalty */
    NL_EVENT_EPOCH,
    NL_EVENT_LAYER, /* of one convolution; epoch: trained last, -1 before the first */
    NL_EVENT_FINAL,
    NL_EVENTS
} nl_event;

/* One record. Of its values those count that its event has; accuracies are in per cent. */
typedef struct nl_metrics_record {
    nl_event event;
    int64_t epoch, step;            /* step: over the whole run */
    double loss, penalty, accuracy; /* of a step or a piece */
    double lr;
    nl_final figures;
    double seconds, images_per_second; /* the training part alone */
    char layer[32];                    /* conv1 ... */
    nl_mean_sd z, y, dy, dw;           /* layer_stats.h */
    double zero, dead;
} nl_metrics_record;

typedef struct nl_metrics {
    FILE *file;
    char path[NL_PATH_SIZE];
} nl_metrics;

/* Opens for appending behind the first `keep` bytes, which become a new file: what was behind them
 * is gone, and so is all that a process writes that had the old file open. Errors: NL_EDATA if the
 * file is shorter or cannot be read, NL_EWRITE. */
int nl_metrics_open(nl_metrics *metrics, const char *path, int64_t keep, nl_error *err);
void nl_metrics_close(nl_metrics *metrics);

/* lr is written with 12 digits, seconds and images_per_second with 4 decimals and 1. Errors:
 * NL_EWRITE. */
int nl_metrics_write(nl_metrics *metrics, const nl_metrics_record *record, nl_error *err);

/* Puts all records on the disk; *bytes: the size of the file. Errors: NL_EWRITE. */
int nl_metrics_sync(nl_metrics *metrics, int64_t *bytes, nl_error *err);

/* Hands every record of a file to `take`, line by line; events of other versions are passed over.
 * A line that is no record, or that `take` refuses, is a warning, and so is a file that cannot be
 * read; one that is not there is as good as empty. */
void nl_metrics_read(const char *path, bool (*take)(void *to, const nl_metrics_record *record),
                     void *to);

/* The final record of a file, if there is one with all four figures. */
bool nl_metrics_read_final(const char *path, nl_final *final);
