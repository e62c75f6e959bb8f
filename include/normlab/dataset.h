/* Data in memory: any IDX set of 28 x 28 8-bit images with labels 0 to 9 (MNIST, Fashion-MNIST). */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint8_t, uint32_t

#include "normlab/error.h"    // nl_error
#include "normlab/rotation.h" // NL_PIXELS

typedef struct nl_split {
    uint32_t count;
    uint8_t *images; /* (count, 28, 28) */
    uint8_t *labels; /* (count) */
} nl_split;

/* The four files, in this order everywhere. */
enum nl_file { NL_TRAIN_IMAGES, NL_TRAIN_LABELS, NL_TEST_IMAGES, NL_TEST_LABELS, NL_FILES };

typedef struct nl_dataset {
    nl_split train, test;
    char sha256[NL_FILES][65]; /* hex, of the raw (inflated) files */
    char dir[4096];            /* where they were read, as an absolute path */
} nl_dataset;

/* The file's usual name, as train-images-idx3-ubyte; it may lie in the folder with .gz behind it.
 */
const char *nl_file_name(enum nl_file file);

/* The default folder: $NORMLAB_DATA, else $XDG_CACHE_HOME/normlab/mnist, else
 * ~/.cache/normlab/mnist. */
void nl_dataset_default_dir(char *dir, size_t size);

/* Reads raw or gzipped files. Magic, dimensions, exact length, equal counts and labels are checked
 * before anything is believed. Errors: NL_EDATA with file and position. The caller frees. */
int nl_dataset_load(nl_dataset *data, const char *dir, nl_error *err);

/* The same of the files of one split alone, or both; of the other nothing is needed, and it stays
 * empty. */
int nl_dataset_load_part(nl_dataset *data, const char *dir, bool train, bool test, nl_error *err);
void nl_dataset_free(nl_dataset *data);

/* table[p] = (p / 255 - mean) / std in double, rounded to float once. */
void nl_pixel_table(float table[256], double mean, double std);
