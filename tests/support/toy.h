/* A study small enough for tests: a network of two convolutions, 44 training and 20 test images,
 * batches of 8 (the last holds 4), 2 epochs: 6 steps each.
 */
#pragma once

#include "normlab/dataset.h" // nl_dataset
#include "normlab/train.h"   // nl_study

enum { TOY_TRAIN = 44, TOY_TEST = 20, TOY_BATCH = 8, TOY_STEPS = 6, TOY_EPOCHS = 2 };

typedef struct toy {
    char *dir; /* a new folder: data/, toy.yaml */
    char out[256];
    nl_dataset data;
    nl_config config;
    nl_study study;
} toy;

/* Batch norm, trained by the double-precision backend, into dir/out. Change study, options or
 * config as you like before toy_train. */
void toy_open(toy *t);
void toy_close(toy *t);

/* Checks and trains as the command does; standard output is muted. Returns the exit code; a failure
 * is in *err. */
int toy_train(toy *t, nl_error *err);

/* A file of the unit: its content with a closing 0, or NULL where there is none. The caller frees.
 */
char *toy_read(const toy *t, const char *out, const char *file, size_t *size);

/* Whether a file of the unit has the same bytes in both folders. */
bool toy_same(const toy *t, const char *out_a, const char *out_b, const char *file);

/* The same of what lies behind the headers of two checkpoints: the weights. */
bool toy_same_weights(const toy *t, const char *out_a, const char *file_a, const char *out_b,
                      const char *file_b);
