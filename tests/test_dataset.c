/* Loading IDX sets: good ones, and one fault at a time in a good one. */
#include <criterion/criterion.h>
#include <stdio.h>    // snprintf
#include <stdlib.h>   // free, setenv
#include <string.h>   // strstr
#include <sys/stat.h> // mkdir
#include <unistd.h>   // unlink, symlink
#include <zlib.h>     // gzopen

#include "normlab/checkpoint.h" // nl_sha256_hex
#include "normlab/dataset.h"
#include "support/idx_set.h"
#include "support/slurp.h"

enum { TRAIN = 12, TEST = 5 };

static const char *path_of(const char *dir, enum nl_file file, bool gzip) {
    static char path[512];
    snprintf(path, sizeof path, "%s/%s%s", dir, nl_file_name(file), gzip ? ".gz" : "");
    return path;
}

/* Loading must fail with exit code 3, name `where` and say `what`. */
static void expect_failure(const char *dir, const char *where, const char *what) {
    nl_dataset data;
    nl_error err = {0};
    const int rc = nl_dataset_load(&data, dir, idx_set_picture(), &err);
    cr_assert(rc == NL_EDATA, "%s: exit code %d", what, rc);
    cr_assert(err.code == NL_EDATA);
    cr_assert(strstr(err.where, where), "%s: where is %s", what, err.where);
    cr_assert(strstr(err.what, what), "%s is not in: %s", what, err.what);
    cr_assert(!data.train.images && !data.test.labels, "nothing is left behind");
}

/* ---- good sets ------------------------------------------------------------------------------ */

static void check_good(bool gzip) {
    char *dir = temp_dir_make();
    idx_set_write(dir, TRAIN, TEST, gzip);
    nl_dataset data;
    nl_error err = {0};
    cr_assert(nl_dataset_load(&data, dir, idx_set_picture(), &err) == NL_OK, "%s: %s", err.where,
              err.what);
    cr_assert(data.train.count == TRAIN && data.test.count == TEST);
    for (uint32_t i = 0; i < TRAIN; i++) {
        uint8_t image[IDX_PIXELS];
        idx_set_draw(image, i);
        cr_assert(memcmp(image, data.train.images + i * IDX_PIXELS, IDX_PIXELS) == 0, "image %u",
                  i);
        cr_assert(data.train.labels[i] == i % 10);
    }
    for (uint32_t i = 0; i < TEST; i++) cr_assert(data.test.labels[i] == i % 10);
    size_t size = 0;
    uint8_t *raw = idx_set_content(&size, 0, TRAIN, 3);
    char hash[65];
    nl_sha256_hex(hash, raw, size);
    cr_assert(strcmp(hash, data.files[NL_TRAIN_IMAGES].sha256) == 0, "of the raw content");
    free(raw);
    nl_dataset_free(&data);
    temp_dir_remove(dir);
}

Test(dataset, reads_raw_files) {
    check_good(false);
}

Test(dataset, reads_gzipped_files) {
    check_good(true);
}

Test(dataset, reads_a_mixture_and_prefers_raw) {
    char *dir = temp_dir_make();
    idx_set_write(dir, TRAIN, TEST, true);
    idx_set_write(dir, 20, TEST, false);
    unlink(path_of(dir, NL_TEST_IMAGES, false));
    unlink(path_of(dir, NL_TEST_LABELS, true));
    nl_dataset data;
    nl_error err = {0};
    cr_assert(nl_dataset_load(&data, dir, idx_set_picture(), &err) == NL_OK, "%s: %s", err.where,
              err.what);
    cr_assert(data.train.count == 20);
    nl_dataset_free(&data);
    temp_dir_remove(dir);
}

