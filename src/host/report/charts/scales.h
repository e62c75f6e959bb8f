/* Axes of the charts. Losses and errors are read in ratios, so both are logarithmic. */
#pragma once

#include <stdio.h> // FILE

#include "stats/figures.h" // nl_figures

typedef struct nl_scale {
    bool accuracy;    /* the axis shows 100 - error, logarithmic in the error */
    double low, high; /* in the scale's own, rising coordinate */
} nl_scale;

/* The range of the test figures of all variants (and the train figures; and, within reason, the
 * progress), with some room. */
nl_scale nl_scale_of(const nl_figures *figures, bool accuracy, bool train, bool progress);
double nl_scale_fraction(const nl_scale *scale, double value); /* 0 to 1 up the axis */
/* set yrange, ytics ...; pixels: how long the axis is. */
void nl_scale_write(FILE *out, const nl_scale *scale, int pixels, bool labels);
/* The last epoch of any variant, or 1. */
int nl_epochs_last(const nl_figures *figures);
/* set xrange, xtics; for one of so many charts side by side. from_zero: there is progress to draw
 * before the first whole epoch. */
void nl_epochs_write(FILE *out, const nl_figures *figures, int columns, bool from_zero);
