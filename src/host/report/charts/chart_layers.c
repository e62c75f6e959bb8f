/* What flows through the layers while they learn, where the runs recorded it: a row of panels a
 * quantity, a column a convolution, a line a variant (mean over its seeds). A row shares its axis,
 * so that layers compare as well as variants.
 */
#include "charts.h"

#include <math.h>   // log10
#include <stdlib.h> // free
#include <string.h> // strcmp

#include "gnuplot.h"
#include "report/runs/labels.h" // nl_text_width
#include "normlab/run_files.h"  // NL_REPORT_PLOTS

enum { MAX_COLUMNS = 32, row_height = 166, foot_height = 40, head_height = 70, key_height = 24 };

typedef struct quantity {
    const char *title;
    size_t member; /* of nl_layer_point */
    bool share;    /* of the ReLU, in per cent; else a deviation, logarithmic */
} quantity;

enum { QUANTITIES = 4 };
static const quantity quantities[QUANTITIES] = {
    {"Standard deviation of z, the convolution's output before the norm",
     offsetof(nl_layer_point, z_sd), 0},
    {"Standard deviation of the gradient at the layer's output", offsetof(nl_layer_point, dy_sd),
     0},
    {"Zeros behind the ReLU, per cent of the values", offsetof(nl_layer_point, zero), 1},
    {"Dead channels: 0 on every pixel of every image, per cent", offsetof(nl_layer_point, dead), 1},
};

typedef struct grid {
    const nl_figures *figures;
    const char *labels[MAX_COLUMNS]; /* of the layers */
    int columns, last;               /* last: the highest number of epochs trained */
    double *means;                   /* (rows, columns, epochs 0 .. last, quantities) */
    int width, height, key_lines;
} grid;

/* ---- data ---- */

static double *cell(const grid *g, int row, int column, int epoch) {
    return g->means + (((size_t)row * (size_t)g->columns + (size_t)column) * (size_t)(g->last + 1) +
                       (size_t)epoch) *
                          QUANTITIES;
}

static int column_of(const grid *g, const char *label) {
    int i = 0;
    while (i < g->columns && strcmp(g->labels[i], label) != 0) i++;
    return i;
}

