/* What the report counts as a run: copies and links once, every seed that was started, seeds of
 * another config or other data apart; in which order variants stand; which files are the report's.
 */
#include <criterion/criterion.h>

#include <fcntl.h>    // open
#include <math.h>     // nextafter
#include <stdio.h>    // snprintf
#include <stdlib.h>   // free
#include <string.h>   // strstr
#include <sys/file.h> // flock
#include <sys/stat.h> // mkdir
#include <unistd.h>   // symlink, access

#include "normlab/report.h"
#include "support/idx_set.h" // temp_dir_make
#include "support/run_dirs.h"

static char *out;

static void setup(void) {
    out = temp_dir_make();
}

static void teardown(void) {
    temp_dir_remove(out);
}

TestSuite(report_runs, .init = setup, .fini = teardown);

/* ---- run.json ---- */

typedef struct record {
    const char *name, *status, *started, *norm, *data, *device;
    const char *failure; /* JSON */
    unsigned seed;
    double lr, eps;
    int filters; /* of the first layer */
} record;

static const record plain = {.name = "bn",
                             .status = "finished",
                             .started = "2026-11-25T20:00:00Z",
                             .norm = "batch",
                             .data = "aa",
                             .device = "cpu",
                             .failure = "null",
                             .seed = 1,
                             .lr = 0.01,
                             .eps = 1e-5,
                             .filters = 8};

static void write_record(const char *folder, record r) {
    char unit[500];
    snprintf(unit, sizeof unit, "%s/%s", out, folder);
    write_text(unit, "run.json",
               "{\"name\": \"%s\", \"seed\": %u, \"status\": \"%s\", \"started\": \"%s\", "
               "\"failure\": %s, \"device\": {\"backend\": \"%s\"}, "
               "\"data\": {\"sha256\": {\"t10k-images-idx3-ubyte\": \"%s\"}}, \"config\": "
               "{\"name\": \"%s\", \"train\": {\"lr\": %.17g, \"seed\": %u}, "
               "\"model\": {\"norm\": \"%s\", \"eps\": %.17g, \"layers\": ["
               "{\"conv\": %d, \"kernel\": 5, \"norm\": true, \"relu\": true}, "
               "{\"pool\": \"max\", \"size\": 4}, {\"conv\": 10, \"kernel\": 3}, "
               "{\"pool\": \"average\"}]}}}",
               r.name, r.seed, r.status, r.started, r.failure, r.device, r.data, r.name, r.lr,
               r.seed, r.norm, r.eps, r.filters);
}

/* A finished run with its record in the folder that belongs to it. */
static void recorded_run(record r, double accuracy) {
    char folder[300];
    finished_run(out, r.name, r.seed, accuracy);
    snprintf(folder, sizeof folder, "%s/seed-%u", r.name, r.seed);
    write_record(folder, r);
}

static record with_seed(record r, unsigned seed) {
    r.seed = seed;
    return r;
}

/* Three seeds each of bn and the other, 0.2, 0.3 and 0.21 apart. */
static void three_seeds(record other) {
    const double above[] = {0.2, 0.3, 0.21};
    for (unsigned s = 1; s <= 3; s++) {
        recorded_run(with_seed(plain, s), 99 + above[s - 1]);
        recorded_run(with_seed(other, s), 99);
    }
}

static void findings(const char *words, bool there) {
    expect_in(out, "findings.md", words, there);
}

static nl_error refused(int code) {
    nl_error err = {0};
    const int got = nl_report(out, &err);
    cr_assert_eq(got, code, "code %d: %s: %s", got, err.where, err.what);
    return err;
}

/* ---- figures that settle nothing ---- */

