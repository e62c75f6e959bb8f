/* The grids of misclassified images: misclassified_<config>.png. */
#pragma once

#include "stats/figures.h" // nl_figures

/* Needs the data set that the runs were trained on; without it there are no grids, and a warning.
 * What cannot be made is a warning. */
void nl_grids_draw(const nl_figures *figures, const char *dir);

/* The path of a variant's grid; the caller frees. */
char *nl_grid_path(const nl_variant *variant, const char *dir, const char *suffix);

/* The run that a grid shows: the lowest seed with predictions; NULL for none. */
const nl_seed_run *nl_grid_run(const nl_variant *variant);
