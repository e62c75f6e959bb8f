/* A random network trained on one backend: what random_check.c compares. */
#pragma once

#include "normlab/random_net.h"
#include "normlab/rotation.h" // nl_rotation

enum { NL_RANDOM_EPOCHS = 2, NL_RANDOM_STEPS = NL_RANDOM_IMAGES };

/* A network ready to run. */
typedef struct nl_random_bench {
    nl_config config;
    nl_model model;
    nl_dataset data;
    nl_engine_spec spec;
    const nl_random_net *net;
    uint32_t order[NL_RANDOM_EPOCHS][NL_RANDOM_IMAGES];
    nl_rotation rotations[NL_RANDOM_EPOCHS][NL_RANDOM_IMAGES];
    nl_epoch epochs[NL_RANDOM_EPOCHS];
    float *params, *buffers; /* at the start */
} nl_random_bench;

/* What comes of it on one backend; states in double. */
typedef struct nl_random_trail {
    const nl_backend *backend;
    nl_step_record records[NL_RANDOM_EPOCHS][NL_RANDOM_STEPS];
    double *left;             /* by the first step: momentum, running values */
    double *params, *buffers; /* after the last */
    double own_loss, loss;    /* evaluated with its own weights; with those of double precision */
    uint32_t hits;
    double *logits; /* (images, classes) */
} nl_random_trail;

/* Errors: what the config's reader says. The caller closes it; after an error there is nothing to
 * close. */
int nl_random_bench_open(nl_random_bench *b, const nl_random_net *net, nl_error *err);
void nl_random_bench_close(nl_random_bench *b);

nl_random_trail *nl_random_trail_make(const nl_random_bench *b, const nl_backend *backend);
void nl_random_trail_free(nl_random_trail *t);

/* Trains, and evaluates with the weights `given` too; NULL: with its own, rounded to float. */
int nl_random_trail_run(nl_random_trail *t, const nl_random_bench *b, const nl_random_trail *given,
                        nl_error *err);