Test(report_runs, equal_everywhere) {
    for (unsigned s = 1; s <= 2; s++) {
        finished_run(out, "a", s, 99.2);
        finished_run(out, "b", s, 99.2);
    }
    report(out, NL_OK);
    findings("Nothing is settled", true);
    findings("Open: a against b: the same difference of 0.00 points", true);
    finished_run(out, "a", 3, 99.2);
    finished_run(out, "b", 3, 99.2);
    report(out, NL_OK);
    findings("| a − b | 3 | +0.000 | – | 1.00 | 1.00 |", true);
    findings("| a | 3 | 99.20 | 0.000 | – | – |", true);
}

Test(report_runs, equal_but_for_rounding) {
    const double a[] = {99.2, 99.18, 99.28}, b[] = {99.12, 99.1, 99.2};
    for (unsigned s = 0; s < 3; s++) {
        finished_run(out, "a", s, a[s]);
        finished_run(out, "b", s, b[s]);
    }
    report(out, NL_OK);
    findings("Settled", false);
    findings("Open: a against b: the same difference of 0.08 points with each of 3 seeds", true);
}

Test(report_runs, two_seeds_are_open) {
    finished_run(out, "a", 1, 99.4);
    finished_run(out, "b", 1, 99.1);
    finished_run(out, "a", 2, 99.5);
    finished_run(out, "b", 2, 99.1999);
    report(out, NL_OK);
    findings("Settled", false);
    findings("Open: a against b, a difference of 0.300 points over 2 seeds, from which nothing is "
             "settled; if it is real, about 3 seeds would settle it.",
             true);
}

Test(report_runs, intervals_end_at_100) {
    const double a[] = {100, 99.8, 93};
    for (unsigned s = 0; s < 3; s++) finished_run(out, "a", s, a[s]);
    report(out, NL_OK);
    findings(" to 100.00 | seeds |", true);
}

Test(report_runs, figures_out_of_all_bounds) {
    static const char *const odd[] = {"1e308", "-1e308", "1e-320", "null", "\"99\"",
                                      "-0.0",  "101",    "1e999",  "[]",   "true"};
    enum { N = sizeof odd / sizeof *odd };
    char unit[500], metrics[1000];
    for (unsigned i = 0; i < N; i++) {
        snprintf(metrics, sizeof metrics,
                 "{\"event\":\"epoch\",\"epoch\":0,\"lr\":%s,\"train_loss\":%s,\"train_accuracy\":"
                 "%s,\"test_loss\":%s,\"test_accuracy\":%s,\"seconds\":%s,\"images_per_second\":%s}"
                 "\n{\"event\":\"final\",\"train_loss\":%s,\"train_accuracy\":%s,\"test_loss\":%s,"
                 "\"test_accuracy\":%s}\n",
                 odd[i], odd[i], odd[i], odd[(i + 1) % N], odd[(i + 1) % N], odd[i], odd[i], odd[i],
                 odd[i], odd[(i + 2) % N], odd[(i + 2) % N]);
        make_run(unit, out, "a", i, metrics);
        make_run(unit, out, "b", (i + 3) % N, metrics);
        finished_run(out, "c", i, 99 + 0.01 * i);
    }
    report(out, NL_OK);
    findings("| c | 10 | 99.05 |", true);
    findings("nan", false);
    findings("inf", false);
    cr_expect(drawn(out, "validation_loss.png") && drawn(out, "train_against_test.png"));
}

/* ---- one run, several folders ---- */

Test(report_runs, a_copy_counts_once) {
    recorded_run(plain, 99.4);
    recorded_run(with_seed(plain, 2), 99.5);
    char copy[500];
    snprintf(copy, sizeof copy, "%s/bn/seed-01", out);
    mkdir(copy, 0777);
    write_text(copy, "metrics.jsonl", "%s", two_epochs);
    write_record("bn/seed-01", plain);
    report(out, NL_OK);
    findings("| bn | 2 | 99.45 |", true);
    /* of the same name and seed, but started at another time */
    record other = plain;
    other.started = "2026-11-25T21:00:00Z";
    write_record("bn/seed-01", other);
    const nl_error err = refused(NL_EDATA);
    cr_expect(strstr(err.where, "seed-01") && strstr(err.what, "bn/seed-1"), "%s: %s", err.where,
              err.what);
}

