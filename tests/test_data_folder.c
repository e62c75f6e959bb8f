/* Which files of a folder are read, and as what: the formats by their names, side by side, below,
 * zipped, and what CIFAR's files may not be.
 */
#include <criterion/criterion.h>
#include <stdio.h>    // snprintf
#include <stdlib.h>   // free
#include <string.h>   // strstr
#include <sys/stat.h> // mkdir
#include <unistd.h>   // unlink

#include "normlab/config.h"  // nl_picture_of_set
#include "normlab/dataset.h" // nl_dataset_load
#include "support/idx_set.h" // idx_set_save

enum { IMAGE = 3 * 32 * 32 };

static char *dir;

static void make(void) {
    dir = temp_dir_make();
}

static void clear(void) {
    temp_dir_remove(dir);
}

TestSuite(data_folder, .init = make, .fini = clear);

/* ---- files ---- */

static void save(const char *name, const void *bytes, size_t size, bool gzip) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    idx_set_save(path, bytes, size, gzip);
}

static void below(const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    mkdir(path, 0777);
}

/* Records whose labels are first, first + 1 ...; each byte of an image is its label and its channel.
 */
static void save_cifar(const char *name, int label_bytes, int first, int n, bool gzip) {
    const size_t record = (size_t)label_bytes + IMAGE;
    uint8_t *bytes = nl_alloc((size_t)n, record, "test");
    for (int i = 0; i < n; i++) {
        uint8_t *at = bytes + (size_t)i * record;
        at[0] = 19;
        at[label_bytes - 1] = (uint8_t)(first + i);
        for (int p = 0; p < IMAGE; p++)
            at[label_bytes + p] = (uint8_t)(10 * (first + i) + p / 1024);
    }
    save(name, bytes, (size_t)n * record, gzip);
    free(bytes);
}

static void save_cifar10(const char *folder, bool gzip) {
    char name[128];
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "%sdata_batch_%d.bin%s", folder, i + 1, gzip ? ".gz" : "");
        save_cifar(name, 1, i, 1, gzip);
    }
    snprintf(name, sizeof name, "%stest_batch.bin%s", folder, gzip ? ".gz" : "");
    save_cifar(name, 1, 7, 3, gzip);
}

/* An IDX file of n images of c x h x w (c 0: three dimensions) or, h 0, of labels; byte i is
 * first + i. */
static void save_idx(const char *name, int n, int c, int h, int w, int first) {
    uint8_t bytes[4096] = {0, 0, 8, (uint8_t)(!h ? 1 : c ? 4 : 3), 0, 0, 0, (uint8_t)n};
    size_t size = 8;
    if (c) bytes[size + 3] = (uint8_t)c, size += 4;
    if (h) bytes[size + 3] = (uint8_t)h, bytes[size + 7] = (uint8_t)w, size += 8;
    const size_t content = (size_t)(n * (c ? c : 1) * (h ? h * w : 1));
    for (size_t i = 0; i < content; i++) bytes[size + i] = (uint8_t)(first + (int)i);
    save(name, bytes, size + content, false);
}

static void save_emnist(const char *before, int first) {
    static const char *const splits[] = {"train", "test"};
    for (int i = 0; i < 2; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s-%s-images-idx3-ubyte", before, splits[i]);
        save_idx(name, 2, 0, 3, 3, 10 * i);
        snprintf(name, sizeof name, "%s-%s-labels-idx1-ubyte", before, splits[i]);
        save_idx(name, 2, 0, 0, 0, first);
    }
}

static nl_picture picture_of(const char *set, int c, int h, int w, int classes) {
    nl_picture picture = {.shape = {c, h, w}, .classes = classes};
    snprintf(picture.set, sizeof picture.set, "%s", set);
    return picture;
}

static const nl_picture *colours(void) {
    static nl_picture picture;
    picture = picture_of("cifar10", 3, 32, 32, 10);
    return &picture;
}