Test(dataset, sha256_of_the_published_vectors) {
    char text[65];
    nl_sha256_hex(text, "", 0);
    cr_assert_str_eq(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    nl_sha256_hex(text, "abc", 3);
    cr_assert_str_eq(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* ---- faults --------------------------------------------------------------------------------- */

/* One file of a good set with `at` overwritten by a 32-bit big-endian value (or a byte), and with
 * another length. */
typedef struct fault {
    const char *what; /* part of the message */
    enum nl_file file;
    int at;          /* byte to change, -1: none */
    int width;       /* 1 or 4 bytes */
    uint32_t value;  /* to write there */
    long lengthened; /* bytes added (zeros), or cut off where negative */
} fault;

static const fault FAULTS[] = {
    {"truncated: 9423 bytes, but 12 images take 9424", NL_TRAIN_IMAGES, -1, 0, 0, -1},
    {"truncated: 19 bytes, but 12 labels take 20", NL_TRAIN_LABELS, -1, 0, 0, -1},
    {"too long: 9425 bytes", NL_TRAIN_IMAGES, -1, 0, 0, 1},
    {"too long: 14 bytes, but 5 labels take 13", NL_TEST_LABELS, -1, 0, 0, 1},
    {"within the header, after 15 bytes", NL_TRAIN_IMAGES, -1, 0, 0, -9409},
    {"within the header, after 0 bytes", NL_TRAIN_IMAGES, -1, 0, 0, -9424},
    {"within the header, after 7 bytes", NL_TEST_LABELS, -1, 0, 0, -6},
    {"magic number 0x00000801 at byte 0, must be 0x00000803", NL_TRAIN_IMAGES, 0, 4, 0x801, 0},
    {"magic number 0x00000803 at byte 0, must be 0x00000801", NL_TRAIN_LABELS, 0, 4, 0x803, 0},
    {"magic number 0x03080000", NL_TEST_IMAGES, 0, 4, 0x03080000, 0},
    {"count 0 at byte 4", NL_TEST_IMAGES, 4, 4, 0, 0},
    {"count 4294967295 at byte 4, must be 1 to 1000000", NL_TRAIN_IMAGES, 4, 4, 0xffffffff, 0},
    {"count 1000001 at byte 4", NL_TRAIN_LABELS, 4, 4, 1000001, 0},
    {"12 bytes, but 1000000 labels take 1000008", NL_TEST_LABELS, 4, 4, 1000000, -1},
    {"images of 32 x 28 at byte 8, must be 28 x 28", NL_TRAIN_IMAGES, 8, 4, 32, 0},
    {"images of 28 x 27 at byte 8", NL_TEST_IMAGES, 12, 4, 27, 0},
    {"images of 65564 x 28 at byte 8", NL_TEST_IMAGES, 8, 4, 65564, 0},
    {"label 10 of image 11 (byte 19)", NL_TRAIN_LABELS, 19, 1, 10, 0},
    {"label 255 of image 0 (byte 8)", NL_TEST_LABELS, 8, 1, 255, 0},
};

/* The bytes of a good file with the fault in it. */
static uint8_t *faulty(size_t *size, const fault *f) {
    const bool train = f->file < NL_TEST_IMAGES;
    const bool images = f->file == NL_TRAIN_IMAGES || f->file == NL_TEST_IMAGES;
    size_t length = 0;
    uint8_t *good = idx_set_content(&length, train ? 0 : 20, train ? TRAIN : TEST, images ? 3 : 1);
    *size = (size_t)((long)length + f->lengthened);
    uint8_t *bytes = nl_alloc(*size + 1, 1, "test");
    memcpy(bytes, good, *size < length ? *size : length);
    for (int i = 0; f->at >= 0 && i < f->width; i++) {
        bytes[f->at + i] = (uint8_t)(f->value >> 8 * (f->width - 1 - i));
    }
    free(good);
    return bytes;
}

Test(dataset, refuses_each_fault_of_a_raw_file) {
    char *dir = temp_dir_make();
    for (size_t i = 0; i < sizeof FAULTS / sizeof *FAULTS; i++) {
        idx_set_write(dir, TRAIN, TEST, false);
        size_t size = 0;
        uint8_t *bytes = faulty(&size, &FAULTS[i]);
        idx_set_save(path_of(dir, FAULTS[i].file, false), bytes, size, false);
        expect_failure(dir, nl_file_name(FAULTS[i].file), FAULTS[i].what);
        free(bytes);
    }
    temp_dir_remove(dir);
}

/* Inside a .gz the size on disk does not give a wrong length away, unless it is far too small. */
static const char *gzipped_message(const fault *f) {
    if (f->lengthened > 0) return "goes on after its";
    if (f->lengthened == 0 || strstr(f->what, "header")) return f->what;
    return f->at < 0 ? "truncated: " : "bytes, but 1000000 labels take 1000008";
}

Test(dataset, refuses_each_fault_of_a_gzipped_file) {
    char *dir = temp_dir_make();
    idx_set_write(dir, TRAIN, TEST, true);
    for (size_t i = 0; i < sizeof FAULTS / sizeof *FAULTS; i++) {
        size_t size = 0;
        uint8_t *bytes = faulty(&size, &FAULTS[i]);
        idx_set_write(dir, TRAIN, TEST, true);
        idx_set_save(path_of(dir, FAULTS[i].file, true), bytes, size, true);
        expect_failure(dir, nl_file_name(FAULTS[i].file), gzipped_message(&FAULTS[i]));
        free(bytes);
    }
    temp_dir_remove(dir);
}

Test(dataset, refuses_unequal_counts) {
    char *dir = temp_dir_make();
    idx_set_write(dir, TRAIN, TEST, false);
    size_t size = 0;
    uint8_t *bytes = idx_set_content(&size, 0, TRAIN - 1, 1);
    idx_set_save(path_of(dir, NL_TRAIN_LABELS, false), bytes, size, false);
    expect_failure(dir, "train-labels", "11 labels, but train-images-idx3-ubyte holds 12 images");
    free(bytes);
    temp_dir_remove(dir);
}

/* A small file that inflates to gigabytes must be left after one byte too many. */
Test(dataset, refuses_a_gzip_bomb, .timeout = 120) {
    char *dir = temp_dir_make();
    idx_set_write(dir, TRAIN, TEST, true);
    size_t size = 0;
    uint8_t *bytes = idx_set_content(&size, 0, TRAIN, 3);
    enum { ZEROS = 1 << 26 };
    uint8_t *bomb = nl_alloc(size + ZEROS, 1, "test");
    memcpy(bomb, bytes, size);
    idx_set_save(path_of(dir, NL_TRAIN_IMAGES, true), bomb, size + ZEROS, true);
    expect_failure(dir, "train-images-idx3-ubyte.gz", "goes on after its 9424 bytes");
    free(bytes), free(bomb);
    temp_dir_remove(dir);
}

Test(dataset, refuses_corrupt_gzip_streams) {
    char *dir = temp_dir_make();
    idx_set_write(dir, TRAIN, TEST, true);
    size_t size = 0;
    uint8_t *good = (uint8_t *)slurp(path_of(dir, NL_TRAIN_IMAGES, true), &size);
    const char *path = path_of(dir, NL_TRAIN_IMAGES, true);
    const char *name = "train-images-idx3-ubyte.gz";

    for (size_t length = 0; length < size; length += length < 32 ? 1 : 97) { /* cut anywhere */
        idx_set_save(path, good, length, false);
        expect_failure(dir, name, "truncated");
    }
    good[size - 8] ^= 1; /* the CRC */
    idx_set_save(path, good, size, false);
    expect_failure(dir, name, "corrupt gzip stream: incorrect data check");
    good[size - 8] ^= 1;
    good[0] = 'x'; /* not a gzip file at all */
    idx_set_save(path, good, size, false);
    expect_failure(dir, name, "corrupt gzip stream: incorrect header check");
    good[0] = 0x1f;
    good[size] = 'x'; /* a byte behind the end */
    idx_set_save(path, good, size + 1, false);
    expect_failure(dir, name, "the file goes on after the end of the gzip stream");

    /* The same with a file name in the header that makes the stream as long as the input buffer. */
    enum { BUFFER = 1 << 16 };
    uint8_t *named = nl_alloc(BUFFER + 1, 1, "test");
    memset(named, 'a', BUFFER + 1);
    memcpy(named, good, 10);
    named[3] = 8; /* FNAME */
    memcpy(named + BUFFER - (size - 10), good + 10, size - 10);
    named[BUFFER - (size - 10) - 1] = 0;
    idx_set_save(path, named, BUFFER + 1, false);
    expect_failure(dir, name, "the file goes on after the end of the gzip stream");
    idx_set_save(path, named, BUFFER, false);
    nl_dataset data;
    cr_assert(nl_dataset_load(&data, dir, idx_set_picture(), NULL) == NL_OK,
              "the good one is read");
    free(named);
    nl_dataset_free(&data);
    free(good);
    temp_dir_remove(dir);
}

/* Appends a gzip member of these bytes, or bytes as they are, to a file. */
static void append(const char *path, const void *bytes, size_t size, bool gzip) {
    if (gzip) {
        gzFile file = gzopen(path, "ab");
        cr_assert(file && (size == 0 || gzwrite(file, bytes, (unsigned)size) == (int)size));
        cr_assert(gzclose(file) == Z_OK);
    } else {
        FILE *file = fopen(path, "ab");
        cr_assert(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
    }
}

/* RFC 1952: a gzip file is a series of members; zeros may pad it. */
Test(dataset, reads_a_gzip_file_of_several_members) {
    static const uint8_t zeros[100000];
    static const size_t cuts[] = {1, 7, 15, 16, 17, 5000, 9423};
    char *dir = temp_dir_make();
    idx_set_write(dir, TRAIN, TEST, true);
    const char *path = path_of(dir, NL_TRAIN_IMAGES, true);
    size_t size = 0;
    uint8_t *raw = idx_set_content(&size, 0, TRAIN, 3);
    char hash[65];
    nl_sha256_hex(hash, raw, size);
    for (size_t i = 0; i < 4 * sizeof cuts / sizeof *cuts; i++) {
        const size_t cut = cuts[i / 4];
        idx_set_save(path, raw, cut, true);
        if (i & 1) append(path, NULL, 0, true); /* an empty member, as bgzip's end of file */
        append(path, raw + cut, size - cut, true);
        if (i & 1) append(path, NULL, 0, true);
        if (i & 2) append(path, zeros, i % 3 ? 512 : sizeof zeros, false);
        nl_dataset data;
        nl_error err = {0};
        cr_assert(nl_dataset_load(&data, dir, idx_set_picture(), &err) == NL_OK, "cut at %zu: %s",
                  cut, err.what);
        cr_assert_str_eq(data.files[NL_TRAIN_IMAGES].sha256, hash);
        nl_dataset_free(&data);
    }
    append(path, "\x1f", 1, false); /* the beginning of one more member */
    expect_failure(dir, "train-images-idx3-ubyte.gz", "truncated gzip stream");
    idx_set_save(path, raw, size, true);
    append(path, raw, 1, true);
    expect_failure(dir, "train-images-idx3-ubyte.gz", "goes on after its 9424 bytes");
    free(raw);
    temp_dir_remove(dir);
}

Test(dataset, one_split_needs_its_own_files_alone) {
    char *dir = temp_dir_make();
    idx_set_write(dir, TRAIN, TEST, false);
    unlink(path_of(dir, NL_TRAIN_IMAGES, false));
    unlink(path_of(dir, NL_TRAIN_LABELS, false));
    nl_dataset data;
    nl_error err = {0};
    cr_assert(nl_dataset_load_part(&data, dir, idx_set_picture(), false, true, &err) == NL_OK, "%s",
              err.what);
    cr_assert(data.test.count == TEST && data.train.count == 0 && !data.train.images);
    nl_dataset_free(&data);
    cr_assert(nl_dataset_load_part(&data, dir, idx_set_picture(), true, false, &err) == NL_EDATA);
    temp_dir_remove(dir);
}

Test(dataset, hints_at_a_gzipped_file_without_gz) {
    char *dir = temp_dir_make();
    idx_set_write(dir, TRAIN, TEST, false);
    size_t size = 0;
    uint8_t *bytes = idx_set_content(&size, 0, TRAIN, 3);
    idx_set_save(path_of(dir, NL_TRAIN_IMAGES, false), bytes, size, true);
    nl_dataset data;
    nl_error err = {0};
    cr_assert(nl_dataset_load(&data, dir, idx_set_picture(), &err) == NL_EDATA);
    cr_assert(strstr(err.what, "magic number 0x1f8b") && strstr(err.hint, ".gz"), "%s", err.hint);
    free(bytes);
    temp_dir_remove(dir);
}

/* ---- files that are not there --------------------------------------------------------------- */

Test(dataset, names_what_is_missing_and_how_to_get_it) {
    char *dir = temp_dir_make();
    for (int file = 0; file < NL_FILES; file++) {
        idx_set_write(dir, TRAIN, TEST, false);
        unlink(path_of(dir, (enum nl_file)file, false));
        nl_dataset data;
        nl_error err = {0};
        cr_assert(nl_dataset_load(&data, dir, idx_set_picture(), &err) == NL_EDATA);
        cr_assert(strstr(err.where, dir) && strstr(err.what, nl_file_name((enum nl_file)file)));
        cr_assert(strstr(err.hint, "scripts/fetch-data.sh mnist"), "%s", err.hint);
        for (int k = 0; k < NL_FILES; k++) {
            cr_assert(strstr(err.hint, nl_file_name((enum nl_file)k)), "%s", err.hint);
        }
    }
    temp_dir_remove(dir);
    expect_failure("/nonexistent/folder", "/nonexistent/folder", "no such folder");
}

Test(dataset, names_a_file_that_is_called_almost_so) {
    static const char *const others[] = {"t10k-images.idx3-ubyte", "T10K-Images-idx3-ubyte.gz",
                                         "t10k-images-idx3-ubyte (1)",
                                         "raw/t10k-images-idx3-ubyte"};
    for (int i = 0; i < 4; i++) {
        char *dir = temp_dir_make(), other[600];
        nl_dataset data;
        nl_error err = {0};
        idx_set_write(dir, TRAIN, TEST, false);
        snprintf(other, sizeof other, "%s/raw", dir);
        mkdir(other, 0777);
        snprintf(other, sizeof other, "%s/%s", dir, others[i]);
        cr_assert(rename(path_of(dir, NL_TEST_IMAGES, false), other) == 0);
        cr_assert(nl_dataset_load(&data, dir, idx_set_picture(), &err) == NL_EDATA);
        cr_expect(strstr(err.hint, others[i]), "%s: %s", others[i], err.hint);
        temp_dir_remove(dir);
    }
}

Test(dataset, a_file_is_no_folder) {
    char *dir = temp_dir_make();
    idx_set_write(dir, TRAIN, TEST, false);
    nl_dataset data;
    nl_error err = {0};
    cr_assert(nl_dataset_load(&data, path_of(dir, NL_TRAIN_IMAGES, false), idx_set_picture(),
                              &err) == NL_EDATA);
    cr_expect(strstr(err.what, "is a file") && strstr(err.hint, "the folder"), "%s", err.what);
    temp_dir_remove(dir);
}

Test(dataset, refuses_what_is_not_a_file) {
    char *dir = temp_dir_make();
    idx_set_write(dir, TRAIN, TEST, false);
    const char *path = path_of(dir, NL_TEST_LABELS, false);
    unlink(path);
    mkdir(path, 0777);
    expect_failure(dir, "t10k-labels-idx1-ubyte", "is a folder");
    rmdir(path);
    cr_assert(mkfifo(path, 0666) == 0); /* nobody writes into it: waiting would be for ever */
    expect_failure(dir, "t10k-labels-idx1-ubyte", "is not a regular file");
    unlink(path);
    cr_assert(symlink(nl_file_name(NL_TEST_LABELS), path) == 0); /* a link to itself */
    expect_failure(dir, "t10k-labels-idx1-ubyte", "cannot open");
    temp_dir_remove(dir);
}

Test(dataset, default_folder_follows_the_environment) {
    char dir[256];
    setenv("NORMLAB_DATA", "/a", 1);
    setenv("XDG_CACHE_HOME", "/b", 1);
    setenv("HOME", "/c", 1);
    nl_dataset_default_dir(dir, sizeof dir, "mnist");
    cr_assert_str_eq(dir, "/a");
    setenv("NORMLAB_DATA", "", 1); /* empty counts as not set */
    nl_dataset_default_dir(dir, sizeof dir, "mnist");
    cr_assert_str_eq(dir, "/b/normlab/mnist");
    unsetenv("XDG_CACHE_HOME");
    nl_dataset_default_dir(dir, sizeof dir, "mnist");
    cr_assert_str_eq(dir, "/c/.cache/normlab/mnist");
    setenv("XDG_CACHE_HOME", "b", 1); /* neither is a path that is not absolute */
    nl_dataset_default_dir(dir, sizeof dir, "kmnist");
    cr_assert_str_eq(dir, "/c/.cache/normlab/kmnist");
    unsetenv("HOME"); /* the system knows */
    nl_dataset_default_dir(dir, sizeof dir, "mnist");
    cr_assert(dir[0] == '/' && strstr(dir, "/.cache/normlab/mnist"), "%s", dir);
}
