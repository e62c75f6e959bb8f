/* The gradient of a first step against the truth, where ReLUs and pools may stand at ties.
 *
 * The gradient jumps where an activation is nearly 0, or two values of a pool's window are nearly
 * equal: two computations that round differently may decide differently, and both are right. Such
 * places are found by the values in double precision (nl_is_tie; nearly means: within what the
 * layer's error may be). Where a gradient is off by more than its bound, those decisions are looked
 * for that explain it: each candidate's effect is computed by taking it the other way in double
 * precision, and taken if that brings the two closer. At the end the whole gradient is computed
 * with the decisions found, and has to be within the same bound as without any.
 */
#include "step_truth.h"

#include <math.h>   // isfinite
#include <stdlib.h> // free

#include "normlab/verify.h" // nl_is_tie

enum { ROUNDS = 8, FEW = 64, MOST = 1000 }; /* ties whose effects are computed */

static double *numbers(int64_t count) {
    return nl_alloc((size_t)count, sizeof(double), "gradients");
}

/* ---- places ------------------------------------------------------------------------------------
 */

/* The values that a pool looks at: behind the ReLU of a convolution. */
static void pool_inputs(double *x, const nl_step_truth *t, int pool, int64_t count) {
    const nl_layer *below = &t->spec->model->layers[pool - 1];
    nl_probe_output_f64(x, t->probe, pool - 1);
    if (below->kind == NL_LAYER_CONV && below->relu)
        for (int64_t i = 0; i < count; i++) x[i] = x[i] < 0 ? 0 : x[i];
}

/* Each other place of each window that may be the largest. */
static void find_in_pool(nl_flips *f, const nl_step_truth *t, int layer) {
    const nl_layer *l = &t->spec->model->layers[layer];
    const int64_t count = nl_truth_elements(t, layer), in = nl_truth_elements(t, layer - 1);
    const int k = l->kernel, each = l->out_h * l->out_w;
    const double tolerance = 2 * t->tolerance[layer - 1];
    const int32_t *args = nl_probe_args_f64(t->probe, layer);
    double *x = numbers(in);
    pool_inputs(x, t, layer, in);
    for (int64_t o = 0; o < count; o++) {
        const double *plane = x + o / each * l->in_h * l->in_w;
        const int corner = (int)(o % each) / l->out_w * k * l->in_w + (int)(o % l->out_w) * k;
        if (!nl_is_tie(plane + corner, k, l->in_w, false, tolerance)) continue;
        for (int i = 0; i < k * k; i++) {
            const int at = corner + i / k * l->in_w + i % k;
            const double behind = plane[args[o]] - plane[at];
            if (behind > 0 && behind < tolerance) nl_flips_add(f, layer, o, at);
        }
    }
    free(x);
}

static void find_in_relu(nl_flips *f, const nl_step_truth *t, int layer) {
    const int64_t count = nl_truth_elements(t, layer);
    double *u = numbers(count);
    nl_probe_output_f64(u, t->probe, layer);
    for (int64_t i = 0; i < count; i++)
        if (nl_is_tie(&u[i], 1, 1, true, t->tolerance[layer])) nl_flips_add(f, layer, i, 0);
    free(u);
}

void nl_truth_ties(nl_flips *f, const nl_step_truth *t) {
    for (int i = 0; i < t->spec->model->n_layers; i++) {
        const nl_layer *l = &t->spec->model->layers[i];
        if (l->kind == NL_LAYER_CONV && l->relu) find_in_relu(f, t, i);
        if (l->kind == NL_LAYER_MAX_POOL && i > 0) find_in_pool(f, t, i);
    }
}

/* ---- the comparison ----------------------------------------------------------------------------
 */

static double share(const nl_step_truth *t, const double *a, const double *b, int *worst) {
    const nl_model *model = t->spec->model;
    double most = 0;
    *worst = 0;
    for (int i = 0; i < model->n_tensors; i++) {
        const int64_t at = nl_truth_place(t, i);
        const double d =
            nl_verify_distance(a + at, b + at, model->tensors[i].count) / nl_truth_bound(t, i);
        if (d <= most) continue;
        most = d;
        *worst = i;
    }
    return most;
}

/* How much closer the rest comes to 0 when an effect is taken off; in units of the bounds. */
static double gain(const nl_step_truth *t, const double *rest, const double *effect) {
    const nl_model *model = t->spec->model;
    double sum = 0;
    for (int i = 0; i < model->n_tensors; i++) {
        const int64_t at = nl_truth_place(t, i), end = at + model->tensors[i].count;
        double part = 0;
        for (int64_t k = at; k < end; k++) part += effect[k] * (2 * rest[k] - effect[k]);
        const double bound = nl_truth_bound(t, i);
        sum += part / bound / bound;
    }
    return sum;
}

