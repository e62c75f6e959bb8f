/* Gathers what the layer chart shows; see layer_grid.h. */
#include "layer_grid.h"

#include <math.h>   // isfinite
#include <stdio.h>  // fprintf
#include <string.h> // strcmp

#include "gnuplot.h" // nl_script

const nl_quantity nl_quantities[NL_QUANTITIES] = {
    {"Standard deviation of z, the convolution's output before the norm",
     offsetof(nl_layer_point, z_sd), false},
    {"Standard deviation of the gradient at the layer's output", offsetof(nl_layer_point, dy_sd),
     false},
    {"Zeros behind the ReLU, per cent of the values", offsetof(nl_layer_point, zero), true},
    {"Dead channels: 0 on every pixel of every image, per cent", offsetof(nl_layer_point, dead),
     true},
};

double *nl_layer_grid_cell(const nl_layer_grid *g, int row, int column, int epoch) {
    return g->means + (((size_t)row * (size_t)g->columns + (size_t)column) * (size_t)(g->last + 1) +
                       (size_t)epoch) *
                          NL_QUANTITIES;
}

static int column_of(const nl_layer_grid *g, const char *label) {
    int i = 0;
    while (i < g->columns && strcmp(g->labels[i], label) != 0) i++;
    return i;
}

void nl_layer_grid_find(nl_layer_grid *g, const nl_figures *figures) {
    *g = (nl_layer_grid){.figures = figures};
    for (int i = 0; i < g->figures->n_rows; i++) {
        const nl_variant *variant = g->figures->rows[i].variant;
        for (int j = 0; j < variant->n_runs; j++) {
            const nl_seed_run *run = &variant->runs[j];
            if (!nl_variant_counts(variant, run)) continue;
            for (int k = 0; k < run->n_layers; k++) {
                const nl_layer_point *p = &run->layers[k];
                const int at = column_of(g, p->label);
                if (at == NL_LAYER_COLUMNS) continue;
                if (at == g->columns) g->labels[g->columns++] = p->label;
                if (p->epoch + 1 > g->last) g->last = p->epoch + 1;
            }
        }
    }
}

static double mean_of(const nl_variant *variant, const char *label, int epoch, size_t member) {
    double sum = 0;
    int n = 0;
    for (int i = 0; i < variant->n_runs; i++) {
        const nl_seed_run *run = &variant->runs[i];
        if (!nl_variant_counts(variant, run)) continue;
        for (int k = 0; k < run->n_layers; k++) {
            const nl_layer_point *p = &run->layers[k];
            if (p->epoch + 1 != epoch || strcmp(p->label, label) != 0) continue;
            const double value = *(const double *)(const void *)((const char *)p + member);
            if (!isfinite(value)) continue;
            sum += value;
            n++;
        }
    }
    return n ? sum / n : NAN;
}

void nl_layer_grid_fill(nl_layer_grid *g) {
    const size_t cells = (size_t)g->figures->n_rows * (size_t)g->columns * (size_t)(g->last + 1);
    g->means = nl_alloc(cells * NL_QUANTITIES, sizeof *g->means, "layer statistics");
    for (int i = 0; i < g->figures->n_rows; i++)
        for (int c = 0; c < g->columns; c++)
            for (int e = 0; e <= g->last; e++)
                for (int q = 0; q < NL_QUANTITIES; q++)
                    nl_layer_grid_cell(g, i, c, e)[q] =
                        mean_of(g->figures->rows[i].variant, g->labels[c], e,
                                nl_quantities[q].member) *
                        (nl_quantities[q].share ? 100 : 1);
}

void nl_layer_grid_write(const nl_layer_grid *g, const char *dir) {
    nl_script data;
    nl_script_open(&data);
    fputs("# One block a variant and layer. Columns: epochs trained, then means over seeds of the "
          "standard\n# deviations of z and of the gradient at the layer's output, and of the per "
          "cent of zeros behind the\n# ReLU and of channels that are 0 throughout\n",
          data.out);
    for (int i = 0; i < g->figures->n_rows; i++)
        for (int c = 0; c < g->columns; c++) {
            fprintf(data.out, "%s# %s, %s\n", i + c ? "\n\n" : "",
                    g->figures->rows[i].variant->name, g->labels[c]);
            for (int e = 0; e <= g->last; e++) {
                fprintf(data.out, "%d", e);
                for (int q = 0; q < NL_QUANTITIES; q++) {
                    const double value = nl_layer_grid_cell(g, i, c, e)[q];
                    fprintf(data.out, isnan(value) ? " NaN" : " %.6g", value);
                }
                fputc('\n', data.out);
            }
        }
    nl_script_save(&data, dir, "layers", ".dat");
}
