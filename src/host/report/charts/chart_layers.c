/* What flows through the layers while they learn, where the runs recorded it: a row of panels a
 * quantity, a column a convolution, a line a variant (mean over its seeds). A row shares its axis,
 * so that layers compare as well as variants.
 */
#include "charts.h"

#include <math.h>   // log10
#include <stdlib.h> // free

#include "gnuplot.h"
#include "layer_grid.h"
#include "report/runs/labels.h" // nl_text_width
#include "normlab/run_files.h"  // NL_REPORT_PLOTS

enum { row_height = 166, foot_height = 40, head_height = 70, key_height = 24 };

typedef struct figure {
    nl_layer_grid grid;
    int width, height, key_lines; /* pixels; of the key */
} figure;

/* ---- axes ---- */

/* Whether there is anything to draw of a variant in a panel. */
static bool has_values(const nl_layer_grid *g, int row, int column, int q) {
    for (int e = 0; e <= g->last; e++) {
        const double value = nl_layer_grid_cell(g, row, column, e)[q];
        if (nl_quantities[q].share ? !isnan(value) : value > 0) return true;
    }
    return false;
}

static void range_of(const nl_layer_grid *g, int q, double *low, double *high) {
    *low = INFINITY;
    *high = -INFINITY;
    const int cells = g->figures->n_rows * g->columns * (g->last + 1);
    for (int i = 0; i < cells; i++) {
        const double value = g->means[(size_t)i * NL_QUANTITIES + (size_t)q];
        if (isnan(value) || (!nl_quantities[q].share && value <= 0)) continue;
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

static void panel(FILE *out, const figure *f, int q, int column) {
    const double left = 68, gap = 12, w = (f->width - left - 14 + gap) / f->grid.columns;
    const double top = f->height - head_height - f->key_lines * key_height - q * row_height;
    fprintf(out,
            "set lmargin at screen %.4f\nset rmargin at screen %.4f\n"
            "set tmargin at screen %.4f\nset bmargin at screen %.4f\n"
            "set format y '%s'\nset format x '%s'\nset label 103 ",
            (left + column * w) / f->width, (left + (column + 1) * w - gap) / f->width,
            (top - 46) / f->height, (top - row_height + 14) / f->height, column ? "" : "%h",
            q + 1 < NL_QUANTITIES ? "" : "%h");
    nl_gnuplot_quote(out, f->grid.labels[column]);
    fputs(" at graph 0, graph 1.1 tc rgb '" NL_SOFT "'\n", out);
    if (column == 0)
        fprintf(out, "set label 104 \"%s\" at screen %.4f, screen %.4f tc rgb '" NL_INK "'\n",
                nl_quantities[q].title, left / f->width, (top - 14) / f->height);
    const char *before = "plot ";
    for (int i = 0; i < f->grid.figures->n_rows; i++) {
        if (!has_values(&f->grid, i, column, q)) continue;
        fprintf(out, "%s'" NL_REPORT_PLOTS "/layers.dat' index %d using 1:%d with %s lw 2 ps 0.4",
                before, i * f->grid.columns + column, q + 2,
                f->grid.last > 12 ? "lines" : "linespoints");
        nl_gnuplot_style(out, i);
        before = ", \\\n     ";
    }
    if (*before == 'p')
        fprintf(out,
                "set label 105 '%s' at graph 0.5, graph 0.5 center tc rgb '" NL_SOFT "'\nplot NaN",
                nl_quantities[q].share ? "no ReLU" : "no figures");
    fputs("\nunset label\nunset arrow\n", out);
}

/* Lays the key out in lines, or only counts them (out: NULL). */
static int write_key(FILE *out, const figure *f) {
    int lines = 1;
    double x = 0.018 * f->width;
    for (int i = 0; i < f->grid.figures->n_rows; i++) {
        const char *name = f->grid.figures->rows[i].variant->label.text;
        const double w = 44 + 8.4 * nl_text_width(name) + 18;
        if (x + w > f->width && i > 0) {
            lines++;
            x = 0.018 * f->width;
        }
        const double y = (f->height - head_height + 4 - (lines - 0.5) * key_height) / f->height;
        if (out) {
            fprintf(out,
                    "set arrow from screen %.4f, screen %.4f to screen %.4f, screen %.4f "
                    "nohead lw 2.5",
                    x / f->width, y, (x + 36) / f->width, y);
            nl_gnuplot_line(out, i);
            fputs("\nset label ", out);
            nl_gnuplot_quote(out, name);
            fprintf(out, " at screen %.4f, screen %.4f tc rgb '%s'\n", (x + 44) / f->width, y,
                    nl_text_colours[i % NL_COLOURS]);
        }
        x += w;
    }
    return lines;
}

static void write_epochs(FILE *out, const nl_layer_grid *g) {
    static const int steps[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000};
    int step = 0;
    while (g->last / steps[step] > 4 && step < 9) step++;
    const double last = g->last ? g->last : 1;
    fprintf(out, "set xrange [%.3f:%.3f]\nset xtics 0,%d\n", -0.04 * last, 1.04 * last,
            steps[step]);
}

static void write_script(const figure *f, const char *dir, const char *name) {
    nl_script script;
    nl_script_open(&script);
    FILE *out = script.out;
    nl_gnuplot_head(out, name, "png svg", f->width, f->height);
    nl_gnuplot_title(out, f->height, "Inside the layers",
                     "one training step on a fixed batch after each epoch (0: before training); "
                     "mean over seeds");
    write_key(out, f);
    fprintf(out,
            "set label 100 'epochs trained' at screen 0.5, screen %.4f center tc rgb '" NL_INK
            "'\n",
            12.0 / f->height);
    write_epochs(out, &f->grid);
    fputs("set multiplot\n", out);
    for (int q = 0; q < NL_QUANTITIES; q++) {
        double low, high;
        range_of(&f->grid, q, &low, &high);
        for (int column = 0; column < f->grid.columns; column++) {
            if (nl_quantities[q].share)
                write_shares(out, high);
            else
                write_deviations(out, low, high, column == 0);
            panel(out, f, q, column);
        }
    }
    fputs("unset multiplot\n", out);
    nl_gnuplot_tail(out);
    if (nl_script_save(&script, dir, name, ".gp")) nl_gnuplot_start(dir, name, true);
}

bool nl_has_layers(const nl_figures *figures) {
    nl_layer_grid grid;
    nl_layer_grid_find(&grid, figures);
    return grid.columns > 0;
}

void nl_chart_layers(const nl_figures *figures, const char *dir, const char *name) {
    figure f = {0};
    nl_layer_grid_find(&f.grid, figures);
    if (f.grid.columns == 0) return;
    f.width = f.grid.columns > 6 ? 82 + 140 * f.grid.columns : 920;
    f.key_lines = write_key(NULL, &f);
    f.height = head_height + f.key_lines * key_height + NL_QUANTITIES * row_height + foot_height;
    nl_layer_grid_fill(&f.grid);
    nl_layer_grid_write(&f.grid, dir);
    write_script(&f, dir, name);
    free(f.grid.means);
}
