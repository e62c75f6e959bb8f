/* Figures of each variant over seeds, and of every two variants paired by seed. Variants with one
 * seed share initial convolution weights and data order, so differences are taken seed by seed:
 * what an easy or a hard order does to both falls out.
 */
#include "summary.h"

#include <math.h>   // NAN
#include <stdlib.h> // free
#include <string.h> // strcmp

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

/* The number of test images: MNIST's, unless the predictions say otherwise. */
static nl_interval wilson(const nl_variant *variant) {
    for (int i = 0; i < variant->n_runs; i++) {
        const nl_seed_run *run = &variant->runs[i];
        const double a = value(run, ACCURACY);
        if (!isfinite(a)) continue;
        const uint32_t n = run->n_guesses ? run->n_guesses : 10000;
        const nl_interval w = nl_stats_wilson(round(a / 100 * n), n);
        return (nl_interval){100 * w.low, 100 * w.high};
    }
    return (nl_interval){NAN, NAN};
}

static void make_row(nl_row *row, const nl_variant *variant) {
    row->variant = variant;
    row->accuracy = over_seeds(variant, ACCURACY);
    row->loss = over_seeds(variant, LOSS);
    row->train_accuracy = over_seeds(variant, TRAIN_ACCURACY);
    row->train_loss = over_seeds(variant, TRAIN_LOSS);
    row->first = over_seeds(variant, FIRST);
    best_and_worst(row);
    row->images = wilson(variant);
    times(row);
    if (!variant->has_config) return;
    nl_model *model = nl_alloc(1, sizeof *model, "model");
    if (nl_model_build(model, &variant->config, 0, NULL) == NL_OK) row->params = model->n_params;
    free(model);
}

/* ---- two variants ---- */

static void compare_runs(nl_pair *pair, const nl_seed_run *a, const nl_seed_run *b) {
    nl_differences d;
    nl_runs_differ(&d, a->has_config ? &a->config : NULL, b->has_config ? &b->config : NULL,
                   a->info, b->info);
    for (int i = 0; i < d.n; i++) nl_differences_add(&pair->differ, d.names[i]);
    pair->known = pair->known || (a->has_config && b->has_config);
}

/* Seeds of one variant agree in config and data, but not always in device, version and initial
 * weights: so all that two variants have in common are asked, or their first ones. */
static void compare_variants(nl_pair *pair, const nl_variant *a, const nl_variant *b) {
    bool common = false;
    for (int i = 0; i < a->n_runs; i++) {
        const nl_seed_run *right = nl_variant_run(b, a->runs[i].seed);
        if (!right) continue;
        compare_runs(pair, &a->runs[i], right);
        common = common || pair->known;
    }
    for (int i = 0; i < a->n_runs && !common; i++)
        for (int j = 0; j < b->n_runs && !common; j++) {
            compare_runs(pair, &a->runs[i], &b->runs[j]);
            common = pair->known;
        }
    pair->fair = pair->compared = true;
    for (int i = 0; i < pair->differ.n; i++) {
        const char *name = pair->differ.names[i];
        if (strcmp(name, NL_DIFFER_DATA) == 0) pair->compared = false;
        if (strcmp(name, "model.norm") != 0 && strcmp(name, "model.group_size") != 0)
            pair->fair = false;
    }
}

/* Both files list images in rising order: one walk over both. */
static void compare_images(nl_pair *pair, const nl_seed_run *a, const nl_seed_run *b) {
    uint32_t only_a = 0, only_b = 0;
    for (uint32_t i = 0, j = 0; i < a->n_guesses && j < b->n_guesses;) {
        const nl_guess *x = &a->guesses[i], *y = &b->guesses[j];
        if (x->image == y->image) {
            const bool wrong_a = x->prediction != x->label, wrong_b = y->prediction != y->label;
            only_a += wrong_a && !wrong_b;
            only_b += wrong_b && !wrong_a;
        }
        i += x->image <= y->image;
        j += y->image <= x->image;
    }
    pair->has_images = true;
    pair->image_seed = a->seed;
    pair->images = nl_stats_mcnemar(only_a, only_b);
}

/* Differences of per cent stay within these bounds. */
static double cut(double points) {
    return points < -100 ? -100 : points > 100 ? 100 : points;
}

static void make_pair(nl_pair *pair, const nl_variant *a, const nl_variant *b) {
    double *x = nl_alloc(2 * (size_t)a->n_runs, sizeof *x, "paired seeds"), *y = x + a->n_runs;
    int n = 0;
    compare_variants(pair, a, b);
    for (int i = 0; i < a->n_runs && pair->compared; i++) {
        const nl_seed_run *left = &a->runs[i], *right = nl_variant_run(b, left->seed);
        if (!right) continue;
        x[n] = value(left, ACCURACY);
        y[n++] = value(right, ACCURACY);
        if (!pair->has_images && left->guesses && right->guesses) compare_images(pair, left, right);
    }
    pair->paired = nl_stats_paired(x, y, n);
    pair->paired.low = cut(pair->paired.low);
    pair->paired.high = cut(pair->paired.high);
    free(x);
}

/* ---- the whole ---- */

static void adjust(nl_summary *summary) {
    const int n = summary->n_pairs;
    double *p = nl_alloc((size_t)n, sizeof *p, "p values");
    int shared = 0;
    for (int i = 0; i < n; i++) {
        p[i] = summary->pairs[i].paired.p;
        shared += summary->pairs[i].paired.n > 1;
    }
    nl_stats_holm(p, n);
    for (int i = 0; i < n; i++) {
        nl_pair *pair = &summary->pairs[i];
        pair->holm = p[i];
        pair->seeds =
            nl_stats_seeds(pair->paired.mean, pair->paired.sd, NL_LEVEL / fmax(shared, 1), 0.8);
    }
    free(p);
}

void nl_summary_make(nl_summary *summary, const nl_folder *study) {
    const int n = study->n_variants;
    summary->n_rows = n;
    summary->rows = nl_alloc((size_t)n, sizeof *summary->rows, "summary");
    summary->n_pairs = n * (n - 1) / 2;
    summary->pairs = nl_alloc((size_t)summary->n_pairs, sizeof *summary->pairs, "summary");
    for (int i = 0; i < n; i++) make_row(&summary->rows[i], &study->variants[i]);
    nl_pair *pair = summary->pairs;
    for (int i = 0; i < n; i++) {
        for (int j = i + 1; j < n; j++, pair++) {
            pair->a = i;
            pair->b = j;
            make_pair(pair, &study->variants[i], &study->variants[j]);
        }
    }
    adjust(summary);
}

void nl_summary_free(nl_summary *summary) {
    free(summary->rows);
    free(summary->pairs);
    *summary = (nl_summary){0};
}
