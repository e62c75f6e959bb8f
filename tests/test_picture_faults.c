/* Files that are not the config's: exit 3, and what to do about it. */
#include <criterion/criterion.h>
#include <stdio.h>  // snprintf, rename
#include <stdlib.h> // free
#include <string.h> // strlen
#include <unistd.h> // access

#include "normlab/dataset.h" // nl_dataset_default_dir
#include "support/idx_set.h" // temp_dir_make
#include "support/picture_sets.h"
#include "support/program.h" // RUN_NORMLAB

static char *dir, data[512], yaml[256], out[256];

static void open_folder(void) {
    dir = temp_dir_make();
    snprintf(data, sizeof data, "%s/data", dir);
    snprintf(yaml, sizeof yaml, "%s/x.yaml", dir);
    snprintf(out, sizeof out, "%s/out", dir);
}

static void close_folder(void) {
    temp_dir_remove(dir);
}

TestSuite(picture_faults, .init = open_folder, .fini = close_folder);

enum { FASHION, LETTERS, CIFAR10, CIFAR100, SIGNS };

static program_result train(const picture_set *config, const char *set) {
    char *text = picture_set_config(config);
    idx_set_save(yaml, text, strlen(text), false);
    free(text);
    return RUN_NORMLAB("train", yaml, "--data", data, "--out", out, "--device", "cpu",
                       "--no-report", "--set", set);
}

/* Exit 3 with these words in the error and in its hint. */
static void refused(const picture_set *config, const char *set, const char *what,
                    const char *hint) {
    program_result r = train(config, set);
    cr_expect_eq(r.code, 3, "%s: exit %d: %s", what, r.code, r.err);
    cr_expect(strstr(r.err, what), "no '%s' in %s", what, r.err);
    const char *at = strstr(r.err, "hint: ");
    cr_expect(at && strstr(at, hint), "no hint '%s' in %s", hint, r.err);
    cr_expect(access(out, F_OK) != 0, "something was written");
    program_free(&r);
}

static void move(const char *from, const char *to) {
    char old[1024], new[1024];
    snprintf(old, sizeof old, "%s/%s", data, from);
    snprintf(new, sizeof new, "%s/%s", data, to);
    cr_assert_eq(rename(old, new), 0, "%s", old);
}

/* CIFAR-10's first file and its last get these names; the others, some that say nothing. */
static void rename_cifar10(const char *train_name, const char *test_name) {
    move("data_batch_1.bin", train_name);
    move("data_batch_2.bin", "b2");
    move("data_batch_3.bin", "b3");
    move("data_batch_4.bin", "b4");
    move("data_batch_5.bin", "b5");
    move("test_batch.bin", test_name);
}

/* ---- shapes ---- */

Test(picture_faults, idx_files_of_another_shape) {
    picture_set_write(&picture_sets[FASHION], data);
    refused(&picture_sets[CIFAR10], "data.batch=8",
            "images of 28 x 28 at byte 8, must be 3 x 32 x 32",
            "data.shape of the config, [3, 32, 32]");
}

Test(picture_faults, images_of_two_channels) {
    picture_set_write(&picture_sets[SIGNS], data);
    refused(&picture_sets[FASHION], "data.batch=8", "images of 2 x 12 x 20", "data.shape");
}

Test(picture_faults, cifars_files_for_a_config_of_mnist) {
    picture_set_write(&picture_sets[CIFAR10], data);
    refused(&picture_sets[FASHION], "data.set=mnist", "images of 3 x 32 x 32, must be 1 x 28 x 28",
            "configs/cifar10_bn.yaml");
}

Test(picture_faults, cifars_files_under_the_names_of_idx) {
    picture_set_write(&picture_sets[CIFAR10], data);
    rename_cifar10("train-images-idx3-ubyte", "t10k-images-idx3-ubyte");
    refused(&picture_sets[FASHION], "data.set=mnist", "magic number",
            "of CIFAR-10: such files are named data_batch_1.bin");
}

/* ---- classes ---- */

Test(picture_faults, letters_for_ten_classes) {
    picture_set_write(&picture_sets[LETTERS], data);
    refused(&picture_sets[FASHION], "data.set=mnist", "labels are 1 to 10", "data.classes: 26");
}

