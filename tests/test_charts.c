/* Pictures do not depend on what a user's gnuplot is set to, and a broken one is no picture; the
 * curves of a first look, which begin within the epoch. */
#include <criterion/criterion.h>
#include <stdio.h>    // fopen
#include <stdlib.h>   // setenv
#include <string.h>   // strstr
#include <sys/stat.h> // mkdir
#include <unistd.h>   // access

#include "base/regular.h" // nl_regular_read
#include "normlab/report.h"
#include "support/idx_set.h" // temp_dir_make

static char *dir, out[256];

static void setup(void) {
    dir = temp_dir_make();
    snprintf(out, sizeof out, "%s/out", dir);
    mkdir(out, 0777);
}

static void teardown(void) {
    temp_dir_remove(dir);
}

TestSuite(charts, .init = setup, .fini = teardown);

static void write_text(const char *folder, const char *file, const char *text) {
    char path[700];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *stream = fopen(path, "w");
    cr_assert(stream && fputs(text, stream) >= 0 && fclose(stream) == 0, "%s", path);
}

/* A run of one epoch, with progress or without. */
static void add_run(const char *name, bool progress) {
    char folder[600], text[8000];
    size_t size = 0;
    snprintf(folder, sizeof folder, "%s/%s", out, name);
    mkdir(folder, 0777);
    snprintf(folder, sizeof folder, "%s/%s/seed-1", out, name);
    mkdir(folder, 0777);
    for (int i = 0; i < 50 && progress; i++)
        size += (size_t)snprintf(text + size, sizeof text - size,
                                 "{\"event\":\"progress\",\"epoch\":0,\"step\":%d,\"loss\":%g,"
                                 "\"accuracy\":%g}\n",
                                 2 * i + 1, 2.3 / (i + 1), 100 - 90.0 / (i + 1));
    snprintf(
        text + size, sizeof text - size,
        "{\"event\":\"epoch\",\"epoch\":0,\"lr\":0.01,\"train_loss\":0.5,\"train_accuracy\":90,"
        "\"test_loss\":0.1,\"test_accuracy\":100,\"seconds\":10,\"images_per_second\":6000}\n"
        "{\"event\":\"final\",\"train_loss\":0.1,\"train_accuracy\":98,\"test_loss\":0.1,"
        "\"test_accuracy\":100}\n");
    write_text(folder, "metrics.jsonl", text);
}

static char *content(const char *file, size_t *size) {
    char path[700];
    snprintf(path, sizeof path, "%s/report/%s", out, file);
    char reason[NL_REASON];
    return nl_regular_read(path, size, reason);
}

static void make_report(void) {
    nl_error err = {0};
    cr_assert(nl_report(out, &err) == NL_OK, "%s: %s", err.where, err.what);
}

/* ---- gnuplot as it is on a user's machine ---- */

Test(charts, a_users_gnuplot_changes_nothing) {
    static const char *const pictures[] = {"validation_loss.png", "validation_accuracy.svg",
                                           "accuracy_by_seed.png", "train_against_test.png"};
    char *before[4], home[300], config[400];
    size_t size[4], now;
    add_run("bn", true);
    add_run("ln", true);
    make_report();
    for (int i = 0; i < 4; i++) cr_assert(before[i] = content(pictures[i], &size[i]));

    snprintf(home, sizeof home, "%s/home", dir);
    snprintf(config, sizeof config, "%s/gnuplot", home);
    mkdir(home, 0777);
    mkdir(config, 0777);
    static const char settings[] =
        "set xrange [1e6:2e6]\nset terminal dumb\nset border 31\nset key "
        "left\nset datafile separator ','\n";
    write_text(home, ".gnuplot", settings);
    write_text(config, "gnuplotrc", settings);
    setenv("HOME", home, 1);
    setenv("XDG_CONFIG_HOME", home, 1);
    setenv("GNUTERM", "dumb", 1);
    setenv("GNUPLOT_LIB", home, 1);
    setenv("LC_ALL", "C", 1);
    make_report();
    for (int i = 0; i < 4; i++) {
        char *again = content(pictures[i], &now);
        cr_assert(again, "%s", pictures[i]);
        cr_expect(now == size[i] && memcmp(again, before[i], now) == 0, "%s differs", pictures[i]);
        free(again);
        free(before[i]);
    }
}

/* gnuplot 6 paints white around the points of error bars, and so cuts the bar with the mean; 5.4
 * does not, so the setting itself is looked for. */
Test(charts, points_leave_no_white_gaps) {
    size_t size;
    add_run("bn", true);
    make_report();
    char *script = content("plots/accuracy_by_seed.gp", &size);
    cr_assert(script);
    const char *setting = strstr(script, "set pointintervalbox 0\n");
    cr_expect(setting && setting < strstr(script, "\nplot "));
    free(script);
}

/* ---- gnuplot as it should not be ---- */

/* This script is gnuplot from here on. */
static void play_gnuplot(const char *script, mode_t mode) {
    char bin[300], program[400], path[2000];
    snprintf(bin, sizeof bin, "%s/bin", dir);
    mkdir(bin, 0777);
    write_text(bin, "gnuplot", script);
    snprintf(program, sizeof program, "%s/gnuplot", bin);
    cr_assert_eq(chmod(program, mode), 0);
    snprintf(path, sizeof path, "%s:%s", bin, mode & 0111 ? getenv("PATH") : "");
    setenv("PATH", path, 1);
}

