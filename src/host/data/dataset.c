/* The files of a data set as one thing: see normlab/dataset.h. */
#include "normlab/dataset.h"

#include <stdbool.h> // bool
#include <stdio.h>   // snprintf
#include <stdlib.h>  // getenv, free
#include <string.h>  // memset

#include "cifar.h"
#include "data_file.h" // nl_data_file_other_classes
#include "data_folder.h"
#include "idx.h"
#include "known_set.h"
#include "normlab/cache_folder.h" // nl_cache_folder

void nl_dataset_default_dir(char *dir, size_t size, const char *set) {
    const char *data = getenv("NORMLAB_DATA");
    char cache[4096];
    if (data && data[0])
        snprintf(dir, size, "%s", data);
    else if (nl_cache_folder(cache, sizeof cache))
        snprintf(dir, size, "%s/%s", cache, set);
    else
        snprintf(dir, size, "%s", set);
}

/* ---- IDX files ------------------------------------------------------------------------------ */

/* A published set of other classes is told by the class that it has one more of. */
static int check_labels(nl_split *split, int classes, int first, const char *path, nl_error *err) {
    for (uint32_t i = 0; i < split->count; i++) {
        const int label = split->labels[i];
        if (label >= first && label < first + classes) {
            split->labels[i] = (uint8_t)(label - first);
            continue;
        }
        nl_fail(err, NL_EDATA, path, "label %d of image %u (byte %u): labels are %d to %d", label,
                i, i + 8, first, first + classes - 1);
        if (label == 26 && classes == 26 && first == 0)
            return nl_hint(err, "EMNIST's letters begin with 1: with the names that EMNIST gives "
                                "its files (emnist-letters-train-...) they are read so");
        int largest = label;
        for (uint32_t k = i; k < split->count; k++)
            if (split->labels[k] > largest) largest = split->labels[k];
        return nl_data_file_other_classes(err, largest - first, classes);
    }
    return NL_OK;
}

/* Turns each image about its diagonal: rows become columns. */
static int transpose(nl_split *split, nl_image_shape shape, const char *path, nl_error *err) {
    const int side = shape.width;
    if (shape.height != side)
        return nl_fail(err, NL_EDATA, path, "EMNIST's images are square, data.shape is not");
    const uint32_t n = split->count * (uint32_t)shape.channels;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *image = split->images + (size_t)i * (size_t)(side * side);
        for (int y = 0; y < side; y++)
            for (int x = 0; x < y; x++) {
                const uint8_t pixel = image[y * side + x];
                image[y * side + x] = image[x * side + y];
                image[x * side + y] = pixel;
            }
    }
    return NL_OK;
}

/* File i of the folder: where it is, and its entry among those that were read. */
static int next_file(nl_dataset *data, nl_read_file **file, char path[512],
                     const nl_data_folder *folder, int i, nl_error *err) {
    const char *name;
    const int rc = nl_data_folder_file(folder, i, path, &name, &data->picture, err);
    if (rc) return rc;
    *file = &data->files[data->n_files++];
    snprintf((*file)->name, sizeof(*file)->name, "%s", name);
    return NL_OK;
}

/* Images and labels, from file `first` on. */
static int load_idx(nl_dataset *data, nl_split *split, const nl_data_folder *folder, int first,
                    nl_error *err) {
    const nl_picture *picture = &data->picture;
    char images[512], path[512];
    uint32_t n_labels = 0;
    nl_read_file *file;
    int rc = next_file(data, &file, images, folder, first, err);
    if (rc) return rc;
    rc = nl_idx_read(&split->images, &split->count, file->sha256, images, &picture->shape, err);
    const char *name = file->name;
    if (!rc) rc = next_file(data, &file, path, folder, first + 1, err);
    if (!rc) rc = nl_idx_read(&split->labels, &n_labels, file->sha256, path, NULL, err);
    if (rc) return rc;
    if (n_labels != split->count) {
        nl_fail(err, NL_EDATA, path, "%u labels, but %s holds %u images", n_labels, name,
                split->count);
        nl_hint(err, "one of the two is of the other split, or of another set");
        return NL_EDATA;
    }
    rc = check_labels(split, picture->classes, folder->format->first_label, path, err);
    if (!rc && folder->format->turned) rc = transpose(split, picture->shape, images, err);
    return rc;
}

/* ---- CIFAR's -------------------------------------------------------------------------------- */

static int check_cifar_shape(nl_image_shape shape, const char *path, nl_error *err) {
    if (shape.channels == NL_CIFAR_CHANNELS && shape.height == NL_CIFAR_SIDE &&
        shape.width == NL_CIFAR_SIDE)
        return NL_OK;
    nl_fail(err, NL_EDATA, path, "images of %d x %d x %d, must be %d x %d x %d", NL_CIFAR_CHANNELS,
            NL_CIFAR_SIDE, NL_CIFAR_SIDE, shape.channels, shape.height, shape.width);
    return nl_hint(err,
                   "data.shape of the config has to be that of the files: configs/cifar10_bn.yaml "
                   "has it; or name another folder (--data)");
}

static int load_cifar(nl_dataset *data, nl_split *split, const nl_data_folder *folder, int first,
                      int end, nl_error *err) {
    int rc = NL_OK;
    for (int i = first; i < end && !rc; i++) {
        char path[512];
        nl_read_file *file;
        rc = next_file(data, &file, path, folder, i, err);
        if (!rc) rc = check_cifar_shape(data->picture.shape, path, err);
        if (!rc)
            rc = nl_cifar_read(split, file->sha256, path, folder->format->label_bytes,
                               data->picture.classes, err);
    }
    return rc;
}

/* ---- the set -------------------------------------------------------------------------------- */

static int load_split(nl_dataset *data, const nl_data_folder *folder, bool train, nl_error *err) {
    const nl_format *format = folder->format;
    nl_split *split = train ? &data->train : &data->test;
    const int first = train ? 0 : format->n_train;
    if (format->reader == NL_READ_IDX) return load_idx(data, split, folder, first, err);
    return load_cifar(data, split, folder, first, train ? format->n_train : format->n_files, err);
}

int nl_dataset_load_part(nl_dataset *data, const char *dir, const nl_picture *picture, bool train,
                         bool test, nl_error *err) {
    nl_data_folder folder;
    memset(data, 0, sizeof *data);
    data->picture = *picture;
    int rc = nl_data_folder_open(&folder, dir, picture, err);
    if (train && !rc) rc = load_split(data, &folder, true, err);
    if (test && !rc) rc = load_split(data, &folder, false, err);
    if (!rc) rc = nl_known_set_check(data, dir, err);
    if (rc)
        nl_dataset_free(data);
    else if (!realpath(dir, data->dir))
        data->dir[0] = '\0';
    return rc;
}

int nl_dataset_load(nl_dataset *data, const char *dir, const nl_picture *picture, nl_error *err) {
    return nl_dataset_load_part(data, dir, picture, true, true, err);
}

void nl_dataset_free(nl_dataset *data) {
    free(data->train.images);
    free(data->train.labels);
    free(data->test.images);
    free(data->test.labels);
    memset(data, 0, sizeof *data);
}
