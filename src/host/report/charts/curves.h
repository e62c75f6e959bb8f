/* The curves of a variant: means over its runs that count, and the files that gnuplot reads. */
#pragma once

#include "stats/figures.h" // nl_figures

/* Mean and range over seeds of one figure after one epoch. */
typedef struct nl_band {
    int epoch; /* from 1: epochs trained */
    nl_sample test_loss, test_accuracy, train_loss, train_accuracy;
} nl_band;

/* The bands of a variant, over the runs that count; NULL and *n = 0 for none. The caller frees. */
nl_band *nl_variant_bands(const nl_variant *variant, int *n);

/* How many runs a variant's curves are the means of; 0: none came to the end of an epoch. */
int nl_variant_curves(const nl_variant *variant);

/* Mean over seeds of the loss and accuracy of the batches of one piece of an epoch, train mode. */
typedef struct nl_stretch {
    double epochs; /* trained at its end, with the fraction of the one under way */
    double loss, accuracy;
} nl_stretch;

/* The stretches of a variant's whole epochs, at most `most`: neighbours are averaged. NULL and
 * *n = 0 where the runs recorded no progress. The caller frees. */
nl_stretch *nl_variant_stretches(const nl_variant *variant, int most, int *n);

/* As it is drawn: an accuracy of 100 % has no logarithm of its error, so half an image in 10,000
 * stands for none; a loss of 0 likewise. */
double nl_curve_value(bool accuracy, double value);

/* How many stretches of each variant a picture of all of them takes. */
int nl_stretches_most(const nl_figures *figures);

/* Writes plots/curves.dat and plots/progress.dat, a block a variant. Returns whether there is
 * progress to draw. */
bool nl_curves_write(const nl_figures *figures, const char *dir);
