/* What lies in a folder of data: in which of the formats that are read, under which names.
 */
#pragma once

#include <stdbool.h> // bool

#include "normlab/dataset.h" // NL_MAX_FILES
#include "normlab/error.h"   // nl_error

typedef enum nl_reader { NL_READ_IDX, NL_READ_CIFAR } nl_reader;

/* Files as they are published together. */
typedef struct nl_format {
    const char *set;                 /* the set that has it, or the best known of them */
    const char *below;               /* the folder that the archive unpacks to; NULL: none */
    const char *files[NL_MAX_FILES]; /* IDX: images, labels, of train, then of test */
    int n_train, n_files;            /* the first n_train are of train */
    nl_reader reader;
    int label_bytes; /* of CIFAR's records */
    int first_label; /* the number of class 0 in the files */
    bool turned;     /* images lie transposed */
} nl_format;

typedef struct nl_data_folder {
    const nl_format *format;
    char path[512]; /* the folder named, or the one below it */
} nl_data_folder;

/* Looks which files are there. Errors: NL_EDATA; none, or those of two sets. */
int nl_data_folder_open(nl_data_folder *folder, const char *dir, const nl_picture *picture,
                        nl_error *err);

/* The path of file i, without .gz, and its name in it. Errors: NL_EDATA; it is missing. */
int nl_data_folder_file(const nl_data_folder *folder, int i, char path[512], const char **name,
                        const nl_picture *picture, nl_error *err);
