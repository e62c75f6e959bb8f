/* Error against the batch, a line for each value of the other factor: the figure that group norm is
 * known for (Wu and He, Group normalization, ECCV 2018, figure 1), with the batch falling to the
 * right as there. Drawn of a study that is a grid of the batch and one factor more.
 */
#include "charts.h"

#include <math.h>   // isfinite, log10
#include <stdlib.h> // atof
#include <string.h> // strcmp

#include "curves.h" // nl_curve_value
#include "gnuplot.h"
#include "normlab/run_files.h" // NL_REPORT_PLOTS
#include "scales.h"

enum { width = 920, height = 540 };

/* The factor that is the batch; -1: this is no such study. */
static int batch_factor(const nl_factors *f) {
    for (int i = 0; f->n == 2 && i < 2; i++)
        if (strcmp(f->list[i].key, "data.batch") == 0) return i;
    return -1;
}

static const nl_row *row_at(const nl_figures *s, int batch, int level, int line) {
    const nl_factors *f = &s->factors;
    int c = 0;
    while (nl_factors_level(f, c, batch) != level || nl_factors_level(f, c, 1 - batch) != line) c++;
    return &s->rows[f->row[c]];
}

/* Per cent; an error of 0 has no logarithm. */
static double error_of(double accuracy) {
    return isfinite(accuracy) ? 100 - nl_curve_value(true, accuracy) : NAN;
}

/* ---- data ---- */

static void write_means(FILE *out, const nl_figures *s, int batch, int line) {
    const nl_factor *x = &s->factors.list[batch];
    for (int i = 0; i < x->levels; i++) {
        const nl_sample *a = &row_at(s, batch, i, line)->accuracy;
        fprintf(out, "%s", x->names[i]);
        nl_script_value(out, error_of(a->mean));
        nl_script_value(out, error_of(a->max));
        nl_script_value(out, error_of(a->min));
        fputc('\n', out);
    }
}

static void write_seeds(FILE *out, const nl_figures *s, int batch, int line) {
    const nl_factor *x = &s->factors.list[batch];
    for (int i = 0; i < x->levels; i++) {
        const nl_variant *v = row_at(s, batch, i, line)->variant;
        bool any = false;
        for (int j = 0; j < v->n_runs; j++) {
            const double error = error_of(nl_metric_of(&v->runs[j], NL_METRIC_ACCURACY));
            if (!isfinite(error)) continue;
            fprintf(out, "%s", x->names[i]);
            nl_script_value(out, error);
            fputc('\n', out);
            any = true;
        }
        if (!any) fprintf(out, "%s NaN\n", x->names[i]);
    }
}

/* A block a line with means and ranges, then a block a line with every seed. */
static void write_data(const nl_figures *s, int batch, const char *dir) {
    const nl_factor *lines = &s->factors.list[1 - batch];
    nl_script data;
    nl_script_open(&data);
    for (int k = 0; k < lines->levels; k++) {
        fprintf(data.out, "%s# %s: batch, test error in per cent: mean, lowest, highest seed\n",
                k ? "\n\n" : "", lines->names[k]);
        write_means(data.out, s, batch, k);
    }
    for (int k = 0; k < lines->levels; k++) {
        fprintf(data.out, "\n\n# %s: batch, test error of a seed\n", lines->names[k]);
        write_seeds(data.out, s, batch, k);
    }
    nl_script_save(&data, dir, "batches", ".dat");
}

/* ---- axes ---- */

static bool error_scale(nl_scale *scale, const nl_figures *s) {
    *scale = (nl_scale){false, INFINITY, -INFINITY};
    for (int i = 0; i < s->n_rows; i++) {
        const nl_sample *a = &s->rows[i].accuracy;
        if (a->n == 0) continue;
        scale->low = fmin(scale->low, log10(error_of(a->max)));
        scale->high = fmax(scale->high, log10(error_of(a->min)));
    }
    const double room = fmax(0.06 * (scale->high - scale->low), 0.03);
    scale->low -= room;
    scale->high += room;
    return isfinite(room);
}