/* Decisions that may have been taken otherwise: which of them are held to have been, and what
 * turning one more round would change. */
typedef struct candidates {
    nl_flips all;
    bool *taken;     /* (all.count), one a place */
    int64_t size;    /* of a step */
    double *base;    /* (size) the step with those taken */
    double *effects; /* (all.count, size) */
} candidates;

static bool same_place(const candidates *c, int i, int k) {
    const nl_flip *a = &c->all.list[i], *b = &c->all.list[k];
    return a->layer == b->layer && a->at == b->at;
}

static void turn(candidates *c, int at) {
    const bool taken = c->taken[at];
    for (int i = 0; i < c->all.count; i++)
        if (same_place(c, i, at)) c->taken[i] = false;
    c->taken[at] = !taken;
}

/* The step with the decisions taken, and one more turned (-1: none). */
static void step_with(double *left, const candidates *c, const nl_step_truth *t, int turned) {
    nl_flips f = {0};
    for (int i = 0; i < c->all.count; i++) {
        const bool other = turned >= 0 && same_place(c, i, turned);
        if (other ? i == turned && !c->taken[i] : c->taken[i])
            nl_flips_add(&f, c->all.list[i].layer, c->all.list[i].at, c->all.list[i].arg);
    }
    nl_probe_step_f64(left, t->probe, f.list, f.count);
    free(f.list);
}

/* The turn, or the two turns, that bring the rest closest to 0; first -1: none does. Two at once
 * where there are few candidates: of two that do nearly the same the wrong one may come closer. */
static void best_turns(int best[2], const candidates *c, const nl_step_truth *t, const double *rest,
                       const bool *done) {
    const int count = c->all.count;
    double most = 0, *both = numbers(c->size);
    best[0] = -1;
    for (int i = 0; i < count; i++)
        for (int k = i; k < (count <= FEW ? count : i + 1); k++) {
            const double *a = c->effects + i * c->size, *b = c->effects + k * c->size;
            if (done[i] || done[k] || (i != k && same_place(c, i, k))) continue;
            for (int64_t j = 0; j < c->size; j++) both[j] = i == k ? a[j] : a[j] + b[j];
            const double g = gain(t, rest, both);
            if (!(g > most)) continue;
            most = g;
            best[0] = i;
            best[1] = k;
        }
    free(both);
}

/* Takes the turns that bring the two closest, then the next, each effect as it is with those taken
 * before the call. Returns how many. */
static int choose(candidates *c, const nl_step_truth *t, const double *left) {
    const int count = c->all.count;
    int turns = 0, best[2];
    double *rest = numbers(c->size);
    bool *done = nl_alloc((size_t)count, sizeof *done, "ties");
    for (int i = 0; i < count; i++) {
        double *effect = c->effects + i * c->size;
        step_with(effect, c, t, i);
        for (int64_t k = 0; k < c->size; k++) effect[k] -= c->base[k];
    }
    for (int64_t k = 0; k < c->size; k++) rest[k] = left[k] - c->base[k];
    for (best_turns(best, c, t, rest, done); best[0] >= 0; best_turns(best, c, t, rest, done))
        for (int n = 0; n < 1 + (best[0] != best[1]); n++) {
            const double *effect = c->effects + best[n] * c->size;
            for (int64_t k = 0; k < c->size; k++) rest[k] -= effect[k];
            for (int i = 0; i < count; i++) done[i] = done[i] || same_place(c, i, best[n]);
            turn(c, best[n]);
            turns++;
        }
    free(rest);
    free(done);
    return turns;
}

static double explain(const nl_step_truth *t, const double *left, int *worst, int *ties) {
    candidates c = {.size = t->size};
    nl_truth_ties(&c.all, t);
    double most = share(t, left, t->left, worst);
    if (c.all.count <= MOST) {
        c.taken = nl_alloc((size_t)c.all.count, sizeof *c.taken, "ties");
        c.effects = numbers(c.size * c.all.count);
        c.base = numbers(c.size);
        step_with(c.base, &c, t, -1);
        /* again, because one decision may hide another's effect */
        for (int round = 0; round < ROUNDS && most > 1 && choose(&c, t, left) > 0; round++) {
            step_with(c.base, &c, t, -1);
            most = share(t, left, c.base, worst);
        }
        for (int i = 0; i < c.all.count; i++) *ties += c.taken[i];
    }
    free(c.all.list);
    free(c.taken);
    free(c.effects);
    free(c.base);
    return most;
}

double nl_truth_distance(const nl_step_truth *t, const double *left, int *worst, int *ties) {
    const double most = share(t, left, t->left, worst);
    *ties = 0;
    return most <= 1 || !isfinite(most) ? most : explain(t, left, worst, ties);
}
