/* In which order the variants of a folder stand, and which files of report/ are the report's. */
#include <criterion/criterion.h>
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // strstr
#include <unistd.h> // access

#include "normlab/report.h"
#include "support/idx_set.h" // idx_set_write
#include "support/run_dirs.h"

static char *out;

static void setup(void) {
    out = temp_dir_make();
}

static void teardown(void) {
    temp_dir_remove(out);
}

TestSuite(report_folder, .init = setup, .fini = teardown);

static void expect_order(const char *const *names) {
    char *text = read_report(out, "findings.md"), row[300];
    char *at = strstr(text, "## Results");
    *strstr(at, "\nThe last weights") = '\0'; /* the end of that table */
    for (; *names; names++) {
        snprintf(row, sizeof row, "\n| %s |", *names);
        char *next = strstr(at, row);
        cr_assert(next, "%s is not behind the one before: %.1500s", *names, at);
        at = next;
    }
    free(text);
}

Test(report_folder, natural_order) {
    static const char *const names[] = {"v10", "none", "v2", "gn", "v1", "bn", "bn_l1", "ln"};
    for (int i = 0; i < 8; i++) finished_run(out, names[i], 1, 99 + 0.01 * i);
    report(out, NL_OK);
    expect_order(
        (const char *const[]){"bn\\_l1", "ln", "gn", "bn", "none", "v1", "v2", "v10", NULL});
    static const char *const given[] = {"v2", "bn", "v2", "absent"};
    const nl_report_of of = {
        .folders = (const char *const *)&out, .n_folders = 1, .names = given, .n_names = 4};
    nl_error err = {0};
    cr_assert_eq(nl_report_make(&of, &err), NL_OK, "%s", err.what);
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

Test(report_folder, a_variant_that_is_gone_takes_its_pictures_along) {
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

/* What is named in place of the run folder, and the hint. */
Test(report_folder, a_run_is_not_the_run_folder) {
    char unit[600], variant[600], missing[600];
    nl_error err = {0};
    finished_run(out, "bn", 1, 99);
    snprintf(unit, sizeof unit, "%s/bn/seed-1", out);
    snprintf(variant, sizeof variant, "%s/bn", out);
    snprintf(missing, sizeof missing, "%s/nope", out);
    cr_expect_eq(nl_report(unit, &err), NL_EDATA);
    cr_expect(strstr(err.hint, "one run") && strstr(err.hint, "two above"), "%s", err.hint);
    cr_expect_eq(nl_report(variant, &err), NL_EDATA);
    cr_expect(strstr(err.hint, "one variant") && strstr(err.hint, "one above"), "%s", err.hint);
    cr_expect_eq(nl_report(missing, &err), NL_EDATA);
    cr_expect(strstr(err.hint, "normlab train --out"), "%s", err.hint);
    cr_expect_not(drawn(unit, "findings.md") || drawn(variant, "findings.md"));
}

Test(report_folder, train_against_test_names_the_band) {
    finished_run(out, "bn", 1, 99);
    finished_run(out, "bn", 2, 98);
    report(out, NL_OK);
    expect_in(out, "plots/train_against_test.gp", "band: lowest to highest seed", true);
}

Test(report_folder, what_no_run_has_is_said) {
    char unit[500];
    make_run(
        unit, out, "bn", 1,
        "{\"event\":\"epoch\",\"epoch\":0,\"lr\":0.01,\"train_loss\":0.2,\"train_accuracy\":95,"
        "\"test_loss\":0.1,\"test_accuracy\":97,\"seconds\":10,\"images_per_second\":6000}\n");
    report(out, NL_OK); /* without predictions and run.json */
    expect_in(out, "index.html", "None: that takes a finished run.", true);
    expect_in(out, "index.html", "Not known: no run has its run.json.", true);
    expect_in(out, "findings.md", "No variant came to 99 %.", true);
}

Test(report_folder, a_file_where_the_report_has_to_be) {
    nl_error err = {0};
    finished_run(out, "bn", 1, 99);
    write_text(out, "report", "mine");
    cr_expect_eq(nl_report(out, &err), NL_EWRITE);
    cr_expect(strstr(err.where, "/report") && !strstr(err.where, "plots"), "%s", err.where);
    cr_expect(strstr(err.hint, "move it away"), "%s", err.hint);
}

/* ---- a large study ---- */

static int count(const char *text, const char *words) {
    int n = 0;
    for (; (text = strstr(text, words)); text++) n++;
    return n;
}

/* Adds a curve within the two epochs of a run, and 24 epochs more. */
static void add_curves(const char *unit) {
    char path[600];
    snprintf(path, sizeof path, "%s/metrics.jsonl", unit);
    FILE *file = fopen(path, "a");
    cr_assert(file, "%s", path);
    for (int step = 0; step < 60; step++)
        fprintf(file,
                "{\"event\":\"progress\",\"epoch\":%d,\"step\":%d,\"loss\":%g,\"accuracy\":%g}\n",
                step / 30, step, 1.0 / (step + 1), 90 + 0.1 * step);
    for (int epoch = 2; epoch < 26; epoch++)
        fprintf(file,
                "{\"event\":\"epoch\",\"epoch\":%d,\"train_loss\":%g,\"test_loss\":%g,"
                "\"test_accuracy\":%g}\n",
                epoch, 0.2 / epoch, 0.1 / epoch, 99 + 0.01 * epoch);
    fclose(file);
}

/* 100 variants with 5 seeds. */
static void make_large(void) {
    char name[20], unit[500], data[500];
    snprintf(data, sizeof data, "%s/data", out);
    idx_set_write(data, 10, 10, false);
    for (unsigned v = 0; v < 100; v++) {
        snprintf(name, sizeof name, "v%u", v);
        for (unsigned s = 1; s <= 5; s++) {
            finished_run(out, name, s, 90 + 0.05 * v + 0.001 * s * (v % 3));
            snprintf(unit, sizeof unit, "%s/%s/seed-%u", out, name, s);
            if (s == 1) add_curves(unit);
            write_text(unit, "predictions.csv",
                       "image,label,prediction,probability\n0,0,9,0.9\n1,1,%u,1\n", v % 2);
            write_text(unit, "run.json", "{\"options\": {\"data\": \"%s\"}}", data);
        }
    }
}

Test(report_folder, a_large_study_shows_a_dozen_in_detail) {
    make_large();
    report(out, NL_OK);
    char *page = read_report(out, "index.html");
    cr_expect_lt(strlen(page), 3000000u);
    cr_expect_eq(count(page, "id=\"confusion"), 12);
    cr_expect_eq(count(page, "Ten images misclassified by"), 12);
    cr_expect(strstr(page, "Of 100 variants the 12 best in test accuracy have pictures of their "
                           "own"));
    cr_expect(strstr(page, "<code>normlab report --all</code> makes all."));
    cr_expect(there("misclassified_v88.png") && there("misclassified_v99.png"));
    cr_expect_not(there("misclassified_v87.png") || there("misclassified_v0.png"));
    expect_in(out, "plots/verdicts.gp", "; the 12 best of 100 in accuracy", true);
    expect_in(out, "plots/verdicts.gp", "'v88' at", true);
    expect_in(out, "plots/verdicts.gp", "'v87' at", false);
    expect_in(out, "plots/train_against_test.gp", "set label 3 'v88'", true);
    expect_in(out, "findings.md", "The verdicts of the 12 variants best in test accuracy", true);
    cr_expect(strstr(page, "<a href=\"validation_loss.svg\">") && there("validation_loss.svg"));
    expect_in(out, "plots/validation_loss.gp", "progress.dat", false);
    expect_in(out, "plots/train_against_test.gp", "progress.dat", true);
    expect_in(out, "plots/accuracy_by_seed.gp", "% 12 == 11",
              true); /* read once a style, not a row */
    expect_in(out, "plots/accuracy_by_seed.gp", "$1 == 12", false);
    free(page);
    const nl_report_of all = {.folders = (const char *const *)&out, .n_folders = 1, .all = true};
    nl_error err = {0};
    cr_assert_eq(nl_report_make(&all, &err), NL_OK, "%s", err.what);
    page = read_report(out, "index.html");
    cr_expect_eq(count(page, "id=\"confusion"), 100);
    cr_expect_eq(count(page, "Ten images misclassified by"), 100);
    cr_expect_not(strstr(page, "--all"));
    cr_expect(there("misclassified_v99.png"));
    free(page);
}