Test(report_runs, a_copy_under_another_seed_or_name_is_an_error) {
    recorded_run(plain, 99.4);
    finished_run(out, "bn", 3, 99.4);
    write_record("bn/seed-3", plain);
    nl_error err = refused(NL_EDATA);
    cr_expect(strstr(err.where, "bn/seed-3") && strstr(err.what, "seed 3") &&
                  strstr(err.what, "bn, seed 1"),
              "%s: %s", err.where, err.what);
    write_record("bn/seed-3", with_seed(plain, 3));
    report(out, NL_OK);
    finished_run(out, "copy", 1, 99.4);
    write_record("copy/seed-1", plain);
    err = refused(NL_EDATA);
    cr_expect(strstr(err.where, "copy/seed-1") && strstr(err.what, "bn, seed 1"), "%s: %s",
              err.where, err.what);
}

Test(report_runs, a_link_counts_once) {
    char link[500], target[500];
    recorded_run(plain, 99.4);
    recorded_run(with_seed(plain, 2), 99.5);
    finished_run(out, "untold", 1, 99.4); /* no run.json */
    snprintf(target, sizeof target, "%s/bn", out);
    snprintf(link, sizeof link, "%s/an", out); /* comes first by name */
    cr_assert(symlink(target, link) == 0);
    snprintf(target, sizeof target, "%s/untold", out);
    snprintf(link, sizeof link, "%s/untold_too", out);
    cr_assert(symlink(target, link) == 0);
    snprintf(link, sizeof link, "%s/bn/seed-5", out);
    cr_assert(symlink("seed-2", link) == 0);
    report(out, NL_OK);
    findings("| bn | 2 | 99.45 |", true);
    findings("| an |", false);
    findings("| untold | 1 |", true);
    findings("too", false);
    findings("untold: 1 of 1 runs without run.json", true);
}

/* ---- ends ---- */

Test(report_runs, every_seed_that_was_started_is_told) {
    char unit[500], lock[600];
    recorded_run(plain, 99.4);
    record r = with_seed(plain, 2);
    make_run(unit, out, "bn", 2, "");
    r.status = "failed";
    r.failure = "{\"epoch\": 0, \"step\": 17, \"loss\": \"nan\"}";
    write_record("bn/seed-2", r);
    make_run(unit, out, "bn", 3, two_epochs);
    r.failure = "{\"epoch\": 1, \"step\": null, \"loss\": \"inf\"}";
    write_record("bn/seed-3", with_seed(r, 3));
    make_run(unit, out, "bn", 4, two_epochs);
    r.status = "interrupted";
    write_record("bn/seed-4", with_seed(r, 4));
    make_run(unit, out, "bn", 5, two_epochs); /* killed: nobody holds its lock */
    r.status = "running";
    write_record("bn/seed-5", with_seed(r, 5));
    write_text(unit, ".lock", "%s", "");
    make_run(unit, out, "bn", 6, "");
    write_record("bn/seed-6", with_seed(r, 6));
    write_text(unit, ".lock", "%s", "");
    snprintf(lock, sizeof lock, "%s/.lock", unit);
    const int held = open(lock, O_RDWR);
    cr_assert(held >= 0 && flock(held, LOCK_EX) == 0);
    report(out, NL_OK);
    close(held);
    findings("| bn | 1 of 6 | 99.40 |", true);
    findings("bn: 1 of the 6 seeds that were started finished, and its figures are of that one "
             "alone; seed 2: failed at epoch 0, step 17 (loss nan); seed 3: failed in the test "
             "after epoch 1 (loss inf); seed 4: interrupted; seed 5: interrupted; seed 6: running.",
             true);
    findings("| bn | 2 | 0 | – | – | – | – | failed at epoch 0, step 17 (loss nan) |", true);
    expect_in(out, "index.html", "failed at epoch 0, step 17 (loss nan)", true);
    expect_in(out, "results.json", "\"seed\":2,\"end\":\"failed\",\"failure\":{\"epoch\":0", true);
    expect_in(out, "results.json", "\"seed\":6,\"end\":\"running\",\"failure\":null", true);
}

