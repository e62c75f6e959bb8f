/* What a user shows to others, made from files alone: a run folder's plots, grids, workbook,
 * findings and page; it never sees a live model.
 */
#pragma once

#include "normlab/error.h" // nl_error

/* Reads OUT/<config>/seed-<S>/ and writes OUT/report/. What cannot be read or drawn (a broken line,
 * no gnuplot, no data set) is a warning on standard error, and the rest is written; a run that did
 * not finish is told of and counts in no figure. Variants come in the order of the names given
 * (configs, as on a command line), then those that normlab ships, then by name, numbers in it as
 * numbers. Errors: NL_EDATA when OUT holds no run, or runs that are not what their folder says;
 * NL_EWRITE. */
int nl_report_in_order(const char *out, const char *const *names, int n_names, nl_error *err);

/* The same without names. */
int nl_report(const char *out, nl_error *err);

/* Writes the workbook of normalisation calculations. Errors: NL_EWRITE. */
int nl_worksheet(const char *path, nl_error *err);
