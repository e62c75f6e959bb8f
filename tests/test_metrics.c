/* metrics.jsonl: the lines of every event, numbers, cutting off, reading back. */
#include <criterion/criterion.h>
#include <math.h>     // NAN
#include <stdio.h>    // fopen
#include <stdlib.h>   // free
#include <string.h>   // strlen
#include <sys/stat.h> // mkdir
#include <unistd.h>   // truncate

#include "train/metrics.h"
#include "support/idx_set.h" // temp_dir_make
#include "support/slurp.h"

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
    size_t size;
    char *text = slurp(path, &size);
    cr_expect_str_eq(text, expected);
    free(text);
}

static int write_step(uint32_t epoch, int64_t step, double loss, double penalty) {
    const nl_metrics_record record = {
        .event = NL_EVENT_STEP, .epoch = epoch, .step = step, .loss = loss, .penalty = penalty};
    return nl_metrics_write(&metrics, &record, &err);
}

Test(metrics, lines_are_there_at_once) {
    cr_assert(write_step(1, 938, 0.1, 0) == NL_OK);
    expect_content("{\"event\":\"step\",\"epoch\":1,\"step\":938,\"loss\":0.1,\"penalty\":0}\n");
}

Test(metrics, not_finite_is_null) {
    cr_assert(write_step(0, 0, NAN, INFINITY) == NL_OK);
    expect_content("{\"event\":\"step\",\"epoch\":0,\"step\":0,\"loss\":null,\"penalty\":null}\n");
}

/* Each number with its own digits: beside one that needs 17 the other keeps its two. */
Test(metrics, a_piece) {
    const nl_metrics_record record = {.event = NL_EVENT_PROGRESS,
                                      .epoch = 3,
                                      .step = 5000000000,
                                      .loss = 0.1 + 0.2,
                                      .accuracy = 97.66};
    cr_assert(nl_metrics_write(&metrics, &record, &err) == NL_OK);
    expect_content("{\"event\":\"progress\",\"epoch\":3,\"step\":5000000000,"
                   "\"loss\":0.30000000000000004,\"accuracy\":97.66}\n");
}

static const nl_metrics_record an_epoch = {.event = NL_EVENT_EPOCH,
                                           .epoch = 5,
                                           .lr = 0.01 * (0.1 * 0.1), /* 0.00010000000000000002 */
                                           .figures = {1.0 / 3, 97.66, NAN, 100},
                                           .seconds = 12.34567,
                                           .images_per_second = 60000 / 12.34567};
static const nl_metrics_record a_layer = {.event = NL_EVENT_LAYER,
                                          .epoch = -1,
                                          .layer = "conv1",
                                          .z = {-0.5, 1},
                                          .y = {0.25, 2.5},
                                          .dy = {1e-20, 1e300},
                                          .dw = {0.125, 3},
                                          .zero = 0.5,
                                          .dead = NAN};

Test(metrics, an_epoch) {
    cr_assert(nl_metrics_write(&metrics, &an_epoch, &err) == NL_OK);
    expect_content("{\"event\":\"epoch\",\"epoch\":5,\"lr\":0.0001,"
                   "\"train_loss\":0.3333333333333333,\"train_accuracy\":97.66,"
                   "\"test_loss\":null,\"test_accuracy\":100,\"seconds\":12.3457,"
                   "\"images_per_second\":4860}\n");
}

Test(metrics, a_layer) {
    cr_assert(nl_metrics_write(&metrics, &a_layer, &err) == NL_OK);
    expect_content(
        "{\"event\":\"layer\",\"epoch\":-1,\"layer\":\"conv1\",\"z_mean\":-0.5,\"z_sd\":1,"
        "\"y_mean\":0.25,\"y_sd\":2.5,\"dy_mean\":1e-20,\"dy_sd\":1e300,"
        "\"dw_mean\":0.125,\"dw_sd\":3,\"zero\":0.5,\"dead\":null}\n");
}

Test(metrics, a_huge_value_that_is_rounded) {
    nl_metrics_record record = an_epoch;
    record.seconds = 1.7e308;
    cr_assert(nl_metrics_write(&metrics, &record, &err) == NL_OK);
}

/* --- reading back ---------------------------------------------------------------------------- */

typedef struct taken {
    nl_metrics_record records[8];
    int n;
} taken;

static bool take(void *to, const nl_metrics_record *record) {
    taken *t = to;
    cr_assert(t->n < 8);
    t->records[t->n++] = *record;
    return true;
}

static void expect_same(double a, double b) {
    cr_expect(a == b || (isnan(a) && isnan(b)), "%.17g, not %.17g", a, b);
}

Test(metrics, every_record_reads_back) {
    cr_assert(write_step(2, 7, 0.1, INFINITY) == NL_OK);
    cr_assert(nl_metrics_write(&metrics, &an_epoch, &err) == NL_OK);
    cr_assert(nl_metrics_write(&metrics, &a_layer, &err) == NL_OK);
    taken t = {0};
    nl_metrics_read(path, take, &t);
    cr_assert_eq(t.n, 3);
    const nl_metrics_record *r = t.records;
    cr_expect(r[0].event == NL_EVENT_STEP && r[0].epoch == 2 && r[0].step == 7);
    expect_same(r[0].loss, 0.1);
    expect_same(r[0].penalty, NAN);
    cr_expect(r[1].event == NL_EVENT_EPOCH && r[1].epoch == 5);
    expect_same(r[1].figures.train_loss, 1.0 / 3);
    expect_same(r[1].figures.test_loss, NAN);
    expect_same(r[1].figures.test_accuracy, 100);
    cr_expect(r[2].event == NL_EVENT_LAYER && r[2].epoch == -1);
    cr_expect_str_eq(r[2].layer, "conv1");
    expect_same(r[2].dy.mean, 1e-20);
    expect_same(r[2].dy.sd, 1e300);
    expect_same(r[2].dead, NAN);
}

