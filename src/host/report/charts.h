/* The charts of the report, drawn by gnuplot; files that cannot be made are warnings. */
#pragma once

#include <stdio.h> // FILE

#include "summary.h" // nl_summary

/* Names of the charts: each becomes <name>.png and <name>.svg. */
enum { NL_CHARTS = 5, NL_CHART_LAYERS = 4 };
extern const char *const nl_chart_names[NL_CHARTS];

/* Mean and range over seeds of one figure after one epoch. */
typedef struct nl_band {
    int epoch; /* from 1: epochs trained */
    nl_sample test_loss, test_accuracy, train_loss, train_accuracy;
} nl_band;

/* The bands of a variant, over the runs that count; NULL and *n = 0 for none. The caller frees. */
nl_band *nl_variant_bands(const nl_variant *variant, int *n);

/* Writes plots/curves.dat and plots/seeds.dat, the scripts, and draws. */
void nl_charts_draw(const nl_summary *summary, const char *dir);

/* One script each. */
void nl_chart_curves(const nl_summary *summary, const char *dir, bool accuracy);
void nl_chart_train(const nl_summary *summary, const char *dir);
void nl_chart_seeds(const nl_summary *summary, const char *dir);

/* Whether a run recorded its layers; and their chart with its data, plots/layers.dat, if so. */
bool nl_has_layers(const nl_summary *summary);
void nl_chart_layers(const nl_summary *summary, const char *dir);

/* ---- scales: losses and errors are read in ratios, so both axes are logarithmic ---- */

typedef struct nl_scale {
    bool accuracy;    /* the axis shows 100 - error, logarithmic in the error */
    double low, high; /* in the scale's own, rising coordinate */
} nl_scale;

/* The range of the test figures of all variants (and the train figures), with some room. */
nl_scale nl_scale_of(const nl_summary *summary, bool accuracy, bool train);
double nl_scale_fraction(const nl_scale *scale, double value);      /* 0 to 1 up the axis */
void nl_scale_write(FILE *out, const nl_scale *scale, bool labels); /* set yrange, ytics ... */
/* set xrange, xtics; for one of so many charts side by side. */
void nl_epochs_write(FILE *out, const nl_summary *summary, int columns);
/* An accuracy of 100 % has no logarithm of its error: half an image in 10,000 stands for none. */
double nl_scale_clip(bool accuracy, double value);