/* ---- what came ---- */

static nl_dataset load(const nl_picture *picture) {
    nl_dataset data;
    nl_error err = {0};
    cr_assert_eq(nl_dataset_load(&data, dir, picture, &err), NL_OK, "%s: %s", err.where, err.what);
    return data;
}

static void refused(const nl_picture *picture, const char *where, const char *what,
                    const char *hint) {
    nl_dataset data;
    nl_error err = {0};
    cr_assert_eq(nl_dataset_load(&data, dir, picture, &err), NL_EDATA, "%s", what);
    cr_expect(strstr(err.where, where), "'%s' is not in '%s'", where, err.where);
    cr_expect(strstr(err.what, what), "'%s' is not in '%s'", what, err.what);
    cr_expect(strstr(err.hint, hint), "'%s' is not in '%s' (%s)", hint, err.hint, err.what);
}

/* ---- CIFAR's ---- */

static void check_cifar10(void) {
    nl_dataset data = load(colours());
    cr_assert(data.train.count == 5 && data.test.count == 3 && data.n_files == 6);
    for (int i = 0; i < 5; i++) {
        cr_expect_eq(data.train.labels[i], i);
        for (int c = 0; c < 3; c++) {
            const uint8_t *channel = data.train.images + i * IMAGE + c * 1024;
            cr_expect(channel[0] == 10 * i + c && channel[1023] == 10 * i + c);
        }
    }
    cr_expect_eq(data.test.labels[2], 9);
    cr_expect_str_eq(data.files[4].name, "data_batch_5.bin");
    cr_expect_str_eq(data.files[5].name, "test_batch.bin");
    cr_expect(strcmp(data.files[4].sha256, data.files[5].sha256) != 0);
    nl_dataset_free(&data);
}

Test(data_folder, cifar10_raw_zipped_and_where_its_archive_puts_it) {
    save_cifar10("", true);
    check_cifar10();
    save_cifar10("", false); /* both: raw is read */
    check_cifar10();
    clear(), make();
    below("cifar-10-batches-bin");
    save_cifar10("cifar-10-batches-bin/", false);
    check_cifar10();
}

Test(data_folder, cifar100_has_the_fine_label) {
    const nl_picture hundred = picture_of("cifar100", 3, 32, 32, 100);
    below("cifar-100-binary");
    save_cifar("cifar-100-binary/train.bin", 2, 96, 4, false);
    save_cifar("cifar-100-binary/test.bin.gz", 2, 20, 2, true);
    nl_dataset data = load(&hundred);
    cr_expect(data.train.count == 4 && data.train.labels[3] == 99);
    cr_expect(data.test.count == 2 && data.test.labels[0] == 20);
    cr_expect_eq(data.train.images[2 * IMAGE + 2048], (uint8_t)(10 * 98 + 2));
    nl_dataset_free(&data);
}

Test(data_folder, cifars_files_have_a_length_and_labels) {
    const nl_picture hundred = picture_of("cifar100", 3, 32, 32, 100);
    static uint8_t bytes[3 * (IMAGE + 2)];
    for (int gzip = 0; gzip < 2; gzip++) {
        const char *name = gzip ? "data_batch_3.bin.gz" : "data_batch_3.bin";
        save_cifar10("", gzip);
        save(name, bytes, IMAGE + 1 - 1, gzip);
        refused(colours(), name, "3072 bytes: must be those of", "get it again");
        save(name, bytes, IMAGE + 1 + 1, gzip);
        refused(colours(), name, "3074 bytes: must be", "1 images of CIFAR-100");
        save(name, bytes, 0, gzip);
        refused(colours(), name, "0 bytes: must be", gzip ? "" : "it is empty");
        save_cifar(name, 1, 10, 1, gzip);
        refused(colours(), name, "label 10 of image 0 (byte 0): labels are 0 to 9", "classes");
        clear(), make();
    }
    save_cifar10("", false);
    save_idx("data_batch_2.bin", 2, 0, 3, 3, 0);
    refused(colours(), "data_batch_2.bin", "34 bytes", "it holds images, as an IDX file");
    clear(), make();
    memset(bytes, 1, sizeof bytes);
    bytes[IMAGE + 2] = 20;
    save("train.bin", bytes, 2 * (IMAGE + 2), false);
    refused(&hundred, "train.bin", "coarse label 20 of image 1 (byte 3074)", "CIFAR-10's");
}

