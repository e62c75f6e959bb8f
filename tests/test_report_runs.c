/* What the report counts as a run: copies and links once, every seed that was started, seeds of
 * another config or other data apart. */
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
    const char *plan;    /* JSON */
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
                             .plan = "null",
                             .seed = 1,
                             .lr = 0.01,
                             .eps = 1e-5,
                             .filters = 8};

static void write_record(const char *folder, record r) {
    char unit[500];
    snprintf(unit, sizeof unit, "%s/%s", out, folder);
    write_text(unit, "run.json",
               "{\"name\": \"%s\", \"seed\": %u, \"status\": \"%s\", \"started\": \"%s\", "
               "\"failure\": %s, \"plan\": %s, \"device\": {\"backend\": \"%s\"}, "
               "\"data\": {\"sha256\": {\"t10k-images-idx3-ubyte\": \"%s\"}}, \"config\": "
               "{\"name\": \"%s\", \"train\": {\"lr\": %.17g, \"seed\": %u}, "
               "\"model\": {\"norm\": \"%s\", \"eps\": %.17g, \"layers\": ["
               "{\"conv\": %d, \"kernel\": 5, \"norm\": true, \"relu\": true}, "
               "{\"pool\": \"max\", \"size\": 4}, {\"conv\": 10, \"kernel\": 3}, "
               "{\"pool\": \"average\"}]}}}",
               r.name, r.seed, r.status, r.started, r.failure, r.plan, r.device, r.data, r.name,
               r.lr, r.seed, r.norm, r.eps, r.filters);
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
    /* of the same name and seed, but with another result */
    char *changed = strdup(two_epochs), *digits = strstr(changed, "99.1");
    cr_assert(digits);
    digits[3] = '2';
    write_text(copy, "metrics.jsonl", "%s", changed);
    free(changed);
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
    expect_in(out, "index.html", "one of 6 seeds", true);
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
    findings("Nothing is settled: no two variants saw the same data.", true);
    findings("| bn − other | 0 | – | – | – | – | – | – | – | not compared | – | data |", true);
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

/* How a GPU went through the first block; what chose it, or its times, make no difference. */
Test(report_runs, other_ways_through_the_first_block_are_noted) {
    record second = with_seed(plain, 2), third = with_seed(plain, 3), first = plain;
    first.plan = "{\"first_block\": {\"way\": \"own\", \"why\": \"timed\"}}";
    second.plan = "{\"first_block\": {\"way\": \"own\", \"why\": \"plan cache\"}}";
    third.plan = "{\"first_block\": {\"way\": \"general\", \"why\": \"timed\"}}";
    recorded_run(first, 99.4);
    recorded_run(second, 99.5);
    report(out, NL_OK);
    findings("its runs differ", false);
    recorded_run(third, 99.5);
    report(out, NL_OK);
    findings("bn: its runs differ in the first block's kernels.", true);
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

/* ---- several folders ---- */

Test(report_runs, several_folders_are_one_study) {
    char *second = temp_dir_make(), *third = temp_dir_make(), path[600];
    for (unsigned s = 1; s <= 4; s++) {
        finished_run(s < 3 ? out : second, "bn", s, 99.4 + 0.01 * s);
        finished_run(s < 3 ? out : second, "ln", s, 99.2 + 0.02 * s);
    }
    finished_run(second, "ln", 2, 99.24); /* the same results: counts once */
    const char *const folders[] = {second, out};
    const nl_report_of of = {.folders = folders, .n_folders = 2, .out = third};
    nl_error err = {0};
    cr_assert_eq(nl_report_make(&of, &err), NL_OK, "%s: %s", err.where, err.what);
    char *parts = read_report(third, "results.json");
    for (unsigned s = 3; s <= 4; s++) {
        finished_run(out, "bn", s, 99.4 + 0.01 * s);
        finished_run(out, "ln", s, 99.2 + 0.02 * s);
    }
    report(out, NL_OK);
    char *whole = read_report(out, "results.json");
    cr_expect(strcmp(parts, whole) == 0, "%s\n%s", parts, whole);
    snprintf(path, sizeof path, "%s/report", second);
    cr_expect(access(path, F_OK) != 0, "only the folder asked for gets a report");

    finished_run(second, "ln", 2, 99.23); /* other results */
    cr_expect_eq(nl_report_make(&of, &err), NL_EDATA);
    cr_expect(strstr(err.where, second) || strstr(err.what, second), "%s: %s", err.where, err.what);
    cr_expect(strstr(err.where, out) || strstr(err.what, out), "%s: %s", err.where, err.what);
    free(parts);
    free(whole);
    temp_dir_remove(second);
    temp_dir_remove(third);
}
