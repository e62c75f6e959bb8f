/* See data_folder.h. A format is told by the names of its files alone: whichever of them is there,
 * raw or as .gz, in the folder or in the one that its archive unpacks to. */
#include "data_folder.h"

#include <ctype.h>    // isalnum
#include <dirent.h>   // opendir
#include <stdio.h>    // snprintf
#include <string.h>   // strstr
#include <sys/stat.h> // stat

#include "data_file.h"      // nl_data_file_exists
#include "normlab/config.h" // nl_picture_of_set

#define FOUR(train, test)                                                                          \
    {                                                                                              \
        train "-images-idx3-ubyte", train "-labels-idx1-ubyte", test "-images-idx3-ubyte",         \
            test "-labels-idx1-ubyte"                                                              \
    }
/* EMNIST's images are the transposed ones of MNIST's way, and its letters begin with 1. */
#define EMNIST(split, first)                                                                       \
    {                                                                                              \
        "emnist-" split, "gzip", FOUR("emnist-" split "-train", "emnist-" split "-test"), 2, 4,    \
            NL_READ_IDX, 0, first, true                                                            \
    }

static const nl_format formats[] = {
    {"mnist", NULL, FOUR("train", "t10k"), 2, 4, NL_READ_IDX, 0, 0, false},
    EMNIST("letters", 1),
    EMNIST("balanced", 0),
    EMNIST("digits", 0),
    EMNIST("mnist", 0),
    EMNIST("byclass", 0),
    EMNIST("bymerge", 0),
    {"cifar10",
     "cifar-10-batches-bin",
     {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
      "data_batch_5.bin", "test_batch.bin"},
     5,
     6,
     NL_READ_CIFAR,
     1,
     0,
     false},
    {"cifar100", "cifar-100-binary", {"train.bin", "test.bin"}, 1, 2, NL_READ_CIFAR, 2, 0, false},
};

enum { FORMATS = sizeof formats / sizeof *formats };

const char *nl_file_name(enum nl_file file) {
    NL_ASSERT(file < NL_FILES);
    return formats[0].files[file];
}

/* ---- looking -------------------------------------------------------------------------------- */

/* Images of several channels have four dimensions, and idx4 in their name. */
static void other_rank(char path[512]) {
    char *rank = strstr(path, "-idx3-");
    if (rank) rank[4] = '4';
}

/* The path of file i of a format in this folder, if it is there. */
static bool find_file(char path[512], const nl_format *format, const char *folder, int i) {
    const int length = snprintf(path, 512, "%s/%s", folder, format->files[i]);
    if (length < 0 || (size_t)length + sizeof ".gz" > 512) return false;
    if (nl_data_file_exists(path)) return true;
    if (format->reader != NL_READ_IDX) return false;
    char other[512];
    snprintf(other, sizeof other, "%s", path);
    other_rank(other + strlen(folder));
    if (!nl_data_file_exists(other)) return false;
    snprintf(path, 512, "%s", other);
    return true;
}

/* The first file of this format that is there. */
static bool find_any(nl_data_folder *folder, char path[512], const nl_format *format,
                     const char *dir) {
    folder->format = format;
    for (int below = 0; below < (format->below ? 2 : 1); below++) {
        const int length = snprintf(folder->path, sizeof folder->path, "%s%s%s", dir,
                                    below ? "/" : "", below ? format->below : "");
        if (length < 0 || (size_t)length >= sizeof folder->path) continue;
        for (int i = 0; i < format->n_files; i++)
            if (find_file(path, format, folder->path, i)) return true;
    }
    return false;
}

static const nl_format *format_of(const char *set) {
    for (int i = 0; i < FORMATS; i++)
        if (!strcmp(formats[i].set, set)) return &formats[i];
    return &formats[0];
}

/* ---- what is missing ------------------------------------------------------------------------ */

/* A name's letters and digits in lower case. */
static void simplify(char *to, size_t size, const char *name) {
    size_t n = 0;
    for (; *name && n + 1 < size; name++)
        if (isalnum((unsigned char)*name)) to[n++] = (char)tolower((unsigned char)*name);
    to[n] = '\0';
}

/* A file of this folder whose name is the wanted one but for punctuation, case and what stands
 * before and behind: train-images.idx3-ubyte, "train-images-idx3-ubyte (1).gz". */
static bool find_alike(char *path, size_t size, const char *folder, const char *file) {
    char want[64], have[256];
    simplify(want, sizeof want, file);
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

/* Where others put the file (as torchvision does), and what they call it. */
static bool find_stray(char *path, size_t size, const char *dir, const char *file) {
    static const char *const folders[] = {
        "", "/raw", "/MNIST/raw", "/KMNIST/raw", "/EMNIST/raw", "/FashionMNIST/raw"};
    bool found = false;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && !found; i++) {
        char folder[512];
        const int length = snprintf(folder, sizeof folder, "%s%s", dir, folders[i]);
        found = (size_t)length < sizeof folder && find_alike(path, size, folder, file);
    }
    return found;
}