/* Zeros without end: left at the limit. */
Test(data_folder, cifar_refuses_a_gzip_bomb, .timeout = 120) {
    enum { SIZE = 100001 * (IMAGE + 1) };
    uint8_t *zeros = nl_alloc(SIZE, 1, "test");
    save("data_batch_1.bin.gz", zeros, SIZE, true);
    refused(colours(), "data_batch_1.bin.gz", "must be those of 1 to 100000 images", "");
    free(zeros);
}

/* ---- IDX and EMNIST ---- */

Test(data_folder, idx_of_four_dimensions) {
    nl_picture two = picture_of("mine", 2, 3, 5, 256);
    for (int four = 0; four < 2; four++) { /* under either name: the header tells */
        save_idx(four ? "train-images-idx4-ubyte" : "train-images-idx3-ubyte", 2, 2, 3, 5, 7);
        save_idx("train-labels-idx1-ubyte", 2, 0, 0, 0, 254);
        save_idx(four ? "t10k-images-idx4-ubyte" : "t10k-images-idx3-ubyte", 1, 2, 3, 5, 0);
        save_idx("t10k-labels-idx1-ubyte", 1, 0, 0, 0, 0);
        nl_dataset data = load(&two);
        cr_expect(data.train.images[0] == 7 && data.train.images[59] == 66);
        cr_expect(data.train.labels[1] == 255 && data.test.count == 1);
        nl_dataset_free(&data);
        two.shape.channels = 1;
        refused(&two, "train-images", "images of 2 x 3 x 5 at byte 8, must be 1 x 3 x 5",
                "[1, 3, 5]");
        two.shape.channels = 2;
        clear(), make();
    }
    save_idx("train-images-idx3-ubyte", 2, 1, 3, 5, 7); /* one channel may be said or not */
    save_idx("train-labels-idx1-ubyte", 2, 0, 0, 0, 0);
    save_idx("t10k-images-idx3-ubyte", 1, 0, 3, 5, 0);
    save_idx("t10k-labels-idx1-ubyte", 1, 0, 0, 0, 0);
    two.shape.channels = 1;
    nl_dataset data = load(&two);
    cr_expect_eq(data.train.images[29], 36);
    nl_dataset_free(&data);
}

Test(data_folder, idx4_may_end_within_its_header) {
    const nl_picture two = picture_of("mine", 2, 3, 5, 10);
    static const uint8_t head[18] = {0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3};
    save("train-images-idx4-ubyte", head, 18, false);
    refused(&two, "train-images-idx4-ubyte", "within the header, after 18 bytes", "get it again");
}

/* EMNIST's images are turned upright, and its letters begin with 1. */
Test(data_folder, emnist_is_put_upright) {
    static const uint8_t upright[9] = {0, 3, 6, 1, 4, 7, 2, 5, 8};
    const nl_picture letters = picture_of("emnist-letters", 1, 3, 3, 26);
    save_emnist("emnist-letters", 25);
    nl_dataset data = load(&letters);
    cr_expect(memcmp(data.train.images, upright, 9) == 0);
    cr_expect(data.train.images[9 + 1] == 12 && data.test.images[1] == 13,
              "every image, each split");
    cr_expect(data.train.labels[0] == 24 && data.train.labels[1] == 25);
    nl_dataset_free(&data);
    save_emnist("emnist-letters", 0);
    refused(&letters, "labels", "label 0 of image 0 (byte 8): labels are 1 to 26", "");
    save_emnist("emnist-letters", 26);
    refused(&letters, "labels", "label 27 of image 1 (byte 9)", "");
}

