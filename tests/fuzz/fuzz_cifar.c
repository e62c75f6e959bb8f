/* CIFAR's binary files, raw and gzipped. The first byte of an input says which of the two sets and
 * which container. Records are long and their pixels all alike, so an input may also hold the labels
 * alone. */
#include "fuzz.h"

#include <stdlib.h> // free
#include <string.h> // memcmp

#include "data/cifar.h"

enum { PIXELS = NL_CIFAR_CHANNELS * NL_CIFAR_SIDE * NL_CIFAR_SIDE };

/* Records of these labels; the caller frees. */
static uint8_t *records(size_t *size, const uint8_t *labels, size_t n, size_t label_bytes) {
    const size_t count = n / label_bytes < 20 ? n / label_bytes : 20;
    *size = count * (label_bytes + PIXELS);
    uint8_t *bytes = nl_alloc(*size, 1, "records"), *to = bytes;
    for (size_t i = 0; i < count; i++, to += label_bytes + PIXELS) {
        memcpy(to, labels + i * label_bytes, label_bytes);
        memset(to + label_bytes, (int)i, PIXELS);
    }
    return bytes;
}

/* The split as a file that it could have been read from. */
static void reads_back(const nl_split *split, size_t label_bytes, int classes) {
    const size_t record = label_bytes + PIXELS;
    uint8_t *bytes = nl_alloc(split->count, record, "file");
    for (size_t i = 0; i < split->count; i++) {
        bytes[i * record + label_bytes - 1] = split->labels[i];
        memcpy(bytes + i * record + label_bytes, split->images + i * PIXELS, PIXELS);
    }
    nl_split back = {0};
    char sha256[65];
    nl_error err;
    const char *path = fuzz_data_file("set", 0, bytes, split->count * record);
    for (uint32_t times = 1; times <= 2; times++) { /* it appends */
        HOLDS(nl_cifar_read(&back, sha256, path, (int)label_bytes, classes, &err) == NL_OK);
        HOLDS(back.count == times * split->count);
        const size_t at = back.count - split->count;
        HOLDS(memcmp(back.labels + at, split->labels, split->count) == 0);
        HOLDS(memcmp(back.images + at * PIXELS, split->images, split->count * PIXELS) == 0);
    }
    free(bytes);
    free(back.images);
    free(back.labels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    const size_t label_bytes = data[0] & 4 ? 2 : 1;
    const int classes = data[0] & 8 ? 100 : 10;
    size_t length = size - 1;
    uint8_t *made = data[0] & 16 ? records(&length, data + 1, size - 1, label_bytes) : NULL;
    nl_split split = {0};
    char sha256[65] = "";
    nl_error err;
    fuzz_no_error(&err);
    const char *path = fuzz_data_file("set", data[0], made ? made : data + 1, length);
    free(made);
    fuzz_hear();
    const int rc = nl_cifar_read(&split, sha256, path, (int)label_bytes, classes, &err);
    HOLDS(fuzz_heard() == 0);
    fuzz_count(!rc);
    if (!fuzz_went_well(rc, NL_EDATA, &err)) {
        HOLDS(split.count == 0 && !split.images && !split.labels);
        return 0;
    }
    HOLDS(split.count >= 1 && strlen(sha256) == 64);
    for (uint32_t i = 0; i < split.count; i++) HOLDS(split.labels[i] < classes);
    reads_back(&split, label_bytes, classes);
    free(split.images);
    free(split.labels);
    return 0;
}
