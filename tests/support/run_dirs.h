/* Run folders as training leaves them, written by hand, and what a report makes of them. A check
 * that fails ends the test.
 */
#pragma once

#include <stdbool.h> // bool

/* dir/file, replaced. */
void write_text(const char *dir, const char *file, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Makes the folder out/name/seed-<seed>; its metrics.jsonl is `metrics`. unit: its path. */
void make_run(char unit[500], const char *out, const char *name, unsigned seed,
              const char *metrics);

/* A run of two epochs that ends with that test accuracy, without run.json. */
void finished_run(const char *out, const char *name, unsigned seed, double accuracy);

/* Records of two epochs, without a final one. */
extern const char two_epochs[];

/* Makes out/report; the exit code has to be the expected one. */
void report(const char *out, int expected);

/* A file of the report; NULL: there is none. The caller frees. */
char *read_report(const char *out, const char *file);

/* A file of the report has to hold those words, or not. */
void expect_in(const char *out, const char *file, const char *words, bool there);

/* Whether there is a file of the report with more than 100 bytes. */
bool drawn(const char *out, const char *file);