/* What is no record is left out, what is of another version too, and the rest is read. */
Test(metrics, lines_that_are_no_records) {
    static const char *const lines[] = {"",
                                        "{\"event\":\"step\",\"epoch\":0,\"st",
                                        "[]",
                                        "{\"epoch\":1}",
                                        "{\"event\":\"epoch\",\"epoch\":1.5}",
                                        "{\"event\":\"layer\",\"epoch\":1}",
                                        ("{\"event\":\"layer\",\"epoch\":1,\"layer\":"
                                         "\"a_label_that_is_longer_than_32_letters\"}"),
                                        "{\"event\":\"memory\",\"bytes\":1}",
                                        "{\"event\":\"progress\",\"epoch\":1,\"step\":2}"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        fprintf(metrics.file, "%s\n", lines[i]);
    fflush(metrics.file);
    taken t = {0};
    nl_metrics_read(path, take, &t);
    cr_assert_eq(t.n, 1);
    cr_expect(t.records[0].event == NL_EVENT_PROGRESS && isnan(t.records[0].loss));
}

static int write_final(nl_final figures) {
    const nl_metrics_record record = {.event = NL_EVENT_FINAL, .figures = figures};
    return nl_metrics_write(&metrics, &record, &err);
}

Test(metrics, final_reads_back) {
    nl_final read = {0};
    cr_expect_not(nl_metrics_read_final(path, &read));
    cr_assert(write_step(0, 0, 1, 0) == NL_OK);
    cr_expect_not(nl_metrics_read_final(path, &read), "a step is none");
    cr_assert(write_final((nl_final){0.1, 97.5, NAN, 99.23}) == NL_OK);
    cr_expect_not(nl_metrics_read_final(path, &read), "one figure is missing");
    cr_assert(write_final((nl_final){0.1, 97.5, 1.0 / 3, 99.23}) == NL_OK);
    cr_assert(nl_metrics_read_final(path, &read));
    cr_expect(read.train_loss == 0.1 && read.train_accuracy == 97.5 && read.test_loss == 1.0 / 3 &&
              read.test_accuracy == 99.23);
}

Test(metrics, opening_cuts_off_what_is_newer) {
    int64_t bytes = 0;
    cr_assert(write_step(0, 0, 1, 0) == NL_OK);
    cr_assert(nl_metrics_sync(&metrics, &bytes, &err) == NL_OK);
    cr_assert(write_step(0, 1, 2, 0) == NL_OK);
    nl_metrics_close(&metrics);
    cr_assert(nl_metrics_open(&metrics, path, bytes, &err) == NL_OK);
    cr_assert(write_step(0, 1, 3, 0) == NL_OK);
    expect_content("{\"event\":\"step\",\"epoch\":0,\"step\":0,\"loss\":1,\"penalty\":0}\n"
                   "{\"event\":\"step\",\"epoch\":0,\"step\":1,\"loss\":3,\"penalty\":0}\n");
    nl_metrics_close(&metrics);
    cr_assert(truncate(path, 5) == 0);
    cr_expect(nl_metrics_open(&metrics, path, bytes, &err) == NL_EDATA);
    cr_expect(strstr(err.what, "shorter"));
}

/* Who opened it before has lost the run: what it still writes is not in the file. */
Test(metrics, an_heir_writes_another_file) {
    int64_t bytes = 0;
    cr_assert(write_step(0, 0, 1, 0) == NL_OK);
    cr_assert(nl_metrics_sync(&metrics, &bytes, &err) == NL_OK);
    nl_metrics owner = metrics;
    cr_assert(nl_metrics_open(&metrics, path, bytes, &err) == NL_OK);
    const nl_metrics_record late = {.event = NL_EVENT_STEP, .step = 7};
    cr_expect(nl_metrics_write(&owner, &late, &err) == NL_OK);
    cr_assert(write_step(0, 1, 3, 0) == NL_OK);
    nl_metrics_close(&owner);
    expect_content("{\"event\":\"step\",\"epoch\":0,\"step\":0,\"loss\":1,\"penalty\":0}\n"
                   "{\"event\":\"step\",\"epoch\":0,\"step\":1,\"loss\":3,\"penalty\":0}\n");
}

Test(metrics, what_cannot_be_kept) {
    nl_metrics_close(&metrics);
    cr_expect(nl_metrics_open(&metrics, path, 1, &err) == NL_EDATA && strstr(err.what, "shorter"));
    cr_assert(remove(path) == 0);
    cr_expect(nl_metrics_open(&metrics, path, 1, &err) == NL_EDATA && strstr(err.what, "shorter"));
    cr_assert(access(path, F_OK) != 0, "nothing is made in its place");
    cr_assert(mkdir(path, 0777) == 0);
    cr_expect(nl_metrics_open(&metrics, path, 1, &err) == NL_EDATA);
    cr_expect(strstr(err.what, "is a folder"), "%s", err.what);
    cr_expect(nl_metrics_open(&metrics, path, 0, &err) == NL_EWRITE && !metrics.file);
}

Test(metrics, a_full_disk) {
    nl_metrics_close(&metrics);
    metrics.file = fopen("/dev/full", "w");
    cr_assert(metrics.file);
    cr_expect(write_step(0, 0, 1, 0) == NL_EWRITE);
    cr_expect_str_eq(err.where, path);
}
