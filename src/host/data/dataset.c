/* The four IDX files of a data set as one thing: see normlab/dataset.h. */
#include "normlab/dataset.h"

#include <ctype.h>    // isalnum
#include <dirent.h>   // opendir
#include <stdbool.h>  // bool
#include <stdio.h>    // snprintf
#include <stdlib.h>   // getenv, free
#include <string.h>   // memset
#include <sys/stat.h> // stat

#include "idx.h"
#include "normlab/cache_folder.h" // nl_cache_folder

static const char *const FILE_NAMES[NL_FILES] = {
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
};

const char *nl_file_name(enum nl_file file) {
    NL_ASSERT(file < NL_FILES);
    return FILE_NAMES[file];
}

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

/* ---- checks across files -------------------------------------------------------------------- */

/* A name's letters and digits in lower case. */
static void simplify(char *to, size_t size, const char *name) {
    size_t n = 0;
    for (; *name && n + 1 < size; name++)
        if (isalnum((unsigned char)*name)) to[n++] = (char)tolower((unsigned char)*name);
    to[n] = '\0';
}

/* A file of this folder whose name is the wanted one but for punctuation, case and what stands
 * before and behind: train-images.idx3-ubyte, "train-images-idx3-ubyte (1).gz". */
static bool find_alike(char *path, size_t size, const char *folder, enum nl_file file) {
    char want[64], have[256];
    simplify(want, sizeof want, FILE_NAMES[file]);
    DIR *dir = opendir(folder);
    bool found = false;
    for (const struct dirent *entry; dir && !found && (entry = readdir(dir));) {
        struct stat info;
        simplify(have, sizeof have, entry->d_name);
        if (!strstr(have, want)) continue;
        const int length = snprintf(path, size, "%s/%s", folder, entry->d_name);
        found = (size_t)length < size && stat(path, &info) == 0 && S_ISREG(info.st_mode);
    }
    if (dir) closedir(dir);
    return found;
}

/* Where others put the file, and what they call it. */
static bool find_stray(char *path, size_t size, const char *dir, enum nl_file file) {
    static const char *const folders[] = {"", "/raw", "/MNIST/raw"}; /* as torchvision does */
    bool found = false;
    for (int i = 0; i < 3 && !found; i++) {
        char folder[512];
        const int length = snprintf(folder, sizeof folder, "%s%s", dir, folders[i]);
        found = (size_t)length < sizeof folder && find_alike(path, size, folder, file);
    }
    return found;
}

static int report_missing(const char *dir, enum nl_file file, nl_error *err) {
    struct stat info;
    char stray[200];
    if (stat(dir, &info)) {
        nl_fail(err, NL_EDATA, dir, "no such folder for the data");
        if (dir[0] == '~') return nl_hint(err, "the ~ was not expanded: write $HOME in its place");
    } else if (!S_ISDIR(info.st_mode)) {
        nl_fail(err, NL_EDATA, dir, "is a file, not the folder of the data");
        return nl_hint(err, "name the folder that it lies in");
    } else {
        nl_fail(err, NL_EDATA, dir, "no %s in it, raw or as .gz", FILE_NAMES[file]);
        if (find_stray(stray, sizeof stray, dir, file))
            return nl_hint(err, "%s is there: it has to be %.200s/%s, with .gz if it is gzipped",
                           stray, dir, FILE_NAMES[file]);
    }
    nl_hint(err, "scripts/fetch-mnist.sh '%s' gets the four files: %s, %s, %s, %s", dir,
            FILE_NAMES[0], FILE_NAMES[1], FILE_NAMES[2], FILE_NAMES[3]);
    return NL_EDATA;
}

static int check_labels(const nl_split *split, int classes, const char *path, nl_error *err) {
    for (uint32_t i = 0; i < split->count; i++) {
        if (split->labels[i] < classes) continue;
        nl_fail(err, NL_EDATA, path, "label %d of image %u (byte %u): labels are 0 to %d",
                split->labels[i], i, i + 8, classes - 1);
        nl_hint(err, "it is damaged, or of a set with other classes than data.classes says");
        return NL_EDATA;
    }
    return NL_OK;
}

static int load_file(nl_dataset *data, uint32_t *count, const char *dir, enum nl_file file,
                     char *path, size_t path_size, nl_error *err) {
    const int length = snprintf(path, path_size, "%s/%s", dir, FILE_NAMES[file]);
    if (length < 0 || (size_t)length + sizeof ".gz" > path_size) {
        return nl_fail(err, NL_EDATA, dir, "the folder's name is too long");
    }
    nl_split *split = file < NL_TEST_IMAGES ? &data->train : &data->test;
    const bool images = file == NL_TRAIN_IMAGES || file == NL_TEST_IMAGES;
    uint8_t **bytes = images ? &split->images : &split->labels;
    bool missing = false;
    const int rc = nl_idx_read(bytes, count, data->sha256[file], &missing, path,
                               images ? &data->picture.shape : NULL, err);
    return missing ? report_missing(dir, file, err) : rc;
}

static int load_split(nl_dataset *data, nl_split *split, const char *dir, enum nl_file images,
                      enum nl_file labels, nl_error *err) {
    char path[512];
    uint32_t n_labels = 0;
    int rc = load_file(data, &split->count, dir, images, path, sizeof path, err);
    if (!rc) rc = load_file(data, &n_labels, dir, labels, path, sizeof path, err);
    if (rc) return rc;
    if (n_labels != split->count) {
        nl_fail(err, NL_EDATA, path, "%u labels, but %s holds %u images", n_labels,
                FILE_NAMES[images], split->count);
        nl_hint(err, "one of the two is of the other split, or of another set");
        return NL_EDATA;
    }
    return check_labels(split, data->picture.classes, path, err);
}

/* ---- the set -------------------------------------------------------------------------------- */

int nl_dataset_load_part(nl_dataset *data, const char *dir, const nl_picture *picture, bool train,
                         bool test, nl_error *err) {
    int rc = NL_OK;
    memset(data, 0, sizeof *data);
    data->picture = *picture;
    if (train) rc = load_split(data, &data->train, dir, NL_TRAIN_IMAGES, NL_TRAIN_LABELS, err);
    if (test && !rc) rc = load_split(data, &data->test, dir, NL_TEST_IMAGES, NL_TEST_LABELS, err);
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
