/* The two figures of the report: validation loss and validation accuracy, all variants together,
 * the mean over seeds as a line and lowest to highest as a band; thin, the training that leads
 * there.
 */
#include "charts.h"

#include <math.h>   // isnan
#include <stdlib.h> // free
#include <string.h> // strstr

#include "curves.h" // nl_variant_bands
#include "gnuplot.h"
#include "report/runs/labels.h" // nl_label_width
#include "scales.h"
#include "report/text/text.h"  // nl_number
#include "normlab/run_files.h" // NL_REPORT_PLOTS

/* ---- direct labels ---- */

typedef struct nl_end {
    int row, epoch;
    double value, at, y; /* value; its height on the axis; the label's, both 0 to 1 */
    char text[200];
} nl_end;

static int by_height(const void *a, const void *b) {
    const double x = ((const nl_end *)a)->at, y = ((const nl_end *)b)->at;
    return (x > y) - (x < y);
}

/* Moves labels apart until none covers another, each as little as a few rounds of pushing take. */
static void spread(nl_end *ends, int n, double gap) {
    for (int round = 0; round < 400; round++) {
        for (int i = 0; i + 1 < n; i++) {
            const double push = (gap - (ends[i + 1].y - ends[i].y)) / 2;
            if (push <= 0) continue;
            ends[i].y -= push;
            ends[i + 1].y += push;
        }
        ends[0].y = fmax(ends[0].y, 0.02);
        ends[n - 1].y = fmin(ends[n - 1].y, 1);
    }
}

/* The last known mean of each variant and its label, sorted by height. Returns their number. */
static int find_ends(nl_end *ends, const nl_figures *figures, const nl_scale *scale) {
    int count = 0;
    for (int i = 0; i < figures->n_rows; i++) {
        int n;
        nl_band *bands = nl_variant_bands(figures->rows[i].variant, &n);
        while (n > 0 &&
               (scale->accuracy ? bands[n - 1].test_accuracy.n : bands[n - 1].test_loss.n) == 0)
            n--;
        if (n > 0) {
            const nl_band *b = &bands[n - 1];
            nl_end end = {i, b->epoch, scale->accuracy ? b->test_accuracy.mean : b->test_loss.mean,
                          0, 0,        ""};
            snprintf(end.text, sizeof end.text, scale->accuracy ? "%.2f %%  %s" : "%.4f  %s",
                     end.value, figures->rows[i].variant->label.text);
            end.y = end.at = nl_scale_fraction(scale, end.value);
            ends[count++] = end;
        }
        free(bands);
    }
    qsort(ends, (size_t)count, sizeof *ends, by_height);
    return count;
}

static void write_labels(FILE *out, nl_end *ends, int n, int height) {
    if (n > 0) spread(ends, n, fmin(20.0 / (0.76 * height), 0.98 / n));
    for (int i = 0; i < n; i++) {
        const int hue = ends[i].row % NL_COLOURS;
        fprintf(
            out,
            "set arrow from %d, graph %.4f to graph 1.02, graph %.4f nohead lw 0.7 lc rgb '%s'\n"
            "set label ",
            ends[i].epoch, ends[i].at, ends[i].y, nl_colours[hue]);
        nl_gnuplot_quote(out, ends[i].text);
        fprintf(out, " at graph 1.027, graph %.4f tc rgb '%s'\n", ends[i].y, nl_text_colours[hue]);
    }
}

/* ---- the learning rate's steps, where all variants share them ---- */

static bool same_rates(const nl_seed_run *a, const nl_seed_run *b) {
    for (int i = 0; i < a->n_points && i < b->n_points; i++)
        if (!(a->points[i].lr == b->points[i].lr)) return false;
    return true;
}

/* 1e-05 reads better as 1e-5. */
static nl_number rate_text(double lr) {
    nl_number n;
    snprintf(n.text, sizeof n.text, "%g", lr);
    char *zero = strstr(n.text, "e-0");
    if (zero) memmove(zero + 2, zero + 3, strlen(zero + 3) + 1);
    return n;
}

static void write_rates(FILE *out, const nl_figures *figures, double height) {
    const nl_seed_run *longest = &figures->rows[0].variant->runs[0];
    for (int i = 0; i < figures->n_rows; i++)
        for (int j = 0; j < figures->rows[i].variant->n_runs; j++) {
            const nl_seed_run *run = &figures->rows[i].variant->runs[j];
            if (!same_rates(longest, run)) return;
            if (run->n_points > longest->n_points) longest = run;
        }
    int steps = 0;
    for (int i = 1; i < longest->n_points; i++)
        steps += longest->points[i].lr != longest->points[i - 1].lr;
    for (int i = 1; i < longest->n_points && steps <= 6; i++) {
        const nl_point *p = &longest->points[i];
        if (p->lr == longest->points[i - 1].lr) continue;
        fprintf(out,
                "set arrow from %d, graph 0 to %d, graph 1 nohead back lw 1 dt (3,5) lc rgb "
                "'" NL_SOFT "'\n"
                "set label 'rate %s' at %d, graph %.3f offset 0.6,0 tc rgb '" NL_SOFT "'\n",
                p->epoch, p->epoch, rate_text(p->lr).text, p->epoch, height);
    }
}