static void find_columns(grid *g) {
    for (int i = 0; i < g->figures->n_rows; i++) {
        const nl_variant *variant = g->figures->rows[i].variant;
        for (int j = 0; j < variant->n_runs; j++) {
            const nl_seed_run *run = &variant->runs[j];
            if (!nl_variant_counts(variant, run)) continue;
            for (int k = 0; k < run->n_layers; k++) {
                const nl_layer_point *p = &run->layers[k];
                const int at = column_of(g, p->label);
                if (at == MAX_COLUMNS) continue;
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

static void find_means(grid *g) {
    const size_t cells = (size_t)g->figures->n_rows * (size_t)g->columns * (size_t)(g->last + 1);
    g->means = nl_alloc(cells * QUANTITIES, sizeof *g->means, "layer statistics");
    for (int i = 0; i < g->figures->n_rows; i++)
        for (int c = 0; c < g->columns; c++)
            for (int e = 0; e <= g->last; e++)
                for (int q = 0; q < QUANTITIES; q++)
                    cell(g, i, c, e)[q] = mean_of(g->figures->rows[i].variant, g->labels[c], e,
                                                  quantities[q].member) *
                                          (quantities[q].share ? 100 : 1);
}

static void write_data(const grid *g, const char *dir) {
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
                for (int q = 0; q < QUANTITIES; q++) {
                    const double value = cell(g, i, c, e)[q];
                    fprintf(data.out, isnan(value) ? " NaN" : " %.6g", value);
                }
                fputc('\n', data.out);
            }
        }
    nl_script_save(&data, dir, "layers", ".dat");
}

/* ---- axes ---- */

/* Whether there is anything to draw of a variant in a panel. */
static bool has_values(const grid *g, int row, int column, int q) {
    for (int e = 0; e <= g->last; e++) {
        const double value = cell(g, row, column, e)[q];
        if (quantities[q].share ? !isnan(value) : value > 0) return true;
    }
    return false;
}

static void range_of(const grid *g, int q, double *low, double *high) {
    *low = INFINITY;
    *high = -INFINITY;
    const int cells = g->figures->n_rows * g->columns * (g->last + 1);
    for (int i = 0; i < cells; i++) {
        const double value = g->means[(size_t)i * QUANTITIES + (size_t)q];
        if (isnan(value) || (!quantities[q].share && value <= 0)) continue;
        *low = fmin(*low, value);
        *high = fmax(*high, value);
    }
}

static void write_shares(FILE *out, double high) {
    static const double steps[] = {1, 2, 5, 10, 20, 25};
    int step = 0;
    high = isfinite(high) ? fmin(fmax(1.08 * high, 2), 100) : 100;
    while (step < 5 && high / steps[step] > 4.2) step++;
    fprintf(out, "unset logscale y\nset yrange [%.4g:%.4g]\nset ytics 0,%g\n", -0.04 * high, high,
            steps[step]);
}

/* Ticks at the first of these choices that gives no more than four. */
static void write_deviations(FILE *out, double low, double high, bool labels) {
    static const struct {
        const char *digits;
        int every; /* decades */
    } choices[] = {{"125", 1}, {"13", 1}, {"1", 1}, {"1", 2}, {"1", 3}, {"1", 5}, {"1", 10}};
    if (!(low <= high)) low = high = 1;
    double from = log10(low), to = log10(high);
    const double room = fmax(0.06 * (to - from), (0.7 - (to - from)) / 2);
    from -= room;
    to += room;
    double at[8];
    int n = 9;
    for (size_t i = 0; i < sizeof choices / sizeof *choices && n > 4; i++) {
        n = 0;
        for (int decade = (int)floor(from); decade <= (int)ceil(to); decade++)
            for (const char *d = choices[i].digits; *d && decade % choices[i].every == 0; d++) {
                const double u = decade + log10(*d - '0');
                if (u >= from && u <= to && n < 8) at[n++] = u;
            }
    }
    fprintf(out, "set logscale y\nset yrange [%.6g:%.6g]\nset ytics (", pow(10, from), pow(10, to));
    for (int i = 0; i < n; i++) {
        const int decade = (int)floor(at[i] + 1e-9);
        fprintf(out, "%s'", i ? ", " : "");
        if (labels && abs(decade) > 3) /* 5e-4, not 0.0005 or 5e-04 */
            fprintf(out, "%ge%d", round(pow(10, at[i] - decade)), decade);
        else if (labels)
            fprintf(out, "%.6g", pow(10, at[i]));
        fprintf(out, "' %.6g", pow(10, at[i]));
    }
    fputs(")\n", out);
}

/* ---- the figure ---- */

static void panel(FILE *out, const grid *g, int q, int column) {
    const double left = 68, gap = 12, w = (g->width - left - 14 + gap) / g->columns;
    const double top = g->height - head_height - g->key_lines * key_height - q * row_height;
    fprintf(out,
            "set lmargin at screen %.4f\nset rmargin at screen %.4f\n"
            "set tmargin at screen %.4f\nset bmargin at screen %.4f\n"
            "set format y '%s'\nset format x '%s'\nset label 103 ",
            (left + column * w) / g->width, (left + (column + 1) * w - gap) / g->width,
            (top - 46) / g->height, (top - row_height + 14) / g->height, column ? "" : "%h",
            q + 1 < QUANTITIES ? "" : "%h");
    nl_gnuplot_quote(out, g->labels[column]);
    fputs(" at graph 0, graph 1.1 tc rgb '" NL_SOFT "'\n", out);
    if (column == 0)
        fprintf(out, "set label 104 \"%s\" at screen %.4f, screen %.4f tc rgb '" NL_INK "'\n",
                quantities[q].title, left / g->width, (top - 14) / g->height);
    const char *before = "plot ";
    for (int i = 0; i < g->figures->n_rows; i++) {
        if (!has_values(g, i, column, q)) continue;
        fprintf(out, "%s'" NL_REPORT_PLOTS "/layers.dat' index %d using 1:%d with %s lw 2 ps 0.4",
                before, i * g->columns + column, q + 2, g->last > 12 ? "lines" : "linespoints");
        nl_gnuplot_style(out, i);
        before = ", \\\n     ";
    }
    if (*before == 'p')
        fprintf(out,
                "set label 105 '%s' at graph 0.5, graph 0.5 center tc rgb '" NL_SOFT "'\nplot NaN",
                quantities[q].share ? "no ReLU" : "no figures");
    fputs("\nunset label\nunset arrow\n", out);
}

/* Lays the key out in lines, or only counts them (out: NULL). */
static int write_key(FILE *out, const grid *g) {
    int lines = 1;
    double x = 0.018 * g->width;
    for (int i = 0; i < g->figures->n_rows; i++) {
        const char *name = g->figures->rows[i].variant->label.text;
        const double w = 44 + 8.4 * nl_text_width(name) + 18;
        if (x + w > g->width && i > 0) {
            lines++;
            x = 0.018 * g->width;
        }
        const double y = (g->height - head_height + 4 - (lines - 0.5) * key_height) / g->height;
        if (out) {
            fprintf(out,
                    "set arrow from screen %.4f, screen %.4f to screen %.4f, screen %.4f "
                    "nohead lw 2.5",
                    x / g->width, y, (x + 36) / g->width, y);
            nl_gnuplot_line(out, i);
            fputs("\nset label ", out);
            nl_gnuplot_quote(out, name);
            fprintf(out, " at screen %.4f, screen %.4f tc rgb '%s'\n", (x + 44) / g->width, y,
                    nl_text_colours[i % NL_COLOURS]);
        }
        x += w;
    }
    return lines;
}

static void write_epochs(FILE *out, const grid *g) {
    static const int steps[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000};
    int step = 0;
    while (g->last / steps[step] > 4 && step < 9) step++;
    const double last = g->last ? g->last : 1;
    fprintf(out, "set xrange [%.3f:%.3f]\nset xtics 0,%d\n", -0.04 * last, 1.04 * last,
            steps[step]);
}

static void write_script(const grid *g, const char *dir, const char *name) {
    nl_script script;
    nl_script_open(&script);
    FILE *out = script.out;
    nl_gnuplot_head(out, name, "png svg", g->width, g->height);
    nl_gnuplot_title(out, g->height, "Inside the layers",
                     "one training step on a fixed batch after each epoch (0: before training); "
                     "mean over seeds");
    write_key(out, g);
    fprintf(out,
            "set label 100 'epochs trained' at screen 0.5, screen %.4f center tc rgb '" NL_INK
            "'\n",
            12.0 / g->height);
    write_epochs(out, g);
    fputs("set multiplot\n", out);
    for (int q = 0; q < QUANTITIES; q++) {
        double low, high;
        range_of(g, q, &low, &high);
        for (int column = 0; column < g->columns; column++) {
            if (quantities[q].share)
                write_shares(out, high);
            else
                write_deviations(out, low, high, column == 0);
            panel(out, g, q, column);
        }
    }
    fputs("unset multiplot\n", out);
    nl_gnuplot_tail(out);
    if (nl_script_save(&script, dir, name, ".gp")) nl_gnuplot_run(dir, name, true);
}

bool nl_has_layers(const nl_figures *figures) {
    grid g = {.figures = figures};
    find_columns(&g);
    return g.columns > 0;
}

void nl_chart_layers(const nl_figures *figures, const char *dir, const char *name) {
    grid g = {.figures = figures};
    find_columns(&g);
    if (g.columns == 0) return;
    g.width = g.columns > 6 ? 82 + 140 * g.columns : 920;
    g.key_lines = write_key(NULL, &g);
    g.height = head_height + g.key_lines * key_height + QUANTITIES * row_height + foot_height;
    find_means(&g);
    write_data(&g, dir);
    write_script(&g, dir, name);
    free(g.means);
}
