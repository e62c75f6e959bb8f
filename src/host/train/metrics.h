/* metrics.jsonl: one record a line, flushed at each line. A number that is not finite is null. */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // int64_t
#include <stdio.h>   // FILE

#include "run_folder.h" // NL_PATH_SIZE

#include "normlab/error.h"       // nl_error
#include "normlab/layer_stats.h" // nl_layer_stats
#include "normlab/train.h"       // nl_final

typedef struct nl_metrics {
    FILE *file;
    char path[NL_PATH_SIZE];
} nl_metrics;

typedef struct nl_epoch_record {
    uint32_t epoch;
    double lr, train_loss, train_accuracy, test_loss, test_accuracy;
    double seconds; /* the training part alone */
    uint64_t images;
} nl_epoch_record;

/* Opens for appending behind the first `keep` bytes; what lies behind them is cut off. Errors:
 * NL_EDATA if the file is shorter, NL_EWRITE. */
int nl_metrics_open(nl_metrics *metrics, const char *path, int64_t keep, nl_error *err);
void nl_metrics_close(nl_metrics *metrics);

/* Errors of all: NL_EWRITE. */
int nl_metrics_step(nl_metrics *metrics, uint32_t epoch, uint64_t step, double loss, double penalty,
                    nl_error *err);
/* Means over the batches since the last such record: loss without penalty, accuracy in per cent. */
int nl_metrics_progress(nl_metrics *metrics, uint32_t epoch, uint64_t step, double loss,
                        double accuracy, nl_error *err);
int nl_metrics_epoch(nl_metrics *metrics, const nl_epoch_record *record, nl_error *err);
/* Statistics of one convolution; epoch: trained last, -1 before the first. */
int nl_metrics_layer(nl_metrics *metrics, int64_t epoch, const nl_layer_stats *layer,
                     nl_error *err);
int nl_metrics_final(nl_metrics *metrics, const nl_final *final, nl_error *err);

/* Puts all records on the disk; *bytes: the size of the file. */
int nl_metrics_sync(nl_metrics *metrics, int64_t *bytes, nl_error *err);

/* The final record of a file, if there is one. */
bool nl_metrics_read_final(const char *path, nl_final *final);
