/* Figures that settle nothing, and figures that are none: the report comes out and says so. */
#include <criterion/criterion.h>
#include <math.h>   // ldexp
#include <stdio.h>  // open_memstream
#include <stdlib.h> // strtod
#include <string.h> // memcmp

#include "normlab/error.h"    // NL_OK
#include "report/runs/runs.h" // nl_seed_run_read_guesses
#include "support/idx_set.h"  // temp_dir_make
#include "support/run_dirs.h"

static char *out;

static void setup(void) {
    out = temp_dir_make();
}

static void teardown(void) {
    temp_dir_remove(out);
}

TestSuite(report_figures, .init = setup, .fini = teardown);

static void findings(const char *words, bool there) {
    expect_in(out, "findings.md", words, there);
}

Test(report_figures, equal_everywhere) {
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
    findings("| a − b | 3 | +0.000 | – | – | 1.00 | 1.00 | 1.00 | – | open | 50 % (13 to 87) |",
             true);
    findings("Not settled: a against b, equal with each of 3 seeds.", true);
    findings("nan", false);
    findings("| a | 3 | 99.20 | 0.000 | – | – | – |", true);
}

Test(report_figures, equal_but_for_rounding) {
    const double a[] = {99.2, 99.18, 99.28}, b[] = {99.12, 99.1, 99.2};
    for (unsigned s = 0; s < 3; s++) {
        finished_run(out, "a", s, a[s]);
        finished_run(out, "b", s, b[s]);
    }
    report(out, NL_OK);
    findings("Settled", false);
    findings("no difference has a spread over seeds", true);
    findings("Open: a against b: the same difference of 0.08 points with each of 3 seeds", true);
}

Test(report_figures, two_seeds_are_open) {
    finished_run(out, "a", 1, 99.4);
    finished_run(out, "b", 1, 99.1);
    finished_run(out, "a", 2, 99.5);
    finished_run(out, "b", 2, 99.1999);
    report(out, NL_OK);
    findings("Settled", false);
    findings("Open: a against b, a difference of 0.300 points over 2 seeds, from which nothing is "
             "settled; if that is the true difference, about 3 seeds would settle it.",
             true);
}

Test(report_figures, intervals_end_at_100) {
    const double a[] = {100, 99.8, 93};
    for (unsigned s = 0; s < 3; s++) finished_run(out, "a", s, a[s]);
    report(out, NL_OK);
    findings(" to 100.00 | seeds |", true);
}

Test(report_figures, figures_out_of_all_bounds) {
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
    findings("| 101.00 |", false); /* no accuracy */
    cr_expect(drawn(out, "validation_loss.png") && drawn(out, "train_against_test.png"));
}

/* ---- predictions ---- */

/* Reads lines of one image each, whose losses are these texts; they have to be what strtod reads. */
static void read_losses(char *const *texts, int n) {
    char *text = NULL, path[500];
    size_t size;
    FILE *lines = open_memstream(&text, &size);
    for (int i = 0; i < n; i++) fprintf(lines, "%d,1,2,0.25,%s\n", i, texts[i]);
    fclose(lines);
    write_text(out, "predictions.csv", "image,label,prediction,probability,loss\n%s", text);
    free(text);
    snprintf(path, sizeof path, "%s/predictions.csv", out);
    nl_seed_run run = {.config.data.picture.classes = 10};
    nl_seed_run_read_guesses(&run, path);
    cr_assert_eq(run.n_guesses, (uint32_t)n, "%u of %d lines", run.n_guesses, n);
    for (int i = 0; i < n; i++) {
        const double want = strtod(texts[i], NULL);
        cr_assert(memcmp(&run.guesses[i].loss, &want, sizeof want) == 0, "%s: %.17g", texts[i],
                  run.guesses[i].loss);
    }
    free(run.guesses);
}

Test(report_figures, every_decimal_is_read_as_strtod_reads_it) {
    static char *const odd[] = {"0",
                                "0.1",
                                "1.",
                                ".5",
                                "1e-05",
                                "1E-5",
                                "1e5",
                                "1e+5",
                                "123456789012345",
                                "1234567890123456",
                                "0.123456789012345",
                                "0.1234567890123456",
                                "9007199254740993",
                                "1.5e-21",
                                "1.5e-22",
                                "1e-300",
                                "5e-324",
                                "1e-23",
                                "0.000000000000000000001",
                                "  0.5",
                                "+0.5",
                                "00.5"};
    read_losses((char **)odd, sizeof odd / sizeof *odd);
    enum { N = 20000 };
    static char texts[N][40];
    static char *list[N];
    uint64_t state = 1;
    for (int i = 0; i < N; i++) {
        state = state * 6364136223846793005 + 1442695040888963407;
        const double value = ldexp((double)(state >> 11), -53 - (int)(state % 80) + 8);
        snprintf(texts[i], sizeof texts[i], i % 3 ? "%.8g" : "%.17g", value);
        list[i] = texts[i];
    }
    read_losses(list, N);
}

Test(report_figures, what_is_no_number_is_no_prediction) {
    static const char *const bad[] = {"4294967296,1,2,0.5,1\n", "18446744073709551617,1,2,0.5,1\n",
                                      "0,1,2,0.5,\n",           "0,1,2,0.5,.\n",
                                      "0,1,2,0.5,1e-\n",        "0,1,2,0.5,1e-x\n",
                                      "0,1,2,0.5,1.2.3\n",      "0,1,2,0.5,-1\n",
                                      "0,1,2,1.01,1\n",         ",1,2,0.5,1\n",
                                      "0,1,2,0.5e,1\n",         "-1,1,2,0.5,1\n"};
    char path[500];
    snprintf(path, sizeof path, "%s/predictions.csv", out);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        nl_seed_run run = {.config.data.picture.classes = 10};
        write_text(out, "predictions.csv", "image,label,prediction,probability,loss\n%s", bad[i]);
        nl_seed_run_read_guesses(&run, path);
        cr_expect(run.n_guesses == 0 && !run.guesses, "%s", bad[i]);
    }
}
