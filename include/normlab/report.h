/* What a user shows to others, made from files alone: a run folder's plots, grids, workbook,
 * findings and page; it never sees a live model.
 */
#pragma once

#include "normlab/error.h" // nl_error

/* Reads OUT/<config>/seed-<S>/ and writes OUT/report/. What cannot be read or drawn (an interrupted
 * run, a broken line, no gnuplot, no data set) is a warning on standard error, and the rest is
 * written. Errors: NL_EDATA when OUT holds no run, NL_EWRITE. */
int nl_report(const char *out, nl_error *err);

/* Writes the workbook of normalisation calculations. Errors: NL_EWRITE. */
int nl_worksheet(const char *path, nl_error *err);
