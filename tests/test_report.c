/* The report on run folders as they really are: one seed, several, interrupted, broken, diverged,
 * with names that mean something to HTML, gnuplot and Markdown, on a machine without gnuplot. */
#include <criterion/criterion.h>

#include <jansson.h>  // json_loads
#include <math.h>     // isnan
#include <stdio.h>    // fopen
#include <stdlib.h>   // setenv
#include <string.h>   // strstr
#include <sys/stat.h> // mkdir, stat
#include <unistd.h>   // truncate
#include <zlib.h>     // gzopen

#include "report/runs/runs.h"
#include "normlab/report.h"
#include "support/idx_set.h"
#include "support/run_dirs.h"

static const char hostile[] = "a&b<c>\"d'`$|*_%s";

Test(report, one_seed) {
    char *out = temp_dir_make();
    finished_run(out, "bn", 1, 99.4);
    finished_run(out, "ln", 1, 99.2);
    report(out, NL_OK);
    expect_in(out, "findings.md", "Nothing is settled", true);
    expect_in(out, "findings.md", "| bn | 1 | 99.40 | – | – | 99.23 to 99.53 | images |", true);
    expect_in(out, "index.html", "99.40 %", true);
    static const char *const files[] = {"validation_loss.png",
                                        "validation_loss.svg",
                                        "validation_accuracy.png",
                                        "validation_accuracy.svg",
                                        "accuracy_by_seed.png",
                                        "train_against_test.png",
                                        "plots/curves.dat",
                                        "plots/seeds.dat",
                                        "plots/validation_loss.gp",
                                        "index.html",
                                        "Normalization_Calculations.xlsx"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        cr_expect(drawn(out, files[i]), "%s", files[i]);
    temp_dir_remove(out);
}

/* ln - bn over three seeds: -0.2, -0.3, -0.1: mean 0.2, sd 0.1, t = 2 sqrt 3, p = 0.0742. */
Test(report, paired_over_seeds) {
    char *out = temp_dir_make();
    const double bn[] = {99.4, 99.5, 99.3}, ln[] = {99.2, 99.2, 99.2};
    for (unsigned s = 0; s < 3; s++) {
        finished_run(out, "bn", s + 1, bn[s]);
        finished_run(out, "ln", s + 1, ln[s]);
    }
    finished_run(out, "ln", 0, 98.7); /* a seed that bn does not have is in no pair */
    report(out, NL_OK);
    expect_in(out, "findings.md", "| bn | 3 | 99.40 | 0.100 | – | 99.15 to 99.65 | seeds |", true);
    expect_in(out, "findings.md",
              "| ln − bn | 3 | -0.200 | -0.448 to 0.048 | – | 0.074 | 0.25 | 0.15 |", true);
    expect_in(out, "findings.md", "Not settled: ln against bn", true);
    expect_in(out, "findings.md", "| bn | 3 of 3 | 2.0 | 22.0 |", true);
    temp_dir_remove(out);
}

/* Two seeds that disagree show nothing: least of all that the two are equal. */
Test(report, few_seeds_prove_no_equality) {
    char *out = temp_dir_make();
    finished_run(out, "bn", 1, 99.5);
    finished_run(out, "ln", 1, 98.5);
    finished_run(out, "bn", 2, 98.5);
    finished_run(out, "ln", 2, 99.4);
    report(out, NL_OK);
    expect_in(out, "findings.md", "more than 1,000 seeds would be needed to settle it.", true);
    expect_in(out, "findings.md", "Equal:", false);
    temp_dir_remove(out);
}

Test(report, settled) {
    char *out = temp_dir_make();
    for (unsigned s = 1; s <= 4; s++) {
        finished_run(out, "bn", s, 99.4 + 0.008 * s);
        finished_run(out, "ln", s, 99.2);
    }
    report(out, NL_OK);
    expect_in(out, "findings.md", "Settled: bn is ahead of ln by 0.220 points", true);
    temp_dir_remove(out);
}

/* a - b: 0.2, 0.3, 0.1 and a - c: 0.3, 0.4, 0.2, b - c: 0.125 each, which no test can judge:
 * p = 0.0742 and 0.0351. The losses are all alike: three more, of p = 1. Holm's is 5 * 0.0351. */
Test(report, many_comparisons_cost_something) {
    char *out = temp_dir_make();
    const double a[] = {99.375, 99.5, 99.25};
    for (unsigned s = 0; s < 3; s++) {
        finished_run(out, "a", s + 1, a[s]);
        finished_run(out, "b", s + 1, 99.125);
        finished_run(out, "c", s + 1, 99);
    }
    report(out, NL_OK);
    expect_in(out, "findings.md",
              "| a − c | 3 | +0.375 | 0.064 to 0.686 | – | 0.035 | 0.25 | 0.18 |", true);
    expect_in(
        out, "findings.md",
        "Of 5 comparisons over seeds (3 pairs, in test accuracy and in test loss) 0 are settled",
        true);
    expect_in(out, "findings.md", "Open: b against c: the same difference", true);
    temp_dir_remove(out);
}

Test(report, interrupted_and_broken) {
    char *out = temp_dir_make(), unit[500], metrics[2000];
    snprintf(metrics, sizeof metrics, "%s{\"event\":\"ep", two_epochs);
    make_run(unit, out, "gn", 1, metrics);
    snprintf(metrics, sizeof metrics, "not a record\n\n[1]\n{\"event\":\"epoch\"}\n%s", two_epochs);
    make_run(unit, out, "gn", 2, metrics);
    write_text(unit, "run.json", "%s", "{ broken");
    make_run(unit, out, "empty", 1, "");
    report(out, NL_OK);
    expect_in(out, "findings.md", "No run has come to its end yet", true);
    expect_in(out, "findings.md",
              "| gn | 1 | 2 | 99.10 | 0.0500 | 95.00 | 0.2000 | interrupted; no run.json |", true);
    expect_in(out, "findings.md", "| gn | 2 | 2 | 99.10 |", true);
    expect_in(out, "findings.md", "empty", false);
    cr_expect(drawn(out, "validation_loss.png"));
    finished_run(out, "gn", 3, 99.3); /* from now on the others do not count */
    report(out, NL_OK);
    expect_in(out, "findings.md", "| gn | 1 of 3 | 99.30 |", true);
    expect_in(out, "findings.md",
              "gn: 1 of the 3 seeds that were started finished, and its figures are "
              "of that one alone; seed 1: interrupted; seed 2: interrupted.",
              true);
    expect_in(out, "plots/curves.dat", "\n1 1 0.1 0.1 0.1 97 ", true);
    temp_dir_remove(out);
}

Test(report, not_a_number) {
    char *out = temp_dir_make(), unit[500];
    make_run(unit, out, "bn", 1,
             "{\"event\":\"epoch\",\"epoch\":0,\"lr\":0.01,\"train_loss\":null,\"train_accuracy\":"
             "null,\"test_loss\":null,\"test_accuracy\":10,\"seconds\":1,\"images_per_second\":"
             "null}\n{\"event\":\"final\",\"train_loss\":null,\"train_accuracy\":9.8,\"test_loss\":"
             "null,\"test_accuracy\":null}\n");
    finished_run(out, "bn", 2, 99.4);
    finished_run(out, "ln", 1, 99.2);
    finished_run(out, "ln", 2, 99.2);
    report(out, NL_OK);
    expect_in(out, "findings.md", "| bn | 1 of 2 | 99.40 |", true);
    expect_in(out, "findings.md", "| bn | 1 | 1 | – | – | 9.80 | – | finished; no run.json |",
              true);
    expect_in(out, "findings.md", "nan", false);
    expect_in(out, "index.html", ">nan<", false);
    cr_expect(drawn(out, "validation_accuracy.png"));
    temp_dir_remove(out);
}

Test(report, hostile_name) {
    char *out = temp_dir_make();
    finished_run(out, hostile, 1, 99.4);
    finished_run(out, "-|rm", 1, 99.2);
    report(out, NL_OK);
    expect_in(out, "index.html", "<c>", false);
    expect_in(out, "index.html", "a&amp;b&lt;c&gt;&quot;d&#39;`$|*_%s", true);
    expect_in(out, "findings.md", "a\\&b\\<c\\>\"d'\\`\\$\\|\\*\\_%s", true);
    cr_expect(drawn(out, "validation_loss.svg"));
    cr_expect(drawn(out, "accuracy_by_seed.svg"));
    temp_dir_remove(out);
}

/* Predictions of images 0, 1 and 2, of which the first `wrong` are wrong. */
static void predict(const char *out, const char *name, unsigned seed, int wrong, const char *data) {
    char unit[500], text[300] = "image,label,prediction,probability\n";
    snprintf(unit, sizeof unit, "%s/%s/seed-%u", out, name, seed);
    for (int i = 0; i < 3; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%d,%d,0.9%d\n", i, i,
                 i < wrong ? 9 : i, i);
    write_text(unit, "predictions.csv", "%s", text);
    write_text(unit, "run.json", "{\"options\": {\"data\": \"%s\", \"limit_batches\": %d}}", data,
               wrong - 1); /* of the one with more errors: limited */
}

Test(report, grids) {
    char *out = temp_dir_make(), *data = temp_dir_make();
    idx_set_write(data, 10, 10, false);
    finished_run(out, hostile, 1, 33.3);
    finished_run(out, "ln", 1, 66.6);
    predict(out, hostile, 1, 2, data);
    predict(out, "ln", 1, 1, data);
    report(out, NL_OK);
    char file[200];
    snprintf(file, sizeof file, "misclassified_%s.png", hostile);
    cr_expect(drawn(out, file));
    cr_expect(drawn(out, "misclassified_ln.png"));
    expect_in(out, "plots/misclassified_ln.gp", "'true 0, read as 9'", true);
    snprintf(file, sizeof file, "plots/misclassified_%s.gp", hostile);
    expect_in(out, file, "'also: ln'", true);
    char *script = read_report(out, file); /* the surer error, 91 % against 90 %, comes first */
    cr_expect(strstr(script, "true 1, read as 9") < strstr(script, "true 0, read as 9"));
    free(script);
    expect_in(out, file, "'no other variant'", true);
    expect_in(out, "findings.md", " | 1 | 0 | 1 | 1.00 | 0.50 |", true);
    expect_in(out, "findings.md", "a trial, not a result", true);
    /* Another data set than the one the runs saw. */
    predict(out, "ln", 1, 1, "/nonexistent");
    setenv("NORMLAB_DATA", "/nonexistent", 1);
    char unit[500];
    snprintf(unit, sizeof unit, "%s/%s/seed-1", out, hostile);
    write_text(unit, "run.json",
               "{\"options\": {\"data\": \"%s\"}, \"data\": {\"sha256\": "
               "{\"t10k-images-idx3-ubyte\": \"00\"}}}",
               data);
    report(out, NL_OK);
    cr_expect_not(drawn(out, "misclassified_ln.png"));
    temp_dir_remove(out);
    temp_dir_remove(data);
}

Test(report, without_gnuplot) {
    char *out = temp_dir_make();
    finished_run(out, "bn", 1, 99.4);
    report(out, NL_OK);
    cr_assert(drawn(out, "validation_loss.png"));
    setenv("PATH", "/nonexistent", 1);
    report(out, NL_OK);
    cr_expect_not(drawn(out, "validation_loss.png"), "an old picture was left");
    cr_expect(drawn(out, "plots/validation_loss.gp"));
    cr_expect(drawn(out, "plots/curves.dat"));
    cr_expect(drawn(out, "Normalization_Calculations.xlsx"));
    expect_in(out, "index.html", "not drawn yet", true);
    expect_in(out, "index.html", "<svg", false);
    temp_dir_remove(out);
}

Test(report, refusals) {
    char *out = temp_dir_make(), path[500];
    report(out, NL_EDATA);
    snprintf(path, sizeof path, "%s/absent", out);
    report(path, NL_EDATA);
    finished_run(out, "bn", 1, 99.4);
    write_text(out, "report", "in the way");
    report(out, NL_EWRITE);
    snprintf(path, sizeof path, "%s/absent/x.xlsx", out);
    nl_error err = {0};
    cr_expect_eq(nl_worksheet(path, &err), NL_EWRITE);
    cr_expect_str_eq(err.where, path);
    temp_dir_remove(out);
}

/* ---- reading ---- */

Test(report, metrics_of_a_resumed_run) {
    char *dir = temp_dir_make(), path[500];
    write_text(dir, "metrics.jsonl",
               "{\"event\":\"step\",\"epoch\":0,\"step\":0,\"loss\":2.3,\"penalty\":0}\n"
               "{\"event\":\"epoch\",\"epoch\":1,\"test_loss\":0.3}\n"
               "{\"event\":\"epoch\",\"epoch\":0,\"test_loss\":0.2}\n"
               "{\"event\":\"epoch\",\"epoch\":1,\"test_loss\":0.1}\n"
               "{\"event\":\"epoch\",\"epoch\":-1}\n");
    snprintf(path, sizeof path, "%s/metrics.jsonl", dir);
    nl_seed_run run = {0};
    nl_seed_run_read_metrics(&run, path);
    cr_assert_eq(run.n_points, 2);
    cr_expect(run.points[0].epoch == 0 && run.points[0].test_loss == 0.2);
    cr_expect(run.points[1].epoch == 1 && run.points[1].test_loss == 0.1);
    cr_expect(isnan(run.points[1].lr) && !run.finished);
    free(run.points);
    temp_dir_remove(dir);
}

/* As a unit keeps them that is committed. */
Test(report, gzipped_predictions_are_read) {
    char *dir = temp_dir_make(), path[500], zipped[510];
    snprintf(path, sizeof path, "%s/predictions.csv", dir);
    snprintf(zipped, sizeof zipped, "%s.gz", path);
    gzFile file = gzopen(zipped, "wb");
    gzputs(file, "image,label,prediction,probability,loss\n");
    for (int i = 0; i < 60000; i++) gzprintf(file, "%d,%d,%d,0.5,%.1f\n", i, i % 10, i % 7, i / 2.);
    gzclose(file);
    nl_seed_run run = {.config.data.picture.classes = 10};
    nl_seed_run_read_guesses(&run, path);
    cr_assert_eq(run.n_guesses, 60000);
    const nl_guess *last = &run.guesses[59999];
    cr_expect(last->image == 59999 && last->label == 9 && last->prediction == 59999 % 7);
    cr_expect(last->loss == 59999 / 2.);
    free(run.guesses);
    cr_assert(truncate(zipped, 10000) == 0);
    run = (nl_seed_run){.config.data.picture.classes = 10};
    nl_seed_run_read_guesses(&run, path);
    cr_expect(run.n_guesses == 0 && !run.guesses, "half a file is taken");
    temp_dir_remove(dir);
}

Test(report, predictions_whole_or_not_at_all) {
    static const char head[] = "image,label,prediction,probability\n";
    static const char *const bad[] = {
        "0,1,2\n",      "0,1,10,0.5\n",           "0,1,2,1.5\n",   "0,1,2,nan\n",
        "0,1,2,0.5x\n", "1,1,2,0.5\n0,1,2,0.5\n", "0,1,2,0.5\n\n", "0,1,2,0.5\n1,1,2,0."};
    char *dir = temp_dir_make(), path[500];
    snprintf(path, sizeof path, "%s/predictions.csv", dir);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        nl_seed_run run = {.config.data.picture.classes = 10};
        write_text(dir, "predictions.csv", "%s%s", head, bad[i]);
        nl_seed_run_read_guesses(&run, path);
        cr_expect(run.n_guesses == 0 && !run.guesses, "%s", bad[i]);
    }
    nl_seed_run run = {.config.data.picture.classes = 10};
    write_text(dir, "predictions.csv", "%s0,1,2,0.5\n7,3,3,1\n", head);
    nl_seed_run_read_guesses(&run, path);
    cr_assert_eq(run.n_guesses, 2);
    cr_expect(run.guesses[1].image == 7 && run.guesses[1].label == 3);
    cr_expect(run.guesses[0].prediction == 2 && run.guesses[0].probability == 0.5);
    free(run.guesses);
    temp_dir_remove(dir);
}

/* A file that is cut between two lines is told by the run's record. */
Test(report, predictions_of_all_images_or_none) {
    static const struct {
        const char *record;
        uint32_t taken;
    } cases[] = {{"{\"data\": {\"test\": 2}}", 2},
                 {"{\"data\": {\"test\": 3}}", 0},
                 {"{\"data\": {\"test\": 3}, \"options\": {\"limit_batches\": 1}}", 2},
                 {"{}", 2}};
    char *dir = temp_dir_make(), path[500];
    snprintf(path, sizeof path, "%s/predictions.csv", dir);
    write_text(dir, "predictions.csv", "image,label,prediction,probability\n0,1,2,0.5\n7,3,3,1\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nl_seed_run run = {.config.data.picture.classes = 10,
                           .info = json_loads(cases[i].record, 0, NULL)};
        cr_assert(run.info);
        nl_seed_run_read_guesses(&run, path);
        cr_expect_eq(run.n_guesses, cases[i].taken, "%s: %u", cases[i].record, run.n_guesses);
        nl_seed_run_free(&run);
    }
    temp_dir_remove(dir);
}
