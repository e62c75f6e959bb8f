/* Synthetic IDX sets; see idx_set.h. */
#include "support/idx_set.h"

#include <ftw.h>      // nftw
#include <stdio.h>    // FILE, snprintf
#include <stdlib.h>   // mkdtemp, getenv
#include <string.h>   // memset
#include <sys/stat.h> // mkdir
#include <zlib.h>     // gzopen

#include "normlab/config.h"  // nl_picture_of_set
#include "normlab/dataset.h" // nl_file_name
#include "normlab/philox.h"  // nl_philox4x32

/* ---- images --------------------------------------------------------------------------------- */

/* Segments a to g of each digit, as bits 0 to 6. */
static const uint8_t SEGMENTS[10] = {0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f};

/* x, y, width, height of segments a to g. */
static const uint8_t BARS[7][4] = {{9, 5, 10, 2}, {17, 5, 2, 9}, {17, 14, 2, 9}, {9, 21, 10, 2},
                                   {9, 14, 2, 9}, {9, 5, 2, 9},  {9, 13, 10, 2}};

void idx_set_draw(uint8_t image[IDX_PIXELS], uint32_t number) {
    const nl_philox words = nl_philox4x32(number, 0, 0, 0, 28, 28);
    const int dx = (int)(words.v[0] % 5) - 2, dy = (int)(words.v[1] % 5) - 2;
    const int ink = 160 + (int)(words.v[2] % 96);
    memset(image, 0, IDX_PIXELS);
    for (int bar = 0; bar < 7; bar++) {
        if (!(SEGMENTS[number % 10] >> bar & 1)) continue;
        for (int y = 0; y < BARS[bar][3]; y++) {
            for (int x = 0; x < BARS[bar][2]; x++) {
                const int at = (BARS[bar][1] + dy + y) * IDX_SIDE + BARS[bar][0] + dx + x;
                image[at] = (uint8_t)ink;
            }
        }
    }
    for (uint32_t p = 0; p < IDX_PIXELS; p++) { /* a little noise, so that no two are alike */
        const uint32_t word = nl_philox4x32(number, p, 1, 0, 28, 28).v[0];
        if (word < 0x08000000u) image[p] = (uint8_t)(word >> 20);
    }
}

const nl_picture *idx_set_picture(void) {
    static nl_picture mnist;
    NL_ASSERT(nl_picture_of_set(&mnist, "mnist"));
    return &mnist;
}

/* ---- files ---------------------------------------------------------------------------------- */

static void put_big_endian(uint8_t *to, uint32_t value) {
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(value >> (24 - 8 * i));
}

uint8_t *idx_set_content(size_t *size, uint32_t first, uint32_t count, int rank) {
    const size_t header = rank == 3 ? 16 : 8, item = rank == 3 ? IDX_PIXELS : 1;
    *size = header + count * item;
    uint8_t *bytes = nl_alloc(*size, 1, "synthetic set");
    put_big_endian(bytes, 0x800u + (uint32_t)rank);
    put_big_endian(bytes + 4, count);
    if (rank == 3) {
        put_big_endian(bytes + 8, IDX_SIDE);
        put_big_endian(bytes + 12, IDX_SIDE);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (rank == 3) {
            idx_set_draw(bytes + header + i * item, first + i);
        } else {
            bytes[header + i] = (uint8_t)((first + i) % 10);
        }
    }
    return bytes;
}

void idx_set_save(const char *path, const void *bytes, size_t size, bool gzip) {
    if (gzip) {
        gzFile file = gzopen(path, "wb");
        NL_ASSERT(file);
        NL_ASSERT(size == 0 || gzwrite(file, bytes, (unsigned)size) == (int)size);
        NL_ASSERT(gzclose(file) == Z_OK);
    } else {
        FILE *file = fopen(path, "wb");
        NL_ASSERT(file);
        NL_ASSERT(fwrite(bytes, 1, size, file) == size);
        NL_ASSERT(fclose(file) == 0);
    }
}

void idx_set_write(const char *dir, uint32_t n_train, uint32_t n_test, bool gzip) {
    mkdir(dir, 0777);
    for (int file = 0; file < NL_FILES; file++) {
        const bool train = file < NL_TEST_IMAGES;
        const int rank = file == NL_TRAIN_IMAGES || file == NL_TEST_IMAGES ? 3 : 1;
        size_t size = 0;
        uint8_t *bytes = idx_set_content(&size, train ? 0 : n_train / 10 * 10 + 10,
                                         train ? n_train : n_test, rank);
        char path[512];
        const char *name = nl_file_name((enum nl_file)file);
        snprintf(path, sizeof path, "%s/%s%s", dir, name, gzip ? ".gz" : "");
        idx_set_save(path, bytes, size, gzip);
        free(bytes);
    }
}

/* ---- folders -------------------------------------------------------------------------------- */

char *temp_dir_make(void) {
    const char *base = getenv("TMPDIR");
    char *dir = nl_alloc(512, 1, "temporary folder");
    snprintf(dir, 512, "%s/normlab-test-XXXXXX", base && base[0] ? base : "/tmp");
    char *made = mkdtemp(dir);
    NL_ASSERT(made);
    return dir;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *ftw) {
    (void)info, (void)type, (void)ftw;
    return remove(path);
}

void temp_dir_remove(char *dir) {
    nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(dir);
}
