/* A run folder that version 0.1.0 left, at commit 32e0dbb: tests/golden/old_run, the toy study on
 * the float engine, finished after 2 epochs. What later versions change, it has to stay of use. */
#include <criterion/criterion.h>
#include <stdio.h>  // snprintf
#include <stdlib.h> // system
#include <string.h> // strstr

#include "support/idx_set.h"  // temp_dir_make
#include "support/run_dirs.h" // expect_in
#include "support/toy_cli.h"

static char out[300];

/* Its files copied to where they may be written, beside the data that it was trained on. */
static void setup(void) {
    char command[1000];
    toy_cli_open();
    snprintf(out, sizeof out, "%s/old", toy_cli.dir);
    snprintf(command, sizeof command, "cp -r '%s/tests/golden/old_run' '%s'", NL_SOURCE_DIR, out);
    cr_assert_eq(system(command), 0, "%s", command);
}

TestSuite(old_run, .init = setup, .fini = toy_cli_close);

static const char *file(char path[400], const char *name) {
    snprintf(path, 400, "%s/toy/seed-3/%s", out, name);
    return path;
}

Test(old_run, is_evaluated) {
    char last[400];
    program_result r = RUN_NORMLAB("eval", file(last, "last.safetensors"), "--data", toy_data,
                                   "--device", "cpu", "--json");
    cr_assert_eq(r.code, 0, "%s", r.err);
    double loss = 0, accuracy = 0;
    const char *at = strstr(r.out, "\"loss\":");
    cr_assert(at && sscanf(at, "\"loss\":%lf", &loss) == 1, "%s", r.out);
    at = strstr(r.out, "\"accuracy\":");
    cr_assert(at && sscanf(at, "\"accuracy\":%lf", &accuracy) == 1, "%s", r.out);
    cr_expect(loss - 2.3057420194149016 < 1e-5 && 2.3057420194149016 - loss < 1e-5, "%.17g", loss);
    cr_expect(accuracy == 25, "%g", accuracy);
    program_free(&r);
}

Test(old_run, is_resumed) {
    program_result r =
        RUN_NORMLAB("train", toy_yaml, "--data", toy_data, "--device", "cpu", "--out", out,
                    "--resume", "--epochs", "3", "--no-report", "--quiet");
    cr_assert_eq(r.code, 0, "%s", r.err);
    program_free(&r);
    char *metrics = unit_content(out, "metrics.jsonl");
    cr_expect(
        strstr(metrics, "\"event\":\"epoch\",\"epoch\":0,\"lr\":0.05,\"train_loss\":2.664050"),
        "what was there stays: %s", metrics);
    cr_expect(strstr(metrics, "\"event\":\"epoch\",\"epoch\":2,"), "%s", metrics);
    cr_expect_not(strstr(metrics, "\"event\":\"step\",\"epoch\":0"));
    free(metrics);
    expect_code(RUN_NORMLAB("train", toy_yaml, "--data", toy_data, "--device", "cpu", "--out", out,
                            "--resume", "--epochs", "3", "--set", "train.lr=0.04", "--no-report"),
                2, "train.lr");
}

Test(old_run, is_reported) {
    program_result r = RUN_NORMLAB("report", out);
    cr_assert_eq(r.code, 0, "%s", r.err);
    program_free(&r);
    expect_in(out, "findings.md", "| toy | 3 | 2 | 25.00 | 2.3057 |", true);
    expect_in(out, "findings.md", "finished", true);
}
