/* IDX files, raw and gzipped. The first byte of an input says which kind of file, in which container
 * and of which picture; the rest is the file. */
#include "fuzz.h"

#include <stdlib.h> // free
#include <string.h> // memcmp

#include "data/idx.h"
#include "normlab/checkpoint.h" // nl_sha256_hex

static const nl_image_shape shapes[4] = {{1, 28, 28}, {1, 3, 2}, {3, 2, 2}, {4, 64, 64}};

static void put(uint8_t *to, uint32_t value) {
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* The file again, with the magic number that wants `dimensions`; its header's size into *header. */
static uint8_t *write_again(size_t *size, size_t *header, const uint8_t *bytes, uint32_t count,
                            const nl_image_shape *shape, int dimensions) {
    const size_t each = shape ? (size_t)nl_image_bytes(*shape) : 1;
    const uint32_t sizes[] = {count, shape && dimensions == 4 ? (uint32_t)shape->channels : 0,
                              shape ? (uint32_t)shape->height : 0,
                              shape ? (uint32_t)shape->width : 0};
    *header = 4 + 4 * (size_t)dimensions;
    *size = *header + count * each;
    uint8_t *file = nl_alloc(*size, 1, "file");
    put(file, 0x800 + (uint32_t)dimensions);
    for (int i = 0; i < dimensions; i++) put(file + 4 + 4 * i, sizes[i + (i && dimensions == 3)]);
    memcpy(file + *header, bytes, count * each);
    return file;
}

/* Whether the file with so many dimensions has that hash; then it reads back the same. */
static bool reads_back(const uint8_t *bytes, uint32_t count, const char *sha256,
                       const nl_image_shape *shape, int dimensions) {
    char hash[65], again[65];
    uint8_t *back = NULL;
    uint32_t n = 0;
    size_t size, header;
    nl_error err;
    uint8_t *file = write_again(&size, &header, bytes, count, shape, dimensions);
    nl_sha256_hex(hash, file, size);
    const bool same = strcmp(hash, sha256) == 0;
    if (same) {
        const char *path = fuzz_data_file("set", 0, file, size);
        HOLDS(nl_idx_read(&back, &n, again, path, shape, &err) == NL_OK);
        HOLDS(n == count && strcmp(again, sha256) == 0);
        HOLDS(memcmp(back, bytes, size - header) == 0);
        free(back);
    }
    free(file);
    return same;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    const nl_image_shape *shape = data[0] & 4 ? NULL : &shapes[data[0] >> 3 & 3];
    uint8_t *bytes = NULL;
    uint32_t count = 0;
    char sha256[65] = "";
    nl_error err;
    fuzz_no_error(&err);
    const char *path = fuzz_data_file("set", data[0], data + 1, size - 1);
    fuzz_hear();
    const int rc = nl_idx_read(&bytes, &count, sha256, path, shape, &err);
    HOLDS(fuzz_heard() == 0);
    fuzz_count(!rc);
    if (!fuzz_went_well(rc, NL_EDATA, &err)) {
        HOLDS(!bytes);
        return 0;
    }
    HOLDS(count >= 1 && count <= NL_MAX_IMAGES);
    HOLDS(strlen(sha256) == 64 && strspn(sha256, "0123456789abcdef") == 64);
    const bool three = shape && reads_back(bytes, count, sha256, shape, 3);
    HOLDS(three || reads_back(bytes, count, sha256, shape, shape ? 4 : 1));
    free(bytes);
    return 0;
}
