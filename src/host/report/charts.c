/* Data of the charts and the two figures of the report: validation loss and validation accuracy,
 * all variants together, the mean over seeds as a line and lowest to highest as a band.
 */
#include "charts.h"

#include <math.h>   // isnan
#include <stdlib.h> // free
#include <string.h> // strstr

#include "gnuplot.h"
#include "text.h" // nl_number

const char *const nl_chart_names[NL_CHARTS] = {"validation_loss", "validation_accuracy",
                                               "train_against_test", "accuracy_by_seed",
                                               "layer_statistics"};

/* ---- data ---- */

static nl_sample of_epoch(const nl_variant *variant, int epoch, size_t member) {
    double *x = nl_alloc((size_t)variant->n_runs, sizeof *x, "values of an epoch");
    int n = 0;
    for (int i = 0; i < variant->n_runs; i++) {
        const nl_seed_run *run = &variant->runs[i];
        if (!nl_variant_counts(variant, run)) continue;
        for (int j = 0; j < run->n_points; j++)
            if (run->points[j].epoch == epoch)
                x[n++] = *(const double *)(const void *)((const char *)&run->points[j] + member);
    }
    const nl_sample s = nl_stats_sample(x, n);
    free(x);
    return s;
}

nl_band *nl_variant_bands(const nl_variant *variant, int *n) {
    int last = -1;
    for (int i = 0; i < variant->n_runs; i++) {
        const nl_seed_run *run = &variant->runs[i];
        if (nl_variant_counts(variant, run) && run->n_points > 0 &&
            run->points[run->n_points - 1].epoch > last)
            last = run->points[run->n_points - 1].epoch;
    }
    *n = last + 1;
    if (last < 0) return NULL;
    nl_band *bands = nl_alloc((size_t)*n, sizeof *bands, "curves");
    for (int e = 0; e <= last; e++) {
        bands[e] = (nl_band){e + 1, of_epoch(variant, e, offsetof(nl_point, test_loss)),
                             of_epoch(variant, e, offsetof(nl_point, test_accuracy)),
                             of_epoch(variant, e, offsetof(nl_point, train_loss)),
                             of_epoch(variant, e, offsetof(nl_point, train_accuracy))};
    }
    return bands;
}

static void columns(FILE *out, const nl_sample *s, bool accuracy) {
    const double v[3] = {s->mean, s->min, s->max};
    for (int i = 0; i < 3; i++) {
        if (isnan(v[i]))
            fputs(" NaN", out);
        else
            fprintf(out, " %.6g", nl_scale_clip(accuracy, v[i]));
    }
}

static void write_curves(const nl_summary *summary, const char *dir) {
    nl_script data;
    nl_script_open(&data);
    fputs("# One block a variant. Columns: epochs trained, seeds, then mean, lowest, highest over "
          "seeds of\n# test loss (3-5), test accuracy (6-8), train loss (9-11), train accuracy "
          "(12-14)\n",
          data.out);
    for (int i = 0; i < summary->n_rows; i++) {
        int n;
        nl_band *bands = nl_variant_bands(summary->rows[i].variant, &n);
        fprintf(data.out, "%s# %s\n", i ? "\n\n" : "", summary->rows[i].variant->name);
        for (int j = 0; j < n; j++) {
            fprintf(data.out, "%d %d", bands[j].epoch, bands[j].test_loss.n);
            columns(data.out, &bands[j].test_loss, false);
            columns(data.out, &bands[j].test_accuracy, true);
            columns(data.out, &bands[j].train_loss, false);
            columns(data.out, &bands[j].train_accuracy, true);
            fputc('\n', data.out);
        }
        free(bands);
    }
    nl_script_save(&data, dir, "curves", ".dat");
}

/* ---- direct labels ---- */

