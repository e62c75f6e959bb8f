/* The charts of the report, drawn by gnuplot; files that cannot be made are warnings. */
#pragma once

#include <stdbool.h> // bool

#include "stats/figures.h" // nl_figures

/* Names of the charts: each becomes <name>.png and <name>.svg. */
enum { NL_CHARTS = 5, NL_CHART_LAYERS = 4 };
extern const char *const nl_chart_names[NL_CHARTS];

/* Writes the data, the scripts, and draws. */
void nl_charts_draw(const nl_figures *figures, const char *dir);

/* One script each. progress: there are curves within the epochs. */
void nl_chart_curves(const nl_figures *figures, const char *dir, const char *name, bool accuracy,
                     bool progress);
void nl_chart_train(const nl_figures *figures, const char *dir, const char *name, bool progress);
void nl_chart_seeds(const nl_figures *figures, const char *dir, const char *name);

/* Whether a run recorded its layers; and their chart with its data, plots/layers.dat, if so. */
bool nl_has_layers(const nl_figures *figures);
void nl_chart_layers(const nl_figures *figures, const char *dir, const char *name);
