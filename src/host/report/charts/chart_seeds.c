/* Accuracy, and loss, by seed: a row for each variant, a point for each seed, the mean and its 95 %
 * interval below. What a reader should see at a glance is whether the rows overlap.
 */
#include "charts.h"

#include <math.h> // isfinite

#include "curves.h" // nl_curve_value
#include "gnuplot.h"
#include "normlab/run_files.h" // NL_REPORT_PLOTS

enum { width = 920, head_height = 84, foot_height = 62 };

/* Of many rows each is lower, or nobody would see them together. */
static int row_height(const nl_figures *figures) {
    return figures->n_rows > NL_MOST_SHOWN ? 34 : 74;
}

static int height_of(const nl_figures *figures) {
    return head_height + foot_height + row_height(figures) * figures->n_rows;
}

/* ---- figures ---- */

static const nl_sample *sample_of(const nl_row *row, nl_metric metric) {
    return metric == NL_METRIC_LOSS ? &row->loss : &row->accuracy;
}

/* Of the mean over seeds; of one seed's accuracy, over images. NaN: there is none. */
static nl_interval interval_of(const nl_row *row, nl_metric metric) {
    const nl_sample *s = sample_of(row, metric);
    if (s->n == 1 && metric == NL_METRIC_ACCURACY) return row->images;
    return (nl_interval){s->low, s->high};
}

static bool parity_range(const nl_row *row, nl_metric metric, double *low, double *high) {
    return metric == NL_METRIC_ACCURACY && nl_parity_range(row->variant, low, high);
}

/* Range of the axis: points, intervals and parity ranges. False: nothing to draw. */
static bool limits(const nl_figures *figures, nl_metric metric, double *low, double *high) {
    *low = INFINITY;
    *high = -INFINITY;
    for (int i = 0; i < figures->n_rows; i++) {
        const nl_sample *s = sample_of(&figures->rows[i], metric);
        if (s->n == 0) continue;
        const nl_interval range = interval_of(&figures->rows[i], metric);
        *low = fmin(fmin(*low, s->min), range.low); /* fmin and fmax pass a NaN over */
        *high = fmax(fmax(*high, s->max), range.high);
        double a, b;
        if (!parity_range(&figures->rows[i], metric, &a, &b)) continue;
        *low = fmin(*low, a);
        *high = fmax(*high, b);
    }
    if (!(*low <= *high)) return false;
    const bool is_loss = metric == NL_METRIC_LOSS;
    const double room = fmax(0.04 * (*high - *low), is_loss ? 0.02 * *high + 1e-6 : 0.01);
    *low = fmax(0, *low - room);
    *high = is_loss ? nl_curve_value(false, *high + room) : fmin(100, *high + room);
    return *low < *high;
}

/* ---- data ---- */

/* Two blocks, with the columns of accuracy and then of loss: a line a seed, and a line a row. */
static void write_data(const nl_figures *figures, const char *dir) {
    nl_script data;
    nl_script_open(&data);
    fputs("# row, seed, height within the row, final test accuracy, final test loss\n", data.out);
    for (int i = 0; i < figures->n_rows; i++) {
        const nl_variant *v = figures->rows[i].variant;
        for (int j = 0; j < v->n_runs; j++) {
            if (!v->runs[j].finished) continue;
            const double up = v->n_runs > 1 ? 0.30 - 0.36 * j / (v->n_runs - 1) : 0.12;
            fprintf(data.out, "%d %u %.4f", i, v->runs[j].seed, up);
            for (int m = 0; m < NL_METRICS; m++)
                nl_script_value(data.out, nl_metric_of(&v->runs[j], (nl_metric)m));
            fputc('\n', data.out);
        }
    }
    fputs("\n\n# row, then mean and 95 % interval of accuracy and of loss: of the mean over seeds, "
          "or over\n# the images of one seed\n",
          data.out);
    for (int i = 0; i < figures->n_rows; i++) {
        fprintf(data.out, "%d", i);
        for (int m = 0; m < NL_METRICS; m++) {
            const nl_interval range = interval_of(&figures->rows[i], (nl_metric)m);
            nl_script_value(data.out, sample_of(&figures->rows[i], (nl_metric)m)->mean);
            nl_script_value(data.out, range.low);
            nl_script_value(data.out, range.high);
        }
        fputc('\n', data.out);
    }
    nl_script_save(&data, dir, "seeds", ".dat");
}

/* ---- script ---- */

