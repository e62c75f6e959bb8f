/* What a user shows to others, made from files alone: a run folder's plots, grids, workbook,
 * findings and page; it never sees a live model.
 */
#pragma once

#include <stdbool.h> // bool
#include <stdio.h>   // FILE

#include "normlab/error.h" // nl_error
#include "normlab/stats.h" // nl_margins

/* What a report is made of. */
typedef struct nl_report_of {
    const char *const *folders; /* run folders, at least one: together they are one study */
    int n_folders;
    const char *out;          /* OUT/report is written; NULL: the first folder */
    const char *const *names; /* of configs, as on a command line: they come first */
    int n_names;
    const nl_margins *margins; /* NULL: NL_MARGINS */
    bool all; /* pictures of every variant, however many there are; else of the first 12 */
} nl_report_of;

/* Reads FOLDER/<config>/seed-<S>/ and writes OUT/report/. What cannot be read or drawn (a broken
 * line, no gnuplot, no data set) is a warning on standard error, and the rest is written; a run
 * that did not finish is told of and counts in no figure. Variants come in the order of the names
 * given, then those that normlab ships, then by name, numbers in it as numbers. Errors: NL_EDATA
 * when a folder holds no run, or runs that are not what their folder says, or one run twice with
 * different results; NL_EWRITE. */
int nl_report_make(const nl_report_of *of, nl_error *err);

/* Of one folder. */
int nl_report(const char *out, nl_error *err);

/* Prints how many seeds settle each pair with these margins in a share `power` of studies, and how
 * long they train: normlab plan. Errors: as nl_report_make's NL_EDATA. */
int nl_plan_print(FILE *out, const nl_report_of *of, double power, nl_error *err);

/* Writes the workbook of normalisation calculations. Errors: NL_EWRITE. */
int nl_worksheet(const char *path, nl_error *err);
