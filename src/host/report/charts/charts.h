/* The charts of the report, drawn by gnuplot; files that cannot be made are warnings. */
#pragma once

#include <stdbool.h> // bool

#include "stats/figures.h" // nl_figures

/* In the order in which they are drawn. */
typedef enum nl_chart {
    NL_CHART_LOSS,
    NL_CHART_ACCURACY,
    NL_CHART_TRAIN,
    NL_CHART_SEEDS,
    NL_CHART_SEEDS_LOSS,
    NL_CHART_VERDICTS,
    NL_CHART_EFFECTS,
    NL_CHART_BATCHES,
    NL_CHART_LAYERS,
    NL_CHARTS
} nl_chart;

/* Their names: each becomes <name>.png and <name>.svg. */
extern const char *const nl_chart_names[NL_CHARTS];

/* Writes the data, the scripts, and draws. */
void nl_charts_draw(const nl_figures *figures, const char *dir);

/* One script each. progress: there are curves within the epochs. */
void nl_chart_curves(const nl_figures *figures, const char *dir, const char *name, bool accuracy,
                     bool progress);
void nl_chart_train(const nl_figures *figures, const char *dir, const char *name, bool progress);
void nl_chart_seeds(const nl_figures *figures, const char *dir, const char *accuracy,
                    const char *loss);

/* Whether there are two variants to compare; and the matrix of what the pairs came to. */
bool nl_has_verdicts(const nl_figures *figures);
void nl_chart_verdicts(const nl_figures *figures, const char *dir, const char *name);

/* Of a study that is a grid: whether its effects have intervals, and whether one of two factors is
 * the batch; and the charts of these. */
bool nl_has_effects(const nl_figures *figures);
bool nl_has_batches(const nl_figures *figures);
void nl_chart_effects(const nl_figures *figures, const char *dir, const char *name);
void nl_chart_batches(const nl_figures *figures, const char *dir, const char *name);

/* Whether a run recorded its layers; and their chart with its data, plots/layers.dat, if so. */
bool nl_has_layers(const nl_figures *figures);
void nl_chart_layers(const nl_figures *figures, const char *dir, const char *name);
