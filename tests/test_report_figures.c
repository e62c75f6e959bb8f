/* Figures that settle nothing, and figures that are none: the report comes out and says so. */
#include <criterion/criterion.h>
#include <stdio.h> // snprintf

#include "normlab/error.h"   // NL_OK
#include "support/idx_set.h" // temp_dir_make
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