Test(report_runs, a_variant_without_survivors_keeps_its_row) {
    char unit[500];
    record r = plain;
    r.name = "bad";
    r.status = "failed";
    make_run(unit, out, "bad", 1, "");
    write_record("bad/seed-1", r);
    report(out, NL_OK); /* even alone */
    findings("| bad | 0 of 1 | – |", true);
    recorded_run(plain, 99.4);
    record last = plain;
    last.name = "good";
    recorded_run(last, 99.3);
    report(out, NL_OK);
    findings("| bad | 0 of 1 | – |", true);
    findings("bad: the only seed that was started did not finish; seed 1: failed.", true);
    /* Its block in the data has a line, or gnuplot took the next variant's curve for its own. */
    expect_in(out, "plots/curves.dat", "# bad\n0 0 NaN", true);
    expect_in(out, "plots/progress.dat", "# bad\n0 NaN", true);
    cr_expect(drawn(out, "validation_loss.png"));
}

Test(report_runs, initial_weights_alone_are_no_run) {
    char unit[500];
    make_run(unit, out, "bn", 1, "");
    write_text(unit, "run.json",
               "{\"name\": \"bn\", \"seed\": 1, \"status\": \"finished\", \"config\": "
               "{\"name\": \"bn\", \"train\": {\"epochs\": 0}, \"model\": {\"layers\": "
               "[{\"conv\": 10, \"kernel\": 3}, {\"pool\": \"average\"}]}}}");
    refused(NL_EDATA);
}

/* ---- seeds that do not belong together ---- */

Test(report_runs, another_config_under_one_name_stands_apart) {
    record odd = plain;
    odd.lr = nextafter(0.01, 1); /* 15 digits would not tell it */
    odd.filters = 9;
    for (unsigned s = 1; s <= 3; s++) recorded_run(with_seed(plain, s), 99.4);
    recorded_run(with_seed(odd, 4), 98);
    finished_run(out, "bn", 5, 99.4); /* tells nothing of itself */
    report(out, NL_OK);
    findings("| bn | 4 | 99.40 |", true);
    findings("| bn (2) | 1 | 98.00 |", true);
    findings("Runs of bn do not belong together: seed 4 differs from the others in train.lr, "
             "model.layers and stands apart as bn (2).",
             true);
}

Test(report_runs, other_data_stand_apart_and_are_not_compared) {
    record odd = plain, other = plain;
    odd.data = "bb";
    recorded_run(plain, 99.4);
    recorded_run(with_seed(plain, 2), 99.4);
    recorded_run(with_seed(odd, 3), 98);
    report(out, NL_OK);
    findings("| bn | 2 | 99.40 |", true);
    findings("differs from the others in data", true);
    temp_dir_remove(out);
    out = temp_dir_make();
    other.name = "other";
    three_seeds(other);
    report(out, NL_OK);
    findings("| bn − other | 3 | +0.237 |", true);
    temp_dir_remove(out);
    out = temp_dir_make();
    other.data = "bb";
    three_seeds(other);
    report(out, NL_OK);
    findings("Not compared: bn against other", true);
    findings("| bn − other | 0 | – | – | – | – | – | data |", true);
}

Test(report_runs, other_devices_are_noted) {
    record elsewhere = with_seed(plain, 2);
    elsewhere.device = "cuda";
    recorded_run(plain, 99.4);
    recorded_run(elsewhere, 99.5);
    report(out, NL_OK);
    findings("| bn | 2 | 99.45 |", true);
    findings("bn: its runs differ in device.", true);
}

