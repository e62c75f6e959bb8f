/* The figures of the layer chart: for each variant, convolution and epoch the mean over seeds of what
 * the layer records tell.
 */
#pragma once

#include <stdbool.h> // bool
#include <stddef.h>  // size_t

#include "stats/figures.h" // nl_figures

enum { NL_LAYER_COLUMNS = 32, NL_QUANTITIES = 4 };

/* A quantity is a row of panels. */
typedef struct nl_quantity {
    const char *title;
    size_t member; /* of nl_layer_point */
    bool share;    /* of the ReLU, in per cent; else a deviation, logarithmic */
} nl_quantity;

extern const nl_quantity nl_quantities[NL_QUANTITIES];

typedef struct nl_layer_grid {
    const nl_figures *figures;
    const char *labels[NL_LAYER_COLUMNS]; /* of the convolutions */
    int columns, last;                    /* last: the highest number of epochs trained */
    double *means; /* (rows, columns, epochs 0 .. last, quantities); NaN: no figure */
} nl_layer_grid;

/* Which convolutions the runs recorded; without any there is nothing to draw. */
void nl_layer_grid_find(nl_layer_grid *grid, const nl_figures *figures);

/* Their means, and the data file in dir. The caller frees `means`. */
void nl_layer_grid_fill(nl_layer_grid *grid);
void nl_layer_grid_write(const nl_layer_grid *grid, const char *dir);

/* The quantities of one variant, convolution and epoch. */
double *nl_layer_grid_cell(const nl_layer_grid *grid, int row, int column, int epoch);