static void write_rows(FILE *out, const nl_figures *figures, nl_metric metric) {
    for (int i = 0; i < figures->n_rows; i++) {
        double low, high;
        fputs("set label ", out);
        nl_gnuplot_quote(out, figures->rows[i].variant->label.text);
        fprintf(out, " at graph -0.012, first %d right tc rgb '%s'\n", -i,
                nl_text_colours[i % NL_COLOURS]);
        if (parity_range(&figures->rows[i], metric, &low, &high))
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

/* Rows that are drawn alike: every STYLES-th. gnuplot reads the data once for each style, not for
 * each row. */
enum { STYLES = 2 * NL_COLOURS };

/* What there is to draw of those. */
typedef struct content {
    bool points, intervals; /* of seeds all alike there is no interval */
} content;

static content content_of(const nl_figures *figures, nl_metric metric, int style) {
    content c = {false, false};
    for (int i = style; i < figures->n_rows; i += STYLES) {
        c.points |= sample_of(&figures->rows[i], metric)->n > 0;
        c.intervals |= !isnan(interval_of(&figures->rows[i], metric).low);
    }
    return c;
}

/* Points, and below them the interval with the mean as a thick stroke. */
static void write_plot(FILE *out, const nl_figures *figures, nl_metric metric) {
    const char *before = "plot ";
    const int value = 4 + (int)metric, mean = 2 + 3 * (int)metric; /* columns */
    for (int k = 0; k < STYLES; k++) {
        const content c = content_of(figures, metric, k);
        if (!c.points) continue;
        const char *colour = nl_colours[k % NL_COLOURS];
        fprintf(out,
                "%s'" NL_REPORT_PLOTS
                "/seeds.dat' index 0 using (int($1) %% %d == %d ? $%d : NaN):(-$1 + $3) with "
                "points ps 0.8",
                before, STYLES, k, value);
        before = ", \\\n     ";
        nl_gnuplot_style(out, k);
        if (c.intervals)
            fprintf(out,
                    ", \\\n     '' index 1 using (int($1) %% %d == %d ? $%d : NaN):(-$1 - 0.24):%d:"
                    "%d with xerrorbars lw 2 pt 7 ps 0.01 lc rgb '%s'",
                    STYLES, k, mean, mean + 1, mean + 2, colour);
        for (int up = -1; up <= 1; up += 2)
            fprintf(
                out,
                ", \\\n     '' index 1 using (int($1) %% %d == %d ? $%d : NaN):(-$1 - 0.24):(0):"
                "(%.2f) with vectors nohead lw 5 lc rgb '%s'",
                STYLES, k, mean, up * 0.11, colour);
    }
    fputc('\n', out);
}

static void write_script(FILE *out, const nl_figures *figures, nl_metric metric, double low,
                         double high) {
    const int n = figures->n_rows, height = height_of(figures);
    double label = 34;
    for (int i = 0; i < n; i++)
        label = fmax(label, nl_gnuplot_width(figures->rows[i].variant->label.text));
    fprintf(out,
            "set lmargin at screen %.4f\nset rmargin at screen 0.97\n"
            "set tmargin at screen %.4f\nset bmargin at screen %.4f\n",
            (label + 24) / width, 1 - (double)head_height / height, (double)foot_height / height);
    fprintf(out,
            "set xrange [%.6g:%.6g]\nset yrange [%.2f:0.5]\nunset ytics\n"
            "set grid noytics xtics lt 1 lw 1 lc rgb '" NL_GRID "'\nset format x '%%g'\n"
            "set xlabel '%s' offset 0,0.3 textcolor rgb '" NL_INK "'\n",
            low, high, 0.5 - n,
            metric == NL_METRIC_LOSS ? "mean cross-entropy of a test image"
                                     : "per cent of the test images");
    write_rows(out, figures, metric);
    write_plot(out, figures, metric);
}

static const char *subtitle(const nl_figures *figures, nl_metric metric) {
    double unused;
    if (metric == NL_METRIC_LOSS)
        return "points: seeds, in the same order in each row; bar: mean with 95 % interval";
    for (int i = 0; i < figures->n_rows; i++)
        if (nl_parity_range(figures->rows[i].variant, &unused, &unused))
            return "points: seeds, in the same order in each row; bar: mean with 95 % interval; "
                   "grey: parity with the original";
    return "points: seeds, in the same order in each row; bar: mean with 95 % interval (of one "
           "seed: over images)";
}

static void draw(const nl_figures *figures, const char *dir, const char *name, nl_metric metric) {
    const int height = height_of(figures);
    double low, high;
    if (!limits(figures, metric, &low, &high)) return;
    nl_script script;
    nl_script_open(&script);
    nl_gnuplot_head(script.out, name, "png svg", width, height);
    nl_gnuplot_title(script.out, height,
                     metric == NL_METRIC_LOSS ? "Final test loss, seed by seed"
                                              : "Final test accuracy, seed by seed",
                     subtitle(figures, metric));
    write_script(script.out, figures, metric, low, high);
    nl_gnuplot_tail(script.out);
    if (nl_script_save(&script, dir, name, ".gp")) nl_gnuplot_start(dir, name, true);
}

void nl_chart_seeds(const nl_figures *figures, const char *dir, const char *accuracy,
                    const char *loss) {
    write_data(figures, dir);
    draw(figures, dir, accuracy, NL_METRIC_ACCURACY);
    draw(figures, dir, loss, NL_METRIC_LOSS);
}
