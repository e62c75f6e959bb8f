/* See run_dirs.h. */
#include "support/run_dirs.h"

#include <criterion/criterion.h>
#include <errno.h>    // errno
#include <stdarg.h>   // va_list
#include <stdio.h>    // fopen
#include <stdlib.h>   // free
#include <string.h>   // strstr
#include <sys/stat.h> // mkdir, stat

#include "base/regular.h" // nl_regular_read
#include "normlab/report.h"
#include "normlab/run_files.h" // NL_FILE_METRICS

void write_text(const char *dir, const char *file, const char *format, ...) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    FILE *out = fopen(path, "w");
    cr_assert(out, "%s", path);
    va_list args;
    va_start(args, format);
    vfprintf(out, format, args);
    va_end(args);
    fclose(out);
}

/* The folder of a run, made; its metrics are `metrics`. */
void make_run(char unit[500], const char *out, const char *name, unsigned seed,
              const char *metrics) {
    snprintf(unit, 500, "%s/%s", out, name);
    mkdir(unit, 0777);
    snprintf(unit, 500, "%s/%s/" NL_SEED_FOLDER, out, name, seed);
    cr_assert(mkdir(unit, 0777) == 0 || errno == EEXIST, "%s", unit);
    write_text(unit, NL_FILE_METRICS, "%s", metrics);
}

const char two_epochs[] =
    "{\"event\":\"epoch\",\"epoch\":0,\"lr\":0.01,\"train_loss\":0.5,\"train_accuracy\":90,"
    "\"test_loss\":0.1,\"test_accuracy\":97,\"seconds\":10,\"images_per_second\":6000}\n"
    "{\"event\":\"epoch\",\"epoch\":1,\"lr\":0.001,\"train_loss\":0.2,\"train_accuracy\":95,"
    "\"test_loss\":0.05,\"test_accuracy\":99.1,\"seconds\":12,\"images_per_second\":5000}\n";

void finished_run(const char *out, const char *name, unsigned seed, double accuracy) {
    char unit[500], metrics[2000];
    snprintf(metrics, sizeof metrics,
             "%s{\"event\":\"final\",\"train_loss\":0.1,\"train_accuracy\":98,\"test_loss\":0.04,"
             "\"test_accuracy\":%g}\n",
             two_epochs, accuracy);
    make_run(unit, out, name, seed, metrics);
}

char *read_report(const char *out, const char *file) {
    char path[600];
    snprintf(path, sizeof path, "%s/" NL_REPORT_FOLDER "/%s", out, file);
    char reason[NL_REASON];
    size_t size = 1;
    char *text = nl_regular_read(path, &size, reason);
    cr_assert(size > 0, "%s is empty", path);
    return text;
}

void expect_in(const char *out, const char *file, const char *words, bool there) {
    char *text = read_report(out, file);
    cr_assert(text, "no %s", file);
    cr_assert_eq(strstr(text, words) != NULL, there, "%s %s '%s':\n%.3000s", file,
                 there ? "does not hold" : "holds", words, text);
    free(text);
}

bool drawn(const char *out, const char *file) {
    char path[600];
    struct stat status;
    snprintf(path, sizeof path, "%s/" NL_REPORT_FOLDER "/%s", out, file);
    return stat(path, &status) == 0 && status.st_size > 100;
}

void report(const char *out, int expected) {
    nl_error err = {0};
    const int code = nl_report(out, &err);
    cr_assert_eq(code, expected, "code %d: %s: %s", code, err.where, err.what);
}
