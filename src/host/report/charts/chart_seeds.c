/* Accuracy by seed: a row for each variant, a point for each seed, the mean and its 95 % interval
 * below. What a reader should see at a glance is whether the rows overlap.
 */
#include "charts.h"

#include <math.h> // isfinite

#include "gnuplot.h"
#include "report/runs/labels.h" // nl_text_width
#include "normlab/run_files.h"  // NL_REPORT_PLOTS

enum { width = 920, row_height = 74, head_height = 84, foot_height = 62 };

/* Two blocks: points (row, seed, accuracy, place within the row) and means (row, mean, low, high).
 */
static void write_data(const nl_figures *figures, const char *dir) {
    nl_script data;
    nl_script_open(&data);
    fputs("# row, seed, final test accuracy, height within the row\n", data.out);
    for (int i = 0; i < figures->n_rows; i++) {
        const nl_variant *v = figures->rows[i].variant;
        for (int j = 0; j < v->n_runs; j++) {
            if (!v->runs[j].finished || !isfinite(v->runs[j].final.test_accuracy)) continue;
            const double up = v->n_runs > 1 ? 0.30 - 0.36 * j / (v->n_runs - 1) : 0.12;
            fprintf(data.out, "%d %u %.6g %.4f\n", i, v->runs[j].seed,
                    v->runs[j].final.test_accuracy, up);
        }
    }
    fputs("\n\n# row, mean, 95 % interval: of the mean over seeds, or of one seed's images\n",
          data.out);
    for (int i = 0; i < figures->n_rows; i++) {
        const nl_row *r = &figures->rows[i];
        if (r->accuracy.n == 0) continue;
        const bool many = r->accuracy.n > 1;
        fprintf(data.out, "%d %.6g %.6g %.6g\n", i, r->accuracy.mean,
                many ? r->accuracy.low : r->images.low, many ? r->accuracy.high : r->images.high);
    }
    nl_script_save(&data, dir, "seeds", ".dat");
}

/* Range of the axis: points, intervals and parity ranges. False: nothing to draw. */
static bool limits(const nl_figures *figures, double *low, double *high) {
    *low = INFINITY;
    *high = -INFINITY;
    for (int i = 0; i < figures->n_rows; i++) {
        const nl_row *r = &figures->rows[i];
        if (r->accuracy.n == 0) continue;
        const bool many = r->accuracy.n > 1;
        *low = fmin(fmin(*low, r->accuracy.min), many ? r->accuracy.low : r->images.low);
        *high = fmax(fmax(*high, r->accuracy.max), many ? r->accuracy.high : r->images.high);
        double a, b;
        if (!nl_parity_range(r->variant, &a, &b)) continue;
        *low = fmin(*low, a);
        *high = fmax(*high, b);
    }
    if (!(*low <= *high)) return false;
    const double room = fmax(0.04 * (*high - *low), 0.01);
    *low = fmax(0, *low - room);
    *high = fmin(100, *high + room);
    return true;
}

static void write_rows(FILE *out, const nl_figures *figures) {
    for (int i = 0; i < figures->n_rows; i++) {
        double low, high;
        fputs("set label ", out);
        nl_gnuplot_quote(out, figures->rows[i].variant->label.text);
        fprintf(out, " at graph -0.012, first %d right tc rgb '%s'\n", -i,
                nl_text_colours[i % NL_COLOURS]);
        if (nl_parity_range(figures->rows[i].variant, &low, &high))
            fprintf(out,
                    "set object rectangle from %.4f, %.2f to %.4f, %.2f back fs solid noborder fc "
                    "rgb '" NL_BAND "'\n",
                    low, -i - 0.40, high, -i + 0.40);
        if (i > 0)
            fprintf(out,
                    "set arrow from graph 0, first %.1f to graph 1, first %.1f nohead lw 1 lc rgb "
                    "'" NL_GRID "'\n",
                    -i + 0.5, -i + 0.5);
    }
}

/* Of seeds that are all alike there is none. */
static bool has_interval(const nl_row *row) {
    return row->accuracy.n == 1 || !isnan(row->accuracy.low);
}

/* Points, and below them the interval with the mean as a thick stroke. */
static void write_plot(FILE *out, const nl_figures *figures) {
    const char *before = "plot ";
    for (int i = 0; i < figures->n_rows; i++) {
        if (figures->rows[i].accuracy.n == 0) continue;
        const char *colour = nl_colours[i % NL_COLOURS];
        fprintf(out,
                "%s'" NL_REPORT_PLOTS
                "/seeds.dat' index 0 using ($1 == %d ? $3 : NaN):(-$1 + $4) with points ps 0.8",
                before, i);
        before = ", \\\n     ";
        nl_gnuplot_style(out, i);
        if (has_interval(&figures->rows[i]))
            fprintf(out,
                    ", \\\n     '' index 1 using ($1 == %d ? $2 : NaN):(-$1 - 0.24):3:4 with "
                    "xerrorbars lw 2 pt 7 ps 0.01 lc rgb '%s'",
                    i, colour);
        for (int up = -1; up <= 1; up += 2)
            fprintf(out,
                    ", \\\n     '' index 1 using ($1 == %d ? $2 : NaN):(-$1 - 0.24):(0):(%.2f) "
                    "with vectors nohead lw 5 lc rgb '%s'",
                    i, up * 0.11, colour);
    }
    fputc('\n', out);
}

void nl_chart_seeds(const nl_figures *figures, const char *dir, const char *name) {
    const int n = figures->n_rows, height = head_height + foot_height + row_height * n;
    double low, high, unused;
    int longest = 4;
    bool parity = false;
    write_data(figures, dir);
    if (!limits(figures, &low, &high)) return;
    for (int i = 0; i < n; i++) {
        const int w = nl_text_width(figures->rows[i].variant->label.text);
        if (w > longest) longest = w;
        parity = parity || nl_parity_range(figures->rows[i].variant, &unused, &unused);
    }
    nl_script script;
    nl_script_open(&script);
    FILE *out = script.out;
    nl_gnuplot_head(out, name, "png svg", width, height);
    nl_gnuplot_title(out, height, "Final test accuracy, seed by seed",
                     parity ? "points: seeds, in the same order in each row; bar: mean with 95 % "
                              "interval; grey: parity with the original"
                            : "points: seeds, in the same order in each row; bar: mean with 95 % "
                              "interval (of one seed: over images)");
    fprintf(out,
            "set lmargin at screen %.4f\nset rmargin at screen 0.97\n"
            "set tmargin at screen %.4f\nset bmargin at screen %.4f\n",
            (longest * 8.6 + 24) / width, 1 - (double)head_height / height,
            (double)foot_height / height);
    fprintf(out,
            "set xrange [%.4f:%.4f]\nset yrange [%.2f:0.5]\nunset ytics\n"
            "set grid noytics xtics lt 1 lw 1 lc rgb '" NL_GRID "'\nset format x '%%g'\n"
            "set xlabel 'per cent of the test images' offset 0,0.3 textcolor rgb '" NL_INK "'\n",
            low, high, 0.5 - n);
    write_rows(out, figures);
    write_plot(out, figures);
    nl_gnuplot_tail(out);
    if (nl_script_save(&script, dir, name, ".gp")) nl_gnuplot_start(dir, name, true);
}
