/* The seeds of one name in one folder: of one config and one data set, or refused. */
#include <criterion/criterion.h>
#include <stdio.h>  // fopen
#include <stdlib.h> // free
#include <string.h> // strstr
#include <unistd.h> // access

#include "support/idx_set.h" // idx_set_write
#include "support/toy_cli.h"

TestSuite(siblings, .init = toy_cli_open, .fini = toy_cli_close);

/* Replaces the first `was` in the config file, which holds it. */
static void edit_config(const char *was, const char *is) {
    FILE *file = fopen(toy_yaml, "r+");
    char text[4096] = "";
    cr_assert(file && fread(text, 1, sizeof text - 1, file) > 0);
    char *at = strstr(text, was);
    cr_assert(at, "%s", was);
    rewind(file);
    fprintf(file, "%.*s%s%s", (int)(at - text), text, is, at + strlen(was));
    cr_assert(ftruncate(fileno(file), (off_t)(strlen(text) + strlen(is) - strlen(was))) == 0);
    fclose(file);
}

static bool unit_there(const char *seed) {
    char path[512];
    snprintf(path, sizeof path, "%s/toy/seed-%s", toy_cli.out, seed);
    return access(path, F_OK) == 0;
}

Test(siblings, an_edited_config_is_refused) {
    expect_code(TRAIN("--seeds", "1-2", "--epochs", "1"), 0, NULL);
    edit_config("lr: 0.05", "lr: 0.5");
    edit_config("norm: batch", "norm: layer");
    expect_code(TRAIN("--seeds", "3-4", "--epochs", "1"), 2, "in model.norm, train.lr");
    cr_expect_not(unit_there("3"), "nothing was made");
    expect_code(TRAIN("--seeds", "3", "--epochs", "1", "--set", "train.lr=0.05"), 2, "model.norm");
    expect_code(TRAIN("--overwrite", "--seeds", "1", "--epochs", "1"), 2, "seed-2");
    expect_code(TRAIN("--overwrite", "--seeds", "1-2", "--epochs", "1"), 0, NULL);
    expect_code(TRAIN("--seeds", "3", "--epochs", "1"), 0, NULL);
}

Test(siblings, edited_layers_are_refused) {
    expect_code(TRAIN("--seeds", "1"), 0, NULL);
    edit_config("conv: 4", "conv: 6");
    expect_code(TRAIN("--seeds", "2"), 2, "in model.layers");
    edit_config("conv: 6", "conv: 4");
    edit_config("eps: 1e-5", "eps: 1.0000000000000001e-5"); /* the same double */
    expect_code(TRAIN("--seeds", "2"), 0, NULL);
}

/* What the command line asks for by name is meant; the report tells it from the others. */
Test(siblings, a_key_set_by_hand_is_a_warning) {
    expect_code(TRAIN("--seeds", "1", "--epochs", "1"), 0, NULL);
    expect_code(TRAIN("--seeds", "2", "--epochs", "1", "--set", "train.lr=0.5"), 0,
                "train.lr; the report keeps it apart");
    expect_code(TRAIN("--seeds", "3", "--epochs", "1"), 0, NULL); /* one of its kind is there */
    expect_code(TRAIN("--seeds", "4"), 2, "in train.epochs");
}

Test(siblings, other_data_are_refused) {
    char other[256];
    expect_code(TRAIN("--seeds", "1"), 0, NULL);
    idx_set_write(toy_path(other, "other"), TOY_TRAIN + 1, TOY_TEST, false);
    expect_code(TRAIN("--seeds", "2", "--data", other), 2, "in data");
    cr_expect_not(unit_there("2"));
    expect_code(TRAIN("--seeds", "2", "--limit-batches", "2"), 2, "in --limit-batches");
    expect_code(TRAIN("--seeds", "2"), 0, NULL);
}

Test(siblings, resuming_and_initial_weights_do_not_mix) {
    expect_code(TRAIN("--seeds", "1", "--epochs", "0"), 0, NULL);
    expect_code(TRAIN("--seeds", "2-3", "--epochs", "1"), 0, NULL);
    edit_config("epochs: 2", "epochs: 3");
    expect_code(TRAIN("--seeds", "2", "--resume"), 0, NULL); /* the other seed will follow */
    expect_code(TRAIN("--seeds", "3", "--resume"), 0, NULL);
}

/* 15 digits do not tell these two apart. */
Test(siblings, numbers_are_compared_as_they_are) {
    expect_code(TRAIN("--seeds", "1", "--set", "train.lr=0.30000000000000004"), 0, NULL);
    expect_code(TRAIN("--seeds", "1", "--resume", "--set", "train.lr=0.3"), 2, "train.lr");
    expect_code(TRAIN("--seeds", "1", "--resume", "--set", "train.lr=0.30000000000000004"), 0,
                NULL);
}