typedef struct nl_end {
    int row, epoch;
    double value, at, y; /* value; its height on the axis; the label's, both 0 to 1 */
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

/* The last known mean of each variant, sorted by height. Returns their number. */
static int find_ends(nl_end *ends, const nl_summary *summary, const nl_scale *scale) {
    int count = 0;
    for (int i = 0; i < summary->n_rows; i++) {
        int n;
        nl_band *bands = nl_variant_bands(summary->rows[i].variant, &n);
        while (n > 0 &&
               (scale->accuracy ? bands[n - 1].test_accuracy.n : bands[n - 1].test_loss.n) == 0)
            n--;
        if (n > 0) {
            const nl_band *b = &bands[n - 1];
            nl_end end = {i, b->epoch, scale->accuracy ? b->test_accuracy.mean : b->test_loss.mean,
                          0, 0};
            end.y = end.at = nl_scale_fraction(scale, end.value);
            ends[count++] = end;
        }
        free(bands);
    }
    qsort(ends, (size_t)count, sizeof *ends, by_height);
    return count;
}

static void write_labels(FILE *out, const nl_summary *summary, const nl_scale *scale, int height) {
    nl_end *ends = nl_alloc((size_t)summary->n_rows, sizeof *ends, "labels");
    const int n = find_ends(ends, summary, scale);
    if (n > 0) spread(ends, n, 20.0 / (0.76 * height));
    for (int i = 0; i < n; i++) {
        const int hue = ends[i].row % NL_COLOURS;
        const nl_label name = nl_short(summary->rows[ends[i].row].variant->name);
        char text[200];
        snprintf(text, sizeof text, scale->accuracy ? "%.2f %%  %s" : "%.4f  %s", ends[i].value,
                 name.text);
        fprintf(
            out,
            "set arrow from %d, graph %.4f to graph 1.02, graph %.4f nohead lw 0.7 lc rgb '%s'\n"
            "set label ",
            ends[i].epoch, ends[i].at, ends[i].y, nl_colours[hue]);
        nl_gnuplot_quote(out, text);
        fprintf(out, " at graph 1.027, graph %.4f tc rgb '%s'\n", ends[i].y, nl_text_colours[hue]);
    }
    free(ends);
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

static void write_rates(FILE *out, const nl_summary *summary, double height) {
    const nl_seed_run *longest = &summary->rows[0].variant->runs[0];
    for (int i = 0; i < summary->n_rows; i++)
        for (int j = 0; j < summary->rows[i].variant->n_runs; j++) {
            const nl_seed_run *run = &summary->rows[i].variant->runs[j];
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
                "set arrow from %.1f, graph 0 to %.1f, graph 1 nohead back lw 1 dt (3,5) lc rgb "
                "'" NL_SOFT "'\n"
                "set label 'rate %s' at %.1f, graph %.3f offset 0.6,0 tc rgb '" NL_SOFT "'\n",
                p->epoch + 0.5, p->epoch + 0.5, rate_text(p->lr).text, p->epoch + 0.5, height);
    }
}

/* ---- the figure ---- */

static void most_seeds(const nl_summary *summary, int *low, int *high) {
    *low = *high = -1;
    for (int i = 0; i < summary->n_rows; i++) {
        int n = 0;
        for (int j = 0; j < summary->rows[i].variant->n_runs; j++)
            n += nl_variant_counts(summary->rows[i].variant, &summary->rows[i].variant->runs[j]);
        if (*low < 0 || n < *low) *low = n;
        if (n > *high) *high = n;
    }
}

/* Of more variants than colours, bands would only hide one another. */
static bool has_bands(const nl_summary *summary) {
    return summary->n_rows <= NL_COLOURS;
}

static void write_title(FILE *out, const nl_summary *summary, bool accuracy, int height) {
    int low, high;
    most_seeds(summary, &low, &high);
    char seeds[120], subtitle[300];
    if (high <= 1)
        snprintf(seeds, sizeof seeds, "one seed each");
    else if (low == high)
        snprintf(seeds, sizeof seeds, "mean of %d seeds", high);
    else
        snprintf(seeds, sizeof seeds, "mean of %d to %d seeds", low, high);
    snprintf(subtitle, sizeof subtitle, "%s; %s%s",
             accuracy ? "per cent of the test images, logarithmic in the error"
                      : "mean cross-entropy of a test image, logarithmic",
             seeds, high > 1 && has_bands(summary) ? ", band: lowest to highest" : "");
    nl_gnuplot_title(out, height, accuracy ? "Validation accuracy" : "Validation loss", subtitle);
}

static void write_lines(FILE *out, const nl_summary *summary, int column) {
    const char *before = "plot ";
    for (int i = 0; i < summary->n_rows && has_bands(summary); i++) {
        fprintf(out, "%s'plots/curves.dat' index %d using 1:%d:%d with filledcurves lc rgb '%s'",
                before, i, column + 1, column + 2, nl_colours[i]);
        before = ", \\\n     ";
    }
    for (int i = 0; i < summary->n_rows; i++) {
        fprintf(out, "%s'plots/curves.dat' index %d using 1:%d with linespoints lw 2 ps 0.6",
                before, i, column);
        nl_gnuplot_style(out, i);
        before = ", \\\n     ";
    }
    fputc('\n', out);
}

void nl_chart_curves(const nl_summary *summary, const char *dir, bool accuracy) {
    enum { width = 920, height = 540 };
    const char *name = nl_chart_names[accuracy];
    const nl_scale scale = nl_scale_of(summary, accuracy, false);
    int longest = 0;
    for (int i = 0; i < summary->n_rows; i++) {
        const nl_label label = nl_short(summary->rows[i].variant->name);
        if (nl_label_width(&label) > longest) longest = nl_label_width(&label);
    }
    nl_script script;
    nl_script_open(&script);
    FILE *out = script.out;
    nl_gnuplot_head(out, name, "png svg", width, height);
    write_title(out, summary, accuracy, height);
    fprintf(out, "set lmargin at screen 0.075\nset rmargin at screen %.4f\n",
            1 - (longest + 11) * 8.4 / width);
    fputs("set tmargin at screen 0.86\nset bmargin at screen 0.115\n"
          "set xlabel 'epochs trained' offset 0,0.3 textcolor rgb '" NL_INK "'\n",
          out);
    nl_scale_write(out, &scale, true);
    nl_epochs_write(out, summary, 1);
    write_rates(out, summary, accuracy ? 0.04 : 0.97);
    write_labels(out, summary, &scale, height);
    write_lines(out, summary, accuracy ? 6 : 3);
    nl_gnuplot_tail(out);
    if (nl_script_save(&script, dir, name, ".gp")) nl_gnuplot_run(dir, name);
}

void nl_charts_draw(const nl_summary *summary, const char *dir) {
    write_curves(summary, dir);
    nl_chart_curves(summary, dir, false);
    nl_chart_curves(summary, dir, true);
    nl_chart_train(summary, dir);
    nl_chart_seeds(summary, dir);
    nl_chart_layers(summary, dir);
}
