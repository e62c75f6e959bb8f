/* Training and its report together: what a run that fails or is killed leaves, and the order of the
 * command line. */
#include <criterion/criterion.h>
#include <signal.h> // kill
#include <stdio.h>  // fopen
#include <stdlib.h> // free
#include <string.h> // strstr
#include <unistd.h> // access, usleep

#include "support/run_dirs.h" // expect_in
#include "support/toy_cli.h"

TestSuite(train_report, .init = toy_cli_open, .fini = toy_cli_close);

/* Another config file with the toy's content. */
static void copy_config(char path[256], const char *name) {
    char text[4096] = "";
    FILE *from = fopen(toy_yaml, "r"), *to = fopen(toy_path(path, name), "w");
    cr_assert(from && to && fread(text, 1, sizeof text - 1, from) > 0);
    cr_assert(fputs(text, to) >= 0 && fclose(to) == 0 && fclose(from) == 0);
}

#define TRAIN_AND_REPORT(...)                                                                      \
    RUN_NORMLAB("train", "--data", toy_data, "--device", "cpu", "--quiet", "--out", toy_cli.out,   \
                __VA_ARGS__)

Test(train_report, a_failed_seed_is_told) {
    expect_code(TRAIN_AND_REPORT(toy_yaml, "--seeds", "3"), 0, NULL);
    /* The first step ruins the weights, so the loss of the second is lost. */
    expect_code(TRAIN_AND_REPORT(toy_yaml, "--seeds", "1", "--set", "train.lr=1e30", "--set",
                                 "model.norm=none"),
                5, "epoch 0, step 1");
    expect_in(toy_cli.out, "findings.md",
              "toy (2): the only seed that was started did not finish; "
              "seed 1: failed at epoch 0, step 1 (loss ",
              true);
    expect_in(toy_cli.out, "findings.md", "| toy (2) | 0 of 1 |", true);
    expect_in(toy_cli.out, "findings.md", "seed 1 differs from the others in model.norm, train.lr",
              true);
    expect_in(toy_cli.out, "results.json", "\"end\":\"failed\",\"failure\":{\"epoch\":0,\"step\":1",
              true);
    /* Trained again with better luck, it is like any other. */
    expect_code(TRAIN_AND_REPORT(toy_yaml, "--seeds", "1", "--overwrite"), 0, NULL);
    expect_in(toy_cli.out, "findings.md", "| toy | 2 |", true);
    expect_in(toy_cli.out, "findings.md", "failed", false);
}

Test(train_report, a_failure_after_whole_epochs) {
    expect_code(TRAIN_AND_REPORT(toy_yaml, "--set", "train.schedule.factor=1e9", "--set",
                                 "model.norm=none", "--epochs", "6"),
                5, NULL);
    expect_in(toy_cli.out, "findings.md", "failed at epoch ", true);
    expect_in(toy_cli.out, "findings.md", "| toy | 0 of 1 |", true);
    expect_in(toy_cli.out, "findings.md", "interrupted", false);
}

Test(train_report, a_killed_run_is_interrupted) {
    char path[600];
    program p = program_start((const char *const[]){NL_PROGRAM, "train", toy_yaml, "--data",
                                                    toy_data, "--device", "cpu", "--quiet", "--out",
                                                    toy_cli.out, "--epochs", "1000000", NULL});
    snprintf(path, sizeof path, "%s/toy/seed-3/last.safetensors", toy_cli.out);
    for (int i = 0; i < 3000 && access(path, F_OK) != 0; i++) usleep(10000);
    expect_code(RUN_NORMLAB("report", toy_cli.out), 0, NULL);
    expect_in(toy_cli.out, "findings.md", "seed 3: running.", true);
    kill(p.pid, SIGKILL);
    program_result r = program_wait(&p, 60);
    program_free(&r);
    expect_code(RUN_NORMLAB("report", toy_cli.out), 0, NULL);
    expect_in(toy_cli.out, "findings.md", "seed 3: interrupted.", true);
    expect_in(toy_cli.out, "results.json", "\"end\":\"interrupted\"", true);
}

static void expect_rows(const char *const *names) {
    char *text = read_report(toy_cli.out, "findings.md"), row[100];
    char *at = strstr(text, "## Results");
    *strstr(at, "\nThe last weights") = '\0'; /* the end of that table */
    for (; *names; names++) {
        snprintf(row, sizeof row, "\n| %s |", *names);
        at = strstr(at, row);
        cr_assert(at, "%s: %.1000s", *names, text);
    }
    free(text);
}

Test(train_report, variants_in_the_order_of_the_command_line) {
    char z[256], b10[256], b9[256];
    copy_config(z, "z.yaml");
    copy_config(b10, "b10.yaml");
    copy_config(b9, "b9.yaml");
    expect_code(TRAIN_AND_REPORT(z, b10, "--epochs", "1"), 0, NULL);
    expect_rows((const char *const[]){"z", "b10", NULL});
    expect_code(TRAIN_AND_REPORT(b9, "--epochs", "1"), 0, NULL);
    expect_rows((const char *const[]){"b9", "b10", "z", NULL});
    expect_code(RUN_NORMLAB("report", toy_cli.out), 0, NULL);
    expect_rows((const char *const[]){"b9", "b10", "z", NULL});
}
