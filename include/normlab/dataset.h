/* Data in memory: images of bytes, each with a label. */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint8_t, uint32_t

#include "normlab/error.h"   // nl_error
#include "normlab/picture.h" // nl_picture

typedef struct nl_split {
    uint32_t count;
    uint8_t *images; /* (count, channels, height, width) */
    uint8_t *labels; /* (count): 0 to classes - 1 */
} nl_split;

/* The files of an IDX set, in this order everywhere. */
enum nl_file { NL_TRAIN_IMAGES, NL_TRAIN_LABELS, NL_TEST_IMAGES, NL_TEST_LABELS, NL_FILES };

/* Enough for CIFAR-10: five of train and one of test. */
enum { NL_MAX_FILES = 6 };

/* A file that was read. */
typedef struct nl_read_file {
    char name[64];   /* without .gz */
    char sha256[65]; /* hex, of the raw (inflated) content */
} nl_read_file;

typedef struct nl_dataset {
    nl_picture picture; /* what the files were held against */
    nl_split train, test;
    nl_read_file files[NL_MAX_FILES];
    int n_files;
    char dir[4096]; /* where they were read, as an absolute path */
} nl_dataset;

/* The usual name of an IDX set's file, as train-images-idx3-ubyte; it may lie in the folder with .gz
 * behind it. */
const char *nl_file_name(enum nl_file file);

/* The default folder of a set (data.set): $NORMLAB_DATA, else SET in the cache (cache_folder.h), or,
 * where there is none, here. */
void nl_dataset_default_dir(char *dir, size_t size, const char *set);

/* Reads raw or gzipped files. Magic, dimensions, exact length, equal counts and labels are checked
 * before anything is believed; shape and labels have to be those of the picture. Errors: NL_EDATA
 * with file and position. The caller frees. */
int nl_dataset_load(nl_dataset *data, const char *dir, const nl_picture *picture, nl_error *err);

/* The same of the files of one split alone, or both; of the other nothing is needed, and it stays
 * empty. */
int nl_dataset_load_part(nl_dataset *data, const char *dir, const nl_picture *picture, bool train,
                         bool test, nl_error *err);
void nl_dataset_free(nl_dataset *data);