static void write_batches(FILE *out, const nl_factor *x) {
    const double first = atof(x->names[0]), last = atof(x->names[x->levels - 1]);
    const double room = pow(last / first, 0.06);
    fprintf(out, "set logscale x\nset xrange [%.6g:%.6g]\nset xtics (", last * room, first / room);
    for (int i = 0; i < x->levels; i++)
        fprintf(out, "%s'%s' %s", i ? ", " : "", x->names[i], x->names[i]);
    fprintf(out, ")\nset xlabel 'images a batch%s' offset 0,0.3 textcolor rgb '" NL_INK "'\n",
            strstr(x->with, "train.lr") ? ", the learning rate with it" : "");
}

/* ---- lines ---- */

/* Side by side where they would hide one another: x times this. */
static double shift(int line, int lines) {
    return 1 + 0.024 * (line - 0.5 * (lines - 1));
}

static void write_key(FILE *out, const nl_factor *lines) {
    double x = 0.018 * width;
    for (int k = 0; k < lines->levels; k++) {
        const double y = 1 - 78.0 / height;
        fprintf(out,
                "set arrow from screen %.4f, screen %.4f to screen %.4f, screen %.4f nohead lw 2.5",
                x / width, y, (x + 36) / width, y);
        nl_gnuplot_line(out, k);
        fputs("\nset label ", out);
        nl_gnuplot_quote(out, lines->names[k]);
        fprintf(out, " at screen %.4f, screen %.4f tc rgb '%s'\n", (x + 44) / width, y,
                nl_text_colours[k % NL_COLOURS]);
        x += 44 + nl_gnuplot_width(lines->names[k]) + 18;
    }
}

static void write_lines(FILE *out, const nl_factor *lines) {
    static const char data[] = "'" NL_REPORT_PLOTS "/batches.dat'";
    for (int k = 0; k < lines->levels; k++) {
        const double by = shift(k, lines->levels);
        const char *colour = nl_colours[k % NL_COLOURS];
        fprintf(out,
                "%s%s index %d using ($1 * %.4f):2:3:4 with yerrorbars lw 1.5 pt 7 ps 0.01 lc rgb "
                "'%s', \\\n     '' index %d using ($1 * %.4f):2 with points pt 6 ps 0.5 lc rgb "
                "'%s', \\\n     '' index %d using ($1 * %.4f):2 with linespoints lw 2 ps 0.9",
                k ? ", \\\n     " : "plot ", data, k, by, colour, lines->levels + k, by, colour, k,
                by);
        nl_gnuplot_style(out, k);
    }
    fputc('\n', out);
}

bool nl_has_batches(const nl_figures *figures) {
    nl_scale scale;
    return batch_factor(&figures->factors) >= 0 && error_scale(&scale, figures);
}

void nl_chart_batches(const nl_figures *figures, const char *dir, const char *name) {
    const int batch = batch_factor(&figures->factors);
    nl_scale scale;
    if (batch < 0 || !error_scale(&scale, figures)) return;
    const nl_factor *lines = &figures->factors.list[1 - batch];
    char subtitle[200];
    snprintf(subtitle, sizeof subtitle,
             "per cent of the test images, logarithmic; a line for each %s; bar: lowest to highest "
             "seed",
             lines->key);
    write_data(figures, batch, dir);
    nl_script script;
    nl_script_open(&script);
    FILE *out = script.out;
    nl_gnuplot_head(out, name, "png svg", width, height);
    nl_gnuplot_title(out, height, "Test error against the batch", subtitle);
    fputs("set lmargin at screen 0.075\nset rmargin at screen 0.975\n"
          "set tmargin at screen 0.82\nset bmargin at screen 0.115\n",
          out);
    nl_scale_write(out, &scale, (int)(0.7 * height), true);
    write_batches(out, &figures->factors.list[batch]);
    write_key(out, lines);
    write_lines(out, lines);
    nl_gnuplot_tail(out);
    if (nl_script_save(&script, dir, name, ".gp")) nl_gnuplot_start(dir, name, true);
}