/* What was downloaded, but is not (yet) what is read. */
static bool hint_archive(const char *dir, nl_error *err) {
    static const char *const others[][2] = {
        {"cifar-10-binary.tar.gz", "unpack it there: tar -xzf"},
        {"cifar-100-binary.tar.gz", "unpack it there: tar -xzf"},
        {"gzip.zip", "unpack it there: unzip"},
        {"cifar-10-python.tar.gz", "it is of the version for Python; the binary version is read"},
        {"cifar-10-batches-py", "it is of the version for Python; the binary version is read"},
        {"cifar-100-python.tar.gz", "it is of the version for Python; the binary version is read"},
        {"cifar-100-python", "it is of the version for Python; the binary version is read"},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char path[512];
        struct stat info;
        snprintf(path, sizeof path, "%s/%s", dir, others[i][0]);
        if (stat(path, &info)) continue;
        nl_hint(err, "%s is there: %s", others[i][0], others[i][1]);
        return true;
    }
    return false;
}

static int hint_missing(const char *dir, const nl_format *format, int i, const nl_picture *picture,
                        nl_error *err) {
    char stray[200], names[320] = "";
    nl_picture known;
    if (find_stray(stray, sizeof stray, dir, format->files[i]))
        return nl_hint(err, "%s is there: it has to be %.200s/%s, with .gz if it is gzipped", stray,
                       dir, format->files[i]);
    if (hint_archive(dir, err)) return NL_EDATA;
    for (int k = 0, used = 0; k < format->n_files && used < (int)sizeof names; k++)
        used += snprintf(names + used, sizeof names - (size_t)used, "%s%s", k ? ", " : "",
                         format->files[k]);
    if (!nl_picture_of_set(&known, picture->set))
        return nl_hint(err, "it has to hold the %d files of the set: %s", format->n_files, names);
    return nl_hint(err, "scripts/fetch-data.sh %s '%s' gets the %s files: %s", picture->set, dir,
                   format->n_files == 4 ? "four" : "six", names);
}

static int report_missing(const char *dir, const nl_format *format, int i,
                          const nl_picture *picture, nl_error *err) {
    struct stat info;
    if (stat(dir, &info)) {
        nl_fail(err, NL_EDATA, dir, "no such folder for the data");
        if (dir[0] == '~') return nl_hint(err, "the ~ was not expanded: write $HOME in its place");
    } else if (!S_ISDIR(info.st_mode)) {
        nl_fail(err, NL_EDATA, dir, "is a file, not the folder of the data");
        return nl_hint(err, "name the folder that it lies in");
    } else {
        nl_fail(err, NL_EDATA, dir, "no %s in it, raw or as .gz", format->files[i]);
    }
    return hint_missing(dir, format, i, picture, err);
}

/* ---- the folder ----------------------------------------------------------------------------- */

static const char *base_name(const char *path) {
    return strrchr(path, '/') + 1;
}

int nl_data_folder_open(nl_data_folder *folder, const char *dir, const nl_picture *picture,
                        nl_error *err) {
    char first[512], path[512];
    const nl_format *wanted = format_of(picture->set);
    nl_data_folder found;
    if (strlen(dir) + 64 > sizeof folder->path)
        return nl_fail(err, NL_EDATA, dir, "the folder's name is too long");
    /* EMNIST's splits come together: the one that data.set names. */
    const bool chosen = wanted->turned && find_any(&found, path, wanted, dir);
    folder->format = NULL;
    for (int i = 0; i < FORMATS; i++) {
        if (chosen && formats[i].turned && wanted != &formats[i]) continue;
        if (!find_any(&found, path, &formats[i], dir)) continue;
        if (folder->format) {
            nl_fail(err, NL_EDATA, dir, "files of two sets: %s and %s", base_name(first),
                    base_name(path));
            return nl_hint(err, "keep those of one set in a folder of its own");
        }
        *folder = found;
        memcpy(first, path, sizeof first);
    }
    return folder->format ? NL_OK : report_missing(dir, wanted, 0, picture, err);
}

int nl_data_folder_file(const nl_data_folder *folder, int i, char path[512], const char **name,
                        const nl_picture *picture, nl_error *err) {
    if (!find_file(path, folder->format, folder->path, i))
        return report_missing(folder->path, folder->format, i, picture, err);
    *name = base_name(path);
    return NL_OK;
}