Test(report_runs, what_two_variants_differ_in) {
    record other = plain;
    other.name = "other";
    other.norm = "layer";
    other.eps = 1e-3;
    other.filters = 9;
    other.device = "cuda";
    three_seeds(other);
    report(out, NL_OK);
    findings("| model.norm, model.eps, model.layers, device |", true);
    findings("This is not the norm alone: the runs differ in model.norm, model.eps", true);
    temp_dir_remove(out);
    out = temp_dir_make();
    other = plain;
    other.name = "other";
    other.norm = "layer";
    three_seeds(other);
    report(out, NL_OK);
    findings("Settled: bn is ahead of other", true);
    findings("not the norm alone", false);
}

/* ---- order ---- */

static void expect_order(const char *const *names) {
    char *text = read_report(out, "findings.md"), row[300];
    const char *at = strstr(text, "## Results");
    for (; *names; names++) {
        snprintf(row, sizeof row, "\n| %s |", *names);
        const char *next = strstr(at, row);
        cr_assert(next, "%s is not behind the one before: %.1500s", *names, at);
        at = next;
    }
    free(text);
}

Test(report_runs, natural_order) {
    static const char *const names[] = {"v10", "none", "v2", "gn", "v1", "bn", "bn_l1", "ln"};
    for (int i = 0; i < 8; i++) finished_run(out, names[i], 1, 99 + 0.01 * i);
    report(out, NL_OK);
    expect_order(
        (const char *const[]){"bn\\_l1", "ln", "gn", "bn", "none", "v1", "v2", "v10", NULL});
    static const char *const given[] = {"v2", "bn", "v2", "absent"};
    nl_error err = {0};
    cr_assert_eq(nl_report_in_order(out, given, 4, &err), NL_OK, "%s", err.what);
    expect_order(
        (const char *const[]){"v2", "bn", "bn\\_l1", "ln", "gn", "none", "v1", "v10", NULL});
}

/* ---- the report's own files ---- */

static void predict(const char *name, const char *data) {
    char unit[500];
    snprintf(unit, sizeof unit, "%s/%s/seed-1", out, name);
    write_text(unit, "predictions.csv", "image,label,prediction,probability\n0,0,9,0.9\n1,1,1,1\n");
    write_text(unit, "run.json", "{\"options\": {\"data\": \"%s\"}}", data);
}

static bool there(const char *file) {
    char path[600];
    snprintf(path, sizeof path, "%s/report/%s", out, file);
    return access(path, F_OK) == 0;
}

Test(report_runs, a_variant_that_is_gone_takes_its_pictures_along) {
    char *data = temp_dir_make(), path[600], moved[600];
    idx_set_write(data, 10, 10, false);
    finished_run(out, "a", 1, 50);
    finished_run(out, "b", 1, 50);
    predict("a", data);
    predict("b", data);
    report(out, NL_OK);
    cr_assert(there("misclassified_a.png") && there("misclassified_b.png"));
    snprintf(path, sizeof path, "%s/report", out);
    write_text(path, "misclassified_mine.png", "%s", "a user's");
    write_text(path, "notes.txt", "%s", "a user's");
    snprintf(path, sizeof path, "%s/report/plots", out);
    write_text(path, "misclassified_mine.gp", "%s", "a user's");
    snprintf(path, sizeof path, "%s/b", out);
    snprintf(moved, sizeof moved, "%s/.b", out);
    cr_assert(rename(path, moved) == 0);
    report(out, NL_OK);
    cr_expect(there("misclassified_a.png") && there("plots/misclassified_a.gp"));
    cr_expect_not(there("misclassified_b.png") || there("plots/misclassified_b.gp") ||
                  there("plots/misclassified_b.dat"));
    cr_expect(there("misclassified_mine.png") && there("notes.txt") &&
              there("plots/misclassified_mine.gp"));
    /* A list that names files elsewhere is not followed. */
    snprintf(path, sizeof path, "%s/report/plots", out);
    write_text(path, "grids.txt", "a/../../misclassified_mine\n../x\n");
    report(out, NL_OK);
    cr_expect(there("misclassified_mine.png"));
    temp_dir_remove(data);
}
