/* Figures of each variant over its seeds. */
#include "figures.h"

#include <float.h>  // DBL_MAX
#include <math.h>   // NAN
#include <stdlib.h> // free

#include "normlab/model.h" // nl_model_build

/* ---- one variant ---- */

typedef enum nl_what { ACCURACY, LOSS, TRAIN_ACCURACY, TRAIN_LOSS, FIRST } nl_what;

/* Only a finished run has an end; the others do not count here. */
static double value(const nl_seed_run *run, nl_what what) {
    if (what == FIRST)
        return run->n_points && run->points[0].epoch == 0 ? run->points[0].test_accuracy : NAN;
    if (!run->finished) return NAN;
    switch (what) {
    case ACCURACY:
        return run->final.test_accuracy;
    case LOSS:
        return run->final.test_loss;
    case TRAIN_ACCURACY:
        return run->final.train_accuracy;
    default:
        return run->final.train_loss;
    }
}

static nl_sample over_seeds(const nl_variant *variant, nl_what what) {
    const bool is_loss = what == LOSS || what == TRAIN_LOSS;
    double *x = nl_alloc((size_t)variant->n_runs, sizeof *x, "values of seeds");
    for (int i = 0; i < variant->n_runs; i++) x[i] = value(&variant->runs[i], what);
    const nl_sample s = nl_stats_sample_within(x, variant->n_runs, 0, is_loss ? INFINITY : 100);
    free(x);
    return s;
}

static void best_and_worst(nl_row *row) {
    for (int i = 0; i < row->variant->n_runs; i++) {
        const nl_seed_run *run = &row->variant->runs[i];
        const double a = value(run, ACCURACY);
        if (a == row->accuracy.max) row->best = run->seed;
        if (a == row->accuracy.min) row->worst = run->seed;
    }
}

/* Epochs and training seconds until the goal; NaN when it was not reached. */
static void time_to_goal(const nl_seed_run *run, double *epochs, double *seconds) {
    double sum = 0;
    *epochs = *seconds = NAN;
    for (int i = 0; i < run->n_points; i++) {
        sum += run->points[i].seconds;
        if (run->points[i].test_accuracy >= NL_GOAL) {
            *epochs = run->points[i].epoch + 1;
            *seconds = sum;
            return;
        }
    }
}

static void times(nl_row *row) {
    const nl_variant *v = row->variant;
    double *x = nl_alloc(4 * (size_t)v->n_runs, sizeof *x, "times of seeds");
    for (int i = 0; i < v->n_runs; i++) {
        const nl_seed_run *run = &v->runs[i];
        time_to_goal(run, &x[i], &x[v->n_runs + i]);
        double seconds = 0, speed = 0;
        for (int j = 0; j < run->n_points; j++) {
            seconds += run->points[j].seconds / run->n_points;
            speed += run->points[j].images_per_second / run->n_points;
        }
        x[2 * v->n_runs + i] = run->n_points ? seconds : NAN;
        x[3 * v->n_runs + i] = run->n_points ? speed : NAN;
    }
    row->epochs = nl_stats_sample(x, v->n_runs);
    row->seconds = nl_stats_sample(x + v->n_runs, v->n_runs);
    row->epoch_seconds = nl_stats_sample(x + 2 * v->n_runs, v->n_runs);
    row->speed = nl_stats_sample(x + 3 * v->n_runs, v->n_runs);
    row->reached = row->epochs.n;
    free(x);
}

/* What other test images would change. Their number: MNIST's, unless the predictions tell it. */
static void other_images(nl_row *row) {
    row->images = (nl_interval){NAN, NAN};
    row->binomial = NAN;
    for (int i = 0; i < row->variant->n_runs; i++) {
        const nl_seed_run *run = &row->variant->runs[i];
        const double a = value(run, ACCURACY), mean = row->accuracy.mean;
        if (!isfinite(a)) continue;
        const uint32_t n = run->n_guesses ? run->n_guesses : 10000;
        const nl_interval w = nl_stats_wilson(round(a / 100 * n), n);
        row->images = (nl_interval){100 * w.low, 100 * w.high};
        row->binomial = sqrt(mean * (100 - mean) / n);
        return;
    }
}

/* From the predictions of all finished seeds, which are of the same images. */
static double chance_spread(const nl_variant *v) {
    uint32_t images = 0, *right = NULL;
    int seeds = 0;
    bool whole = true;
    for (int i = 0; i < v->n_runs && whole; i++) {
        const nl_seed_run *run = &v->runs[i];
        if (!run->finished) continue;
        if (!right) right = nl_alloc(images = run->n_guesses, sizeof *right, "images right");
        whole = images > 0 && run->n_guesses == images;
        for (uint32_t k = 0; k < images && whole; k++)
            right[k] += run->guesses[k].prediction == run->guesses[k].label;
        seeds++;
    }
    const double spread = whole ? nl_stats_chance_spread(right, images, seeds) : NAN;
    free(right);
    return spread;
}

static void make_row(nl_row *row, const nl_variant *variant) {
    row->variant = variant;
    row->accuracy = over_seeds(variant, ACCURACY);
    row->loss = over_seeds(variant, LOSS);
    row->train_accuracy = over_seeds(variant, TRAIN_ACCURACY);
    row->train_loss = over_seeds(variant, TRAIN_LOSS);
    row->first = over_seeds(variant, FIRST);
    best_and_worst(row);
    other_images(row);
    row->chance = chance_spread(variant);
    times(row);
    if (!variant->has_config) return;
    nl_model *model = nl_alloc(1, sizeof *model, "model");
    if (nl_model_build(model, &variant->config, 0, NULL) == NL_OK) row->params = model->n_params;
    free(model);
}

/* ---- the whole ---- */

/* Whether row a is better than row b. Figures that are not known are worse than any. */
static bool is_better(const nl_figures *s, int a, int b) {
    const nl_row *x = &s->rows[a], *y = &s->rows[b];
    const double accuracy = fmax(x->accuracy.mean, -1) - fmax(y->accuracy.mean, -1);
    const double loss = fmin(x->loss.mean, DBL_MAX) - fmin(y->loss.mean, DBL_MAX);
    return accuracy != 0 ? accuracy > 0 : loss != 0 ? loss < 0 : a < b;
}

int nl_figures_best(int *rows, int most, const nl_figures *figures) {
    int n = 0;
    for (int i = 0; i < figures->n_rows && n < most; i++) {
        int better = 0;
        for (int k = 0; k < figures->n_rows; k++) better += is_better(figures, k, i);
        if (better < most) rows[n++] = i;
    }
    return n;
}

void nl_figures_make(nl_figures *figures, const nl_folder *study, const nl_margins *margins,
                     bool all) {
    const int n = study->n_variants;
    *figures = (nl_figures){.margins = margins ? *margins : NL_MARGINS, .n_rows = n};
    figures->rows = nl_alloc((size_t)n, sizeof *figures->rows, "figures");
    for (int i = 0; i < n; i++) make_row(&figures->rows[i], &study->variants[i]);
    figures->shown = nl_alloc((size_t)n, sizeof *figures->shown, "figures");
    figures->n_shown = nl_figures_best(figures->shown, all ? n : NL_MOST_SHOWN, figures);
    nl_pairs_make(figures);
    nl_factors_make(figures);
}

void nl_figures_free(nl_figures *figures) {
    free(figures->rows);
    free(figures->shown);
    free(figures->pairs);
    nl_factors_free(&figures->factors);
    *figures = (nl_figures){0};
}
