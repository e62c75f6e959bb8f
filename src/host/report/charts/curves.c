/* The figures of the curves. Two kinds: one point an epoch (test, and train over the epoch), and
 * the pieces that an epoch is told in, so that a run of one epoch has a curve as well.
 */
#include "curves.h"

#include <math.h>   // isfinite
#include <stdlib.h> // free

#include "gnuplot.h"

static const double least_error = 0.005;
static const double most_loss = 1e250; /* above it the room at the axis' end would overflow */

double nl_curve_value(bool accuracy, double value) {
    if (accuracy) return fmin(value, 100 - least_error);
    return fmin(fmax(value, 1e-6), most_loss);
}

/* ---- by epoch ---- */

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

int nl_variant_curves(const nl_variant *variant) {
    int n = 0;
    for (int i = 0; i < variant->n_runs; i++)
        n += nl_variant_counts(variant, &variant->runs[i]) && variant->runs[i].n_points > 0;
    return n;
}

/* ---- within the epochs ---- */

/* The pieces of a whole epoch of a run, and their number. */
static const nl_piece *pieces_of(const nl_seed_run *run, int epoch, int *n) {
    int first = 0, whole = 0;
    *n = 0;
    for (int i = 0; i < run->n_points; i++) whole |= run->points[i].epoch == epoch;
    if (!whole) return NULL;
    while (first < run->n_pieces && run->pieces[first].epoch < epoch) first++;
    while (first + *n < run->n_pieces && run->pieces[first + *n].epoch == epoch) ++*n;
    return run->pieces + first;
}

/* Appends the means of one epoch, over the runs that tell it in the largest number of pieces. */
static nl_stretch *add_epoch(nl_stretch *all, int *n, const nl_variant *variant, int epoch) {
    int most = 0, count;
    for (int i = 0; i < variant->n_runs; i++)
        if (nl_variant_counts(variant, &variant->runs[i])) {
            pieces_of(&variant->runs[i], epoch, &count);
            if (count > most) most = count;
        }
    if (most == 0) return all;
    all = realloc(all, (size_t)(*n + most) * sizeof *all);
    NL_NEED(all);
    nl_stretch *added = all + *n;
    *n += most;
    for (int k = 0; k < most; k++) added[k] = (nl_stretch){epoch + (k + 1.0) / most, 0, 0};
    int runs = 0;
    for (int i = 0; i < variant->n_runs; i++) {
        if (!nl_variant_counts(variant, &variant->runs[i])) continue;
        const nl_piece *pieces = pieces_of(&variant->runs[i], epoch, &count);
        if (count != most) continue;
        runs++;
        for (int k = 0; k < most; k++) { /* a running mean */
            added[k].loss += (pieces[k].loss - added[k].loss) / runs;
            added[k].accuracy += (pieces[k].accuracy - added[k].accuracy) / runs;
        }
    }
    return all;
}

static int thin(nl_stretch *all, int n, int most) {
    const int group = (n + most - 1) / most;
    int kept = 0;
    for (int first = 0; first < n; first += group) {
        const int end = first + group < n ? first + group : n;
        nl_stretch sum = {all[end - 1].epochs, 0, 0};
        for (int i = first; i < end; i++) {
            sum.loss += all[i].loss / (end - first);
            sum.accuracy += all[i].accuracy / (end - first);
        }
        all[kept++] = sum;
    }
    return kept;
}

nl_stretch *nl_variant_stretches(const nl_variant *variant, int most, int *n) {
    int last = -1;
    nl_stretch *all = NULL;
    for (int i = 0; i < variant->n_runs; i++) {
        const nl_seed_run *run = &variant->runs[i];
        if (run->n_points > 0 && run->points[run->n_points - 1].epoch > last)
            last = run->points[run->n_points - 1].epoch;
    }
    *n = 0;
    for (int epoch = 0; epoch <= last; epoch++) all = add_epoch(all, n, variant, epoch);
    if (*n > most) *n = thin(all, *n, most);
    return all;
}

int nl_stretches_most(const nl_figures *figures) {
    const int most = 6000 / (figures->n_rows + 1); /* of all variants: the page embeds them */
    return most > 400 ? 400 : most < 50 ? 50 : most;
}

/* ---- files ---- */

/* gnuplot does not count a block without a line: the blocks behind it would be taken for others. */
static const char no_band[] = "0 0 NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN\n";
static const char no_stretch[] = "0 NaN NaN\n";

static void column(FILE *out, double value, bool accuracy) {
    nl_script_value(out, isfinite(value) ? nl_curve_value(accuracy, value) : NAN);
}

static void columns(FILE *out, const nl_sample *s, bool accuracy) {
    column(out, s->mean, accuracy);
    column(out, s->min, accuracy);
    column(out, s->max, accuracy);
}

static void write_bands(const nl_figures *figures, const char *dir) {
    nl_script data;
    nl_script_open(&data);
    fputs("# One block a variant. Columns: epochs trained, seeds, then mean, lowest, highest over "
          "seeds of\n# test loss (3-5), test accuracy (6-8), train loss (9-11), train accuracy "
          "(12-14)\n",
          data.out);
    for (int i = 0; i < figures->n_rows; i++) {
        int n;
        nl_band *bands = nl_variant_bands(figures->rows[i].variant, &n);
        fprintf(data.out, "%s# %s\n", i ? "\n\n" : "", figures->rows[i].variant->name);
        for (int j = 0; j < n; j++) {
            fprintf(data.out, "%d %d", bands[j].epoch, bands[j].test_loss.n);
            columns(data.out, &bands[j].test_loss, false);
            columns(data.out, &bands[j].test_accuracy, true);
            columns(data.out, &bands[j].train_loss, false);
            columns(data.out, &bands[j].train_accuracy, true);
            fputc('\n', data.out);
        }
        if (n == 0) fputs(no_band, data.out);
        free(bands);
    }
    nl_script_save(&data, dir, "curves", ".dat");
}

static bool write_stretches(const nl_figures *figures, const char *dir) {
    bool any = false;
    nl_script data;
    nl_script_open(&data);
    fputs("# One block a variant. Columns: epochs trained, then means over seeds of the train loss "
          "and train\n# accuracy (train mode) of the batches since the line before\n",
          data.out);
    for (int i = 0; i < figures->n_rows; i++) {
        int n;
        nl_stretch *all =
            nl_variant_stretches(figures->rows[i].variant, nl_stretches_most(figures), &n);
        fprintf(data.out, "%s# %s\n", i ? "\n\n" : "", figures->rows[i].variant->name);
        for (int j = 0; j < n; j++) {
            fprintf(data.out, "%.6g", all[j].epochs);
            column(data.out, all[j].loss, false);
            column(data.out, all[j].accuracy, true);
            fputc('\n', data.out);
        }
        if (n == 0) fputs(no_stretch, data.out);
        any = any || n > 0;
        free(all);
    }
    nl_script_save(&data, dir, "progress", ".dat");
    return any;
}

bool nl_curves_write(const nl_figures *figures, const char *dir) {
    write_bands(figures, dir);
    return write_stretches(figures, dir);
}