/* The archive holds all splits: the set's name chooses. */
Test(data_folder, emnists_splits_lie_together) {
    nl_picture picture = picture_of("emnist-balanced", 1, 3, 3, 47);
    below("gzip");
    save_emnist("gzip/emnist-letters", 1);
    save_emnist("gzip/emnist-digits", 5);
    save_emnist("gzip/emnist-balanced", 40);
    nl_dataset data = load(&picture);
    cr_expect(data.train.labels[1] == 41, "balanced");
    nl_dataset_free(&data);
    picture = picture_of("emnist-digits", 1, 3, 3, 10);
    data = load(&picture);
    cr_expect(data.train.labels[1] == 6, "digits");
    nl_dataset_free(&data);
    picture = picture_of("mine", 1, 3, 3, 47);
    refused(&picture, dir, "files of two sets: emnist-letters-train-images-idx3-ubyte and emnist-",
            "one set in a folder");
}

Test(data_folder, emnist_of_no_square) {
    const nl_picture wide = picture_of("emnist-letters", 1, 3, 4, 26);
    save_idx("emnist-letters-train-images-idx3-ubyte", 1, 0, 3, 4, 0);
    save_idx("emnist-letters-train-labels-idx1-ubyte", 1, 0, 0, 0, 1);
    refused(&wide, "emnist-letters-train-images", "EMNIST's images are square", "");
}

/* ---- what lies there ---- */

Test(data_folder, files_of_two_sets) {
    save_cifar10("", false);
    idx_set_write(dir, 12, 5, false);
    refused(colours(), dir, "files of two sets: train-images-idx3-ubyte and data_batch_1.bin",
            "one set in a folder");
    refused(idx_set_picture(), dir, "files of two sets", "one set in a folder");
}

Test(data_folder, each_missing_file_is_named) {
    for (int i = 0; i < 6; i++) {
        char path[512], name[32] = "test_batch.bin";
        if (i < 5) snprintf(name, sizeof name, "data_batch_%d.bin", i + 1);
        save_cifar10("", false);
        snprintf(path, sizeof path, "%s/%s", dir, name);
        unlink(path);
        char what[64];
        snprintf(what, sizeof what, "no %s in it", name);
        refused(colours(), dir, what, "scripts/fetch-data.sh cifar10 '");
    }
}

Test(data_folder, what_was_downloaded_and_not_unpacked) {
    static const char *const names[][2] = {
        {"cifar-10-binary.tar.gz", "unpack it there: tar -xzf"},
        {"cifar-10-python.tar.gz", "the binary version is read"},
    };
    refused(colours(), dir, "no data_batch_1.bin in it", "fetch-data.sh cifar10");
    for (int i = 0; i < 2; i++) {
        save(names[i][0], "x", 1, false);
        refused(colours(), dir, "no data_batch_1.bin in it", names[i][1]);
        clear(), make();
    }
    below("cifar-10-batches-py");
    refused(colours(), dir, "no data_batch_1.bin in it", "the binary version is read");
    const nl_picture mine = picture_of("mine", 1, 3, 3, 10);
    clear(), make();
    refused(&mine, dir, "no train-images-idx3-ubyte in it",
            "it has to hold the 4 files of the set");
}

Test(data_folder, one_split_needs_its_own_files_alone) {
    nl_dataset data;
    nl_error err = {0};
    save_cifar("test_batch.bin", 1, 0, 3, false);
    cr_assert_eq(nl_dataset_load_part(&data, dir, colours(), false, true, &err), NL_OK, "%s",
                 err.what);
    cr_expect(data.test.count == 3 && data.train.count == 0 && data.n_files == 1);
    cr_expect_str_eq(data.files[0].name, "test_batch.bin");
    nl_dataset_free(&data);
}
