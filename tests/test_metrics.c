/* metrics.jsonl: numbers, lines, cutting off, reading back. */
#include <criterion/criterion.h>
#include <math.h>   // NAN
#include <stdio.h>  // fopen
#include <string.h> // strlen
#include <unistd.h> // truncate

#include "train/metrics.h"
#include "support/idx_set.h" // temp_dir_make

static char *dir, path[256];
static nl_metrics metrics;
static nl_error err;

static void setup(void) {
    dir = temp_dir_make();
    snprintf(path, sizeof path, "%s/metrics.jsonl", dir);
    cr_assert(nl_metrics_open(&metrics, path, 0, &err) == NL_OK, "%s", err.what);
}

static void teardown(void) {
    nl_metrics_close(&metrics);
    temp_dir_remove(dir);
}

TestSuite(metrics, .init = setup, .fini = teardown);

static void expect_content(const char *expected) {
    char text[1024];
    FILE *file = fopen(path, "r");
    cr_assert(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    cr_expect_str_eq(text, expected);
}

Test(metrics, lines_are_there_at_once) {
    cr_assert(nl_metrics_step(&metrics, 1, 938, 0.1, 0, &err) == NL_OK);
    expect_content("{\"event\":\"step\",\"epoch\":1,\"step\":938,\"loss\":0.1,\"penalty\":0}\n");
}

Test(metrics, not_finite_is_null) {
    cr_assert(nl_metrics_step(&metrics, 0, 0, NAN, INFINITY, &err) == NL_OK);
    expect_content("{\"event\":\"step\",\"epoch\":0,\"step\":0,\"loss\":null,\"penalty\":null}\n");
}

Test(metrics, an_epoch) {
    const nl_epoch_record record = {.epoch = 5,
                                    .lr = 0.01 * (0.1 * 0.1), /* 0.00010000000000000002 */
                                    .train_loss = 1.0 / 3,
                                    .train_accuracy = 97.66,
                                    .test_loss = NAN,
                                    .test_accuracy = 100,
                                    .seconds = 12.34567,
                                    .images = 60000};
    cr_assert(nl_metrics_epoch(&metrics, &record, &err) == NL_OK);
    expect_content("{\"event\":\"epoch\",\"epoch\":5,\"lr\":0.0001,"
                   "\"train_loss\":0.3333333333333333,\"train_accuracy\":97.66,"
                   "\"test_loss\":null,\"test_accuracy\":100,\"seconds\":12.3457,"
                   "\"images_per_second\":4860}\n");
}

Test(metrics, final_reads_back) {
    const nl_final final = {0.1, 97.5, 1.0 / 3, 99.23};
    nl_final read = {0};
    cr_expect_not(nl_metrics_read_final(path, &read));
    cr_assert(nl_metrics_step(&metrics, 0, 0, 1, 0, &err) == NL_OK);
    cr_expect_not(nl_metrics_read_final(path, &read), "a step is none");
    cr_assert(nl_metrics_final(&metrics, &final, &err) == NL_OK);
    cr_assert(nl_metrics_read_final(path, &read));
    cr_expect(read.train_loss == 0.1 && read.train_accuracy == 97.5 && read.test_loss == 1.0 / 3 &&
              read.test_accuracy == 99.23);
}

Test(metrics, opening_cuts_off_what_is_newer) {
    int64_t bytes = 0;
    cr_assert(nl_metrics_step(&metrics, 0, 0, 1, 0, &err) == NL_OK);
    cr_assert(nl_metrics_sync(&metrics, &bytes, &err) == NL_OK);
    cr_assert(nl_metrics_step(&metrics, 0, 1, 2, 0, &err) == NL_OK);
    nl_metrics_close(&metrics);
    cr_assert(nl_metrics_open(&metrics, path, bytes, &err) == NL_OK);
    cr_assert(nl_metrics_step(&metrics, 0, 1, 3, 0, &err) == NL_OK);
    expect_content("{\"event\":\"step\",\"epoch\":0,\"step\":0,\"loss\":1,\"penalty\":0}\n"
                   "{\"event\":\"step\",\"epoch\":0,\"step\":1,\"loss\":3,\"penalty\":0}\n");
    nl_metrics_close(&metrics);
    cr_assert(truncate(path, 5) == 0);
    cr_expect(nl_metrics_open(&metrics, path, bytes, &err) == NL_EDATA);
    cr_expect(strstr(err.what, "shorter"));
}

Test(metrics, a_full_disk) {
    nl_metrics_close(&metrics);
    metrics.file = fopen("/dev/full", "w");
    cr_assert(metrics.file);
    cr_expect(nl_metrics_step(&metrics, 0, 0, 1, 0, &err) == NL_EWRITE);
    cr_expect_str_eq(err.where, path);
}
