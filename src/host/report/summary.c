/* Figures of each variant over seeds, and of every two variants paired by seed. Variants with one
 * seed share initial convolution weights and data order, so differences are taken seed by seed:
 * what an easy or a hard order does to both falls out.
 */
#include "summary.h"

#include <math.h>   // NAN
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // strlen

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
    double *x = nl_alloc((size_t)variant->n_runs, sizeof *x, "values of seeds");
    for (int i = 0; i < variant->n_runs; i++) x[i] = value(&variant->runs[i], what);
    const nl_sample s = nl_stats_sample(x, variant->n_runs);
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
        const nl_interval w = nl_stats_wilson((uint32_t)lround(a / 100 * n), n);
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

static void note(nl_pair *pair, bool differ, const char *key) {
    if (!differ) return;
    const size_t used = strlen(pair->differs);
    snprintf(pair->differs + used, sizeof pair->differs - used, "%s%s", used ? ", " : "", key);
    if (key[0] != 'n') pair->fair = false; /* anything but the norm */
}

static void compare_configs(nl_pair *pair, const nl_variant *va, const nl_variant *vb) {
    if (!va->has_config || !vb->has_config) return;
    const nl_config *a = &va->config, *b = &vb->config;
    pair->fair = true;
    note(pair, a->model.norm != b->model.norm, "norm");
    note(pair,
         a->model.norm == NL_NORM_GROUP && b->model.norm == NL_NORM_GROUP &&
             a->model.group_size != b->model.group_size,
         "norm's group size");
    note(pair, a->train.l1 != b->train.l1, "L1");
    note(pair, a->train.weight_decay != b->train.weight_decay, "weight decay");
    note(pair, a->data.batch != b->data.batch, "batch");
    note(pair, a->train.epochs != b->train.epochs, "epochs");
    note(pair, a->train.lr != b->train.lr, "learning rate");
    note(pair, a->train.momentum != b->train.momentum, "momentum");
    note(pair, a->model.dropout != b->model.dropout, "dropout");
    note(pair, a->data.rotate != b->data.rotate, "rotation");
    note(pair,
         a->train.schedule.kind != b->train.schedule.kind ||
             a->train.schedule.every != b->train.schedule.every ||
             a->train.schedule.factor != b->train.schedule.factor,
         "schedule");
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

static void make_pair(nl_pair *pair, const nl_variant *a, const nl_variant *b) {
    double *x = nl_alloc(2 * (size_t)a->n_runs, sizeof *x, "paired seeds"), *y = x + a->n_runs;
    int n = 0;
    for (int i = 0; i < a->n_runs; i++) {
        const nl_seed_run *left = &a->runs[i], *right = nl_variant_run(b, left->seed);
        if (!right) continue;
        x[n] = value(left, ACCURACY);
        y[n++] = value(right, ACCURACY);
        if (!pair->has_images && left->guesses && right->guesses) compare_images(pair, left, right);
    }
    pair->paired = nl_stats_paired(x, y, n);
    pair->holm = pair->paired.p;
    compare_configs(pair, a, b);
    free(x);
}

/* ---- the whole ---- */

static void make_labels(nl_summary *summary) {
    const int n = summary->n_rows;
    const char **names = nl_alloc((size_t)n, sizeof *names, "names");
    nl_label *labels = nl_alloc((size_t)n, sizeof *labels, "labels");
    for (int i = 0; i < n; i++) names[i] = summary->rows[i].variant->name;
    nl_labels_make(labels, names, n);
    for (int i = 0; i < n; i++) summary->rows[i].label = labels[i];
    free(labels);
    free(names);
}

void nl_summary_make(nl_summary *summary, const nl_folder *study) {
    const int n = study->n_variants;
    summary->n_rows = n;
    summary->rows = nl_alloc((size_t)n, sizeof *summary->rows, "summary");
    summary->n_pairs = n * (n - 1) / 2;
    summary->pairs = nl_alloc((size_t)summary->n_pairs, sizeof *summary->pairs, "summary");
    for (int i = 0; i < n; i++) make_row(&summary->rows[i], &study->variants[i]);
    make_labels(summary);
    nl_pair *pair = summary->pairs;
    for (int i = 0; i < n; i++) {
        for (int j = i + 1; j < n; j++, pair++) {
            pair->a = i;
            pair->b = j;
            make_pair(pair, &study->variants[i], &study->variants[j]);
        }
    }
    double *p = nl_alloc((size_t)summary->n_pairs, sizeof *p, "p values");
    for (int i = 0; i < summary->n_pairs; i++) p[i] = summary->pairs[i].paired.p;
    nl_stats_holm(p, summary->n_pairs);
    int tested = 0;
    for (int i = 0; i < summary->n_pairs; i++) tested += !isnan(p[i]);
    for (int i = 0; i < summary->n_pairs; i++) {
        nl_paired *paired = &summary->pairs[i].paired;
        summary->pairs[i].holm = p[i];
        summary->pairs[i].seeds = nl_stats_seeds(paired->mean, paired->sd, NL_LEVEL / tested);
    }
    free(p);
}

void nl_summary_free(nl_summary *summary) {
    free(summary->rows);
    free(summary->pairs);
    *summary = (nl_summary){0};
}