/* ---- the figure ---- */

static void most_seeds(const nl_figures *figures, int *low, int *high) {
    *low = *high = -1;
    for (int i = 0; i < figures->n_rows; i++) {
        const int n = nl_variant_curves(figures->rows[i].variant);
        if (n == 0) continue;
        if (*low < 0 || n < *low) *low = n;
        if (n > *high) *high = n;
    }
}

/* Of more variants than colours, bands and training would only hide one another. */
static bool has_bands(const nl_figures *figures) {
    return figures->n_rows <= NL_COLOURS;
}

/* But where there is one epoch, training is all that there is to see of it. */
static bool shows_training(const nl_figures *figures) {
    return has_bands(figures) || nl_epochs_last(figures) == 1;
}

static void write_title(FILE *out, const nl_figures *figures, bool accuracy, bool progress,
                        int height) {
    int low, high;
    most_seeds(figures, &low, &high);
    char seeds[120], subtitle[300];
    if (high <= 1)
        snprintf(seeds, sizeof seeds, figures->n_rows > 1 ? "one seed each" : "one seed");
    else if (low == high)
        snprintf(seeds, sizeof seeds, "mean of %d seeds", high);
    else
        snprintf(seeds, sizeof seeds, "mean of %d to %d seeds", low, high);
    snprintf(subtitle, sizeof subtitle, "%s; %s%s%s",
             accuracy ? "per cent of the test images, logarithmic in the error"
                      : "mean cross-entropy of a test image, logarithmic",
             seeds, high > 1 && has_bands(figures) ? ", band: lowest to highest" : "",
             progress ? "; thin: training" : "");
    nl_gnuplot_title(out, height, accuracy ? "Validation accuracy" : "Validation loss", subtitle);
}

static void write_lines(FILE *out, const nl_figures *figures, bool accuracy, bool progress) {
    const int column = accuracy ? 6 : 3;
    const char *before = "plot ";
    for (int i = 0; i < figures->n_rows && progress; i++) {
        if (nl_variant_curves(figures->rows[i].variant) == 0) continue;
        fprintf(out,
                "%s'" NL_REPORT_PLOTS
                "/progress.dat' index %d using 1:%d with lines lw 0.6 lc rgb '%s'",
                before, i, accuracy ? 3 : 2, nl_colours[i % NL_COLOURS]);
        before = ", \\\n     ";
    }
    for (int i = 0; i < figures->n_rows && has_bands(figures); i++) {
        if (nl_variant_curves(figures->rows[i].variant) == 0) continue;
        fprintf(out,
                "%s'" NL_REPORT_PLOTS
                "/curves.dat' index %d using 1:%d:%d with filledcurves lc rgb '%s'",
                before, i, column + 1, column + 2, nl_colours[i]);
        before = ", \\\n     ";
    }
    for (int i = 0; i < figures->n_rows; i++) {
        if (nl_variant_curves(figures->rows[i].variant) == 0) continue;
        fprintf(out,
                "%s'" NL_REPORT_PLOTS
                "/curves.dat' index %d using 1:%d with linespoints lw 2 ps 0.6",
                before, i, column);
        nl_gnuplot_style(out, i);
        before = ", \\\n     ";
    }
    fputs(*before == 'p' ? "plot NaN\n" : "\n", out);
}

void nl_chart_curves(const nl_figures *figures, const char *dir, const char *name, bool accuracy,
                     bool progress) {
    enum { width = 920, height = 540 };
    progress = progress && shows_training(figures);
    const nl_scale scale = nl_scale_of(figures, accuracy, false, progress);
    nl_end *ends = nl_alloc((size_t)figures->n_rows, sizeof *ends, "labels");
    const int n = find_ends(ends, figures, &scale);
    int longest = 0;
    for (int i = 0; i < n; i++)
        if (nl_text_width(ends[i].text) > longest) longest = nl_text_width(ends[i].text);
    nl_script script;
    nl_script_open(&script);
    FILE *out = script.out;
    nl_gnuplot_head(out, name, "png svg", width, height);
    write_title(out, figures, accuracy, progress, height);
    fprintf(out, "set lmargin at screen 0.075\nset rmargin at screen %.4f\n",
            1 - (longest + 3) * 8.4 / width);
    fputs("set tmargin at screen 0.86\nset bmargin at screen 0.115\n"
          "set xlabel 'epochs trained' offset 0,0.3 textcolor rgb '" NL_INK "'\n",
          out);
    nl_scale_write(out, &scale, (int)(0.745 * height), true);
    nl_epochs_write(out, figures, 1, progress);
    write_rates(out, figures, accuracy ? 0.04 : 0.97);
    write_labels(out, ends, n, height);
    free(ends);
    write_lines(out, figures, accuracy, progress);
    nl_gnuplot_tail(out);
    if (nl_script_save(&script, dir, name, ".gp")) nl_gnuplot_start(dir, name, true);
}