/* A report is made; what was said on standard error, the caller frees. */
static char *said_of_report(void) {
    char path[300], reason[NL_REASON];
    size_t size;
    snprintf(path, sizeof path, "%s/said", dir);
    const int kept = dup(STDERR_FILENO);
    cr_assert(kept >= 0 && freopen(path, "w", stderr));
    make_report();
    fflush(stderr);
    cr_assert(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    char *text = nl_regular_read(path, &size, reason);
    cr_assert(text, "%s", reason);
    return text;
}

/* It is said, and the report is whole but for its pictures. */
static void expect_no_pictures(const char *warning) {
    size_t size;
    char *said = said_of_report(), *page = content("index.html", &size);
    cr_expect(strstr(said, warning), "%s", said);
    cr_assert(page);
    cr_expect(strstr(page, "not drawn yet"));
    cr_expect_null(content("validation_loss.png", &size));
    char *findings = content("findings.md", &size);
    cr_expect(findings);
    free(findings);
    free(page);
    free(said);
}

Test(charts, a_gnuplot_that_fails_is_said) {
    add_run("bn", true);
    play_gnuplot("#!/bin/sh\nexit 1\n", 0755);
    expect_no_pictures(
        "normlab: gnuplot: warning: it failed on plots/validation_loss.gp of the report");
}

Test(charts, a_gnuplot_that_dies_is_said) {
    add_run("bn", true);
    play_gnuplot("#!/bin/sh\nkill -SEGV $$\n", 0755);
    expect_no_pictures(
        "normlab: gnuplot: warning: it failed on plots/validation_loss.gp of the report");
}

Test(charts, a_gnuplot_that_cannot_be_run_is_said) {
    add_run("bn", true);
    play_gnuplot("#!/bin/sh\n", 0644);
    expect_no_pictures(
        "normlab: gnuplot: warning: cannot start it (it cannot be run): no pictures");
}

/* As a full disk leaves it: exit 0, and half a picture. */
Test(charts, half_a_picture_is_none) {
    size_t size;
    add_run("bn", true);
    play_gnuplot("#!/bin/sh\n"
                 "n=${2#plots/}; n=${n%.gp}\n"
                 "printf '\\211PNG and no end of it, though long' >\"$n.png\"\n"
                 "printf '<svg viewBox=\"0 0 9 9\"><path d=\"M 0 0\"/> and so on' >\"$n.svg\"\n",
                 0755);
    make_report();
    cr_expect_null(content("validation_loss.png", &size));
    cr_expect_null(content("validation_loss.svg", &size));
    char *page = content("index.html", &size);
    cr_assert(page);
    cr_expect_not(strstr(page, "and so on"));
    cr_expect(strstr(page, "not drawn yet"));
    free(page);
}

/* ---- the first look ---- */

Test(charts, one_epoch_is_a_curve) {
    size_t size;
    add_run("bn", true);
    make_report();
    char *data = content("plots/progress.dat", &size), *script;
    cr_assert(data);
    cr_expect(strstr(data, "\n0.02 2.3 10\n"), "%s", data);
    cr_expect(strstr(data, "\n0.5 0.092 96.4\n"), "%s", data);
    cr_expect(strstr(data, "\n1 0.046 98.2\n"), "%s", data);
    free(data);
    cr_assert(script = content("plots/validation_loss.gp", &size));
    cr_expect(strstr(script, "set xrange [0.000:"), "%s", script);
    cr_expect(strstr(script, "'plots/progress.dat' index 0 using 1:2"), "%s", script);
    cr_expect(strstr(script, "; one seed;"), "%s", script);
    double low = 1, high = 0;
    const char *range = strstr(script, "set yrange [");
    cr_assert(range && sscanf(range, "set yrange [%lf:%lf]", &low, &high) == 2);
    cr_expect(low < 0.046 && high > 2.3, "the first images are seen too: %g to %g", low, high);
    free(script);
    cr_assert(script = content("plots/train_against_test.gp", &size));
    cr_expect_not(strstr(script, "band:"));
    free(script);
}

Test(charts, runs_without_progress_as_ever) {
    size_t size;
    add_run("bn", false);
    make_report();
    char *script = content("plots/validation_loss.gp", &size);
    cr_assert(script);
    cr_expect_not(strstr(script, "progress.dat"));
    free(script);
}

/* "100.00 %" is a letter wider than all else: the room at the right is measured, not guessed. */
Test(charts, the_widest_label_has_room) {
    static const char name[] = "a_name_of_exactly_28_letters";
    size_t size;
    double margin = 1, graph;
    add_run(name, true);
    make_report();
    char *script = content("plots/validation_accuracy.gp", &size);
    cr_assert(script && strstr(script, "'100.00 %  a_name_of_exactly_28_letters' at graph 1.027,"));
    cr_assert(sscanf(strstr(script, "set rmargin at screen "), "set rmargin at screen %lf",
                     &margin) == 1);
    graph = margin - 0.075;
    cr_expect(margin + 0.027 * graph + 38 * 8.0 / 920 <= 1, "%g", margin);
    free(script);
}
