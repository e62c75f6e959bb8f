/* The arguments of normlab train. */
#pragma once

#include "normlab/train.h" // nl_train_options
#include "options.h"       // nl_seeds
#include "shard.h"         // nl_shard

typedef struct train_arguments {
    const char **paths; /* of configs */
    int n_paths;
    const char **assignments; /* --set and --epochs, in the order they were given */
    int n_assignments;
    nl_seeds seeds;
    const char *device, *data;
    bool no_report;
    nl_train_options options;
    nl_shard shard;
    nl_error err;
    char epochs[32]; /* the assignment that --epochs stands for */
    char default_data[4096], default_out[64];
} train_arguments;

/* Without --out: makes a new folder runs/<UTC time>, -2, -3 and so on behind it where there is one
 * already, and notes it in the options. Errors: NL_EWRITE. */
int train_arguments_make_out(train_arguments *a);

/* Fills in the defaults too. The error is in a->err. Free in either case. */
int train_arguments_parse(train_arguments *a, int argc, char **argv);
void train_arguments_free(train_arguments *a);
