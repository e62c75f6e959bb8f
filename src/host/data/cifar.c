/* See cifar.h. There is no header to be believed: a file is read into memory that grows with what was
 * read, up to a limit above the largest file that is known, and has to be a whole number of records. */
#include "cifar.h"

#include <stdlib.h> // free
#include <string.h> // memcpy

#include "normlab/checkpoint.h" // nl_sha256_hex

enum {
    PIXELS = NL_CIFAR_CHANNELS * NL_CIFAR_SIDE * NL_CIFAR_SIDE,
    MAX_RECORDS = 100000, /* of a file; the largest known has 50,000 */
    PIECE = 1 << 20
};

/* The buffer of `length` bytes, `*room` of which are there, with room for one more piece. */
static uint8_t *make_room(uint8_t *bytes, size_t length, size_t *room) {
    if (*room - length >= PIECE) return bytes;
    *room = 2 * *room + PIECE;
    uint8_t *larger = nl_alloc(*room, 1, "data file");
    if (length) memcpy(larger, bytes, length);
    free(bytes);
    return larger;
}

static int check_length(nl_data_file *file, uint64_t length, size_t record, nl_error *err) {
    if (length > 0 && length % record == 0 && length <= (uint64_t)record * MAX_RECORDS)
        return NL_OK;
    nl_fail(err, NL_EDATA, file->path, "%llu bytes: must be those of 1 to %d images of %zu bytes",
            (unsigned long long)length, MAX_RECORDS, record);
    nl_data_file_damaged(err);
    if (!nl_cifar_hint(file, err)) nl_data_file_explain(file, NULL, err);
    return NL_EDATA;
}

/* The whole content. The caller frees *bytes, whatever comes back. */
static int read_content(uint8_t **bytes, size_t *length, nl_data_file *file, size_t record,
                        nl_error *err) {
    size_t room = 0, got = 1;
    int rc = file->gzip ? NL_OK : check_length(file, file->size, record, err);
    while (!rc && got > 0 && *length <= record * MAX_RECORDS) {
        *bytes = make_room(*bytes, *length, &room);
        rc = nl_data_file_read(file, *bytes + *length, PIECE, &got, err);
        if (rc) nl_data_file_explain(file, NULL, err);
        *length += got;
    }
    return rc ? rc : check_length(file, *length, record, err);
}

static int check_labels(const uint8_t *bytes, size_t n, const char *path, int label_bytes,
                        int classes, nl_error *err) {
    const size_t record = (size_t)label_bytes + PIXELS;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *label = bytes + i * record + label_bytes - 1;
        if (label_bytes == 2 && label[-1] >= NL_CIFAR_COARSE) {
            nl_fail(err, NL_EDATA, path,
                    "coarse label %d of image %zu (byte %zu): they are 0 to %d", label[-1], i,
                    i * record, NL_CIFAR_COARSE - 1);
            return nl_hint(err, "is it CIFAR-10's, under a name of CIFAR-100's?");
        }
        if (*label < classes) continue;
        nl_fail(err, NL_EDATA, path, "label %d of image %zu (byte %zu): labels are 0 to %d", *label,
                i, (size_t)(label - bytes), classes - 1);
        int largest = *label;
        for (size_t k = i, at = (size_t)label_bytes - 1; k < n; k++)
            if (bytes[k * record + at] > largest) largest = bytes[k * record + at];
        return nl_data_file_other_classes(err, largest, classes);
    }
    return NL_OK;
}

static void append(nl_split *split, const uint8_t *bytes, size_t n, int label_bytes) {
    const size_t record = (size_t)label_bytes + PIXELS, before = split->count;
    uint8_t *images = nl_alloc(before + n, PIXELS, "images");
    uint8_t *labels = nl_alloc(before + n, 1, "labels");
    if (before) memcpy(images, split->images, before * PIXELS);
    if (before) memcpy(labels, split->labels, before);
    for (size_t i = 0; i < n; i++) {
        labels[before + i] = bytes[i * record + (size_t)label_bytes - 1];
        memcpy(images + (before + i) * PIXELS, bytes + i * record + label_bytes, PIXELS);
    }
    free(split->images);
    free(split->labels);
    *split = (nl_split){.count = (uint32_t)(before + n), .images = images, .labels = labels};
}

int nl_cifar_read(nl_split *split, char sha256[65], const char *path, int label_bytes, int classes,
                  nl_error *err) {
    nl_data_file *file = NULL;
    uint8_t *bytes = NULL;
    size_t length = 0;
    const size_t record = (size_t)label_bytes + PIXELS;
    int rc = nl_data_file_open(&file, path, err);
    if (!rc) rc = read_content(&bytes, &length, file, record, err);
    if (!rc) rc = check_labels(bytes, length / record, file->path, label_bytes, classes, err);
    if (!rc) nl_sha256_hex(sha256, bytes, length);
    if (!rc) append(split, bytes, length / record, label_bytes);
    nl_data_file_close(file);
    free(bytes);
    return rc;
}

bool nl_cifar_hint(nl_data_file *file, nl_error *err) {
    const uint64_t most = (uint64_t)MAX_RECORDS * (PIXELS + 2);
    const uint64_t size = nl_data_file_count(file, most);
    for (int label_bytes = 1; label_bytes <= 2; label_bytes++) {
        const uint64_t record = PIXELS + (uint64_t)label_bytes;
        if (size == 0 || size >= most || size % record) continue;
        nl_hint(err, "it has the size of %llu images of CIFAR-%s: such files are named %s",
                (unsigned long long)(size / record), label_bytes == 1 ? "10" : "100",
                label_bytes == 1 ? "data_batch_1.bin ... data_batch_5.bin, test_batch.bin"
                                 : "train.bin, test.bin");
        return true;
    }
    return false;
}