Test(picture_faults, letters_under_mnists_names) {
    picture_set_write(&picture_sets[LETTERS], data);
    move("emnist-letters-train-images-idx3-ubyte", "train-images-idx3-ubyte");
    move("emnist-letters-train-labels-idx1-ubyte", "train-labels-idx1-ubyte");
    move("emnist-letters-test-images-idx3-ubyte", "t10k-images-idx3-ubyte");
    move("emnist-letters-test-labels-idx1-ubyte", "t10k-labels-idx1-ubyte");
    refused(&picture_sets[LETTERS], "data.batch=8", "label 26 of image",
            "EMNIST's letters begin with 1");
}

Test(picture_faults, more_classes_than_the_config_has) {
    picture_set_write(&picture_sets[SIGNS], data);
    picture_set few = picture_sets[SIGNS];
    few.data = "set: signs, shape: [2, 12, 20], classes: 100, mean: 0.3, std: 0.25";
    few.classes = 100;
    refused(&few, "data.batch=8", "label 255 of image 0 (byte 8): labels are 0 to 99",
            "data.classes: 256");
}

Test(picture_faults, cifar100_for_ten_classes) {
    picture_set_write(&picture_sets[CIFAR100], data);
    refused(&picture_sets[CIFAR10], "data.batch=8",
            "label 99 of image 0 (byte 1): labels are 0 to 9", "data.classes: 100");
}

Test(picture_faults, cifar10_under_the_names_of_cifar100) {
    picture_set_write(&picture_sets[CIFAR10], data);
    rename_cifar10("train.bin", "test.bin");
    refused(&picture_sets[CIFAR100], "data.batch=8", "bytes: must be those of 1 to 100000 images",
            "of CIFAR-10: such files are named data_batch_1.bin");
}

/* ---- the set's name ---- */

Test(picture_faults, another_folder_than_the_sets) {
    picture_set_write(&picture_sets[FASHION], data);
    move("t10k-labels-idx1-ubyte", "labels");
    refused(&picture_sets[FASHION], "data.batch=8", "no t10k-labels-idx1-ubyte in it",
            "scripts/fetch-data.sh fashion-mnist");
}

/* Where MNIST itself is on this machine. */
Test(picture_faults, mnists_files_for_fashion_mnist) {
    char path[4096];
    nl_dataset_default_dir(path, sizeof path, "mnist");
    if (access(path, F_OK) != 0) cr_skip_test("no MNIST here (scripts/fetch-data.sh mnist)");
    cr_assert((size_t)snprintf(data, sizeof data, "%s", path) < sizeof data);
    refused(&picture_sets[FASHION], "data.batch=8", "these are MNIST's files",
            "scripts/fetch-data.sh fashion-mnist DIR");
}

/* As many images as MNIST's, under its names, and not it: Fashion-MNIST's published sums are those
 * of its .gz files, so all that can be said is what it is not. */
Test(picture_faults, fashion_mnists_files_under_mnists_names) {
    char path[1024];
    size_t size;
    picture_set_write(&picture_sets[FASHION], data);
    for (int rank = 1; rank <= 3; rank += 2) {
        snprintf(path, sizeof path, "%s/t10k-%s-ubyte", data,
                 rank == 3 ? "images-idx3" : "labels-idx1");
        uint8_t *bytes = idx_set_content(&size, 0, 10000, rank);
        idx_set_save(path, bytes, size, false);
        free(bytes);
    }
    program_result r = train(&picture_sets[FASHION], "data.set=mnist");
    cr_expect_eq(r.code, 0, "%s", r.err);
    cr_expect(strstr(r.err, "t10k-images-idx3-ubyte is not MNIST's by SHA-256"), "%s", r.err);
    cr_expect(strstr(r.err, "--set data.set=fashion-mnist"), "%s", r.err);
    program_free(&r);
    temp_dir_remove(strdup(out));
    r = train(&picture_sets[FASHION], "data.batch=8");
    cr_expect_eq(r.code, 0, "%s", r.err);
    cr_expect(!strstr(r.err, "SHA-256"), "of its own name: %s", r.err);
    program_free(&r);
}
