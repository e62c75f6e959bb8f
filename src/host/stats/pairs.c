/* Every two variants, paired by seed. Variants with one seed share initial convolution weights and
 * data order, so differences are taken seed by seed: what an easy or a hard order does to both
 * falls out. Each kind of error, calling two different that are not and calling two equal that are
 * not, is at most NL_LEVEL over all pairs and both metrics together (Holm).
 */
#include "figures.h"

#include <math.h>   // NAN
#include <stdlib.h> // free
#include <string.h> // strcmp

/* ---- what the two differ in ---- */

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

/* ---- images ---- */

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

/* The differences a - b of one seed, image by image: of the points for a right answer, or of the
 * loss. False unless both runs told of the same images. */
static bool image_differences(double *x /* (images) */, nl_metric metric, const nl_seed_run *a,
                              const nl_seed_run *b) {
    for (uint32_t i = 0; i < a->n_guesses; i++) {
        const nl_guess *left = &a->guesses[i], *right = &b->guesses[i];
        if (left->image != right->image || left->label != right->label) return false;
        x[i] =
            metric == NL_METRIC_LOSS
                ? left->loss - right->loss
                : 100.0 * ((left->prediction == left->label) - (right->prediction == right->label));
        if (!isfinite(x[i])) return false;
    }
    return true;
}

nl_two_way nl_pair_over_images(const nl_figures *figures, const nl_pair *pair, nl_metric metric) {
    const nl_variant *a = figures->rows[pair->a].variant, *b = figures->rows[pair->b].variant;
    uint32_t images = 0;
    int seeds = 0;
    double *x = NULL;
    bool whole = pair->compared;
    for (int i = 0; i < a->n_runs && whole; i++) {
        const nl_seed_run *left = &a->runs[i], *right = nl_variant_run(b, left->seed);
        if (!right || !left->finished || !right->finished) continue;
        if (!x && left->n_guesses > 0) {
            images = left->n_guesses;
            x = nl_alloc((size_t)a->n_runs * images, sizeof *x, "differences by image");
        }
        whole = images > 0 && left->n_guesses == images && right->n_guesses == images &&
                image_differences(x + (size_t)seeds * images, metric, left, right);
        seeds++;
    }
    const nl_two_way r = nl_stats_two_way(x, whole ? seeds : 0, (int)images);
    free(x);
    return r;
}

/* ---- seeds ---- */

/* Differences of per cent stay within these bounds. */
static double cut(double points) {
    return points < -100 ? -100 : points > 100 ? 100 : points;
}

/* Share of seeds on which a is better: higher accuracy, lower loss. A tie is half a one. */
static void count_better(nl_comparison *c, nl_metric metric, const double *x, const double *y,
                         int n) {
    double hits = 0;
    uint32_t seeds = 0;
    for (int i = 0; i < n; i++) {
        if (!isfinite(x[i]) || !isfinite(y[i])) continue;
        const bool more = x[i] > y[i];
        hits += x[i] == y[i] ? 0.5 : more == (metric == NL_METRIC_ACCURACY);
        seeds++;
    }
    c->a_better = seeds ? hits / seeds : NAN;
    c->a_better_range = nl_stats_wilson(hits, seeds);
}

static void compare_seeds(nl_comparison *c, nl_metric metric, double margin, const double *x,
                          const double *y, int n) {
    double *difference = nl_alloc((size_t)n, sizeof *difference, "differences of seeds");
    for (int i = 0; i < n; i++) difference[i] = x[i] - y[i];
    c->paired = nl_stats_paired(x, y, n);
    if (metric == NL_METRIC_ACCURACY) {
        c->paired.low = cut(c->paired.low);
        c->paired.high = cut(c->paired.high);
    }
    c->sign_flip = nl_stats_sign_flip(difference, n);
    c->margin = margin;
    c->equivalent = nl_stats_equivalence(&c->paired, margin);
    count_better(c, metric, x, y, n);
    free(difference);
}

static void make_pair(nl_pair *pair, const nl_figures *figures) {
    const nl_variant *a = figures->rows[pair->a].variant, *b = figures->rows[pair->b].variant;
    double *x = nl_alloc(4 * (size_t)a->n_runs, sizeof *x, "paired seeds");
    double *y = x + 2 * a->n_runs;
    int n = 0;
    compare_variants(pair, a, b);
    for (int i = 0; i < a->n_runs && pair->compared; i++) {
        const nl_seed_run *left = &a->runs[i], *right = nl_variant_run(b, left->seed);
        if (!right) continue;
        for (int m = 0; m < NL_METRICS; m++) {
            x[m * a->n_runs + n] = nl_metric_of(left, (nl_metric)m);
            y[m * a->n_runs + n] = nl_metric_of(right, (nl_metric)m);
        }
        n++;
        const bool single = a->n_finished == 1 || b->n_finished == 1;
        if (single && !pair->has_images && left->guesses && right->guesses)
            compare_images(pair, left, right);
    }
    for (int m = 0; m < NL_METRICS; m++) {
        const double margin = m == NL_METRIC_LOSS ? figures->margins.loss : figures->margins.points;
        compare_seeds(&pair->by[m], (nl_metric)m, margin, x + m * a->n_runs, y + m * a->n_runs, n);
    }
    free(x);
}

/* ---- the family of all comparisons ---- */

/* Seeds that would settle it, if the difference and the spread seen are the true ones: as a
 * difference, or, within the margin, as equal. */
static int seeds_to_settle(const nl_comparison *c, double level) {
    const int apart = nl_stats_seeds(c->paired.mean, c->paired.sd, level, NL_POWER);
    const double near = c->margin - fabs(c->paired.mean);
    const int equal = near > 0 ? nl_stats_seeds_equal(near, c->paired.sd, level, NL_POWER) : 0;
    return equal > 0 && equal < apart ? equal : apart;
}

static void judge(nl_comparison *c, nl_metric metric, int family) {
    const bool higher_is_better = metric == NL_METRIC_ACCURACY;
    c->verdict = NL_OPEN;
    if (c->holm < NL_LEVEL)
        c->verdict = (c->paired.mean > 0) == higher_is_better ? NL_A_BETTER : NL_B_BETTER;
    if (c->equivalent < NL_LEVEL) c->verdict = NL_EQUAL;
    c->seeds = c->verdict == NL_OPEN ? seeds_to_settle(c, NL_LEVEL / fmax(family, 1)) : 0;
}

static void adjust(nl_figures *figures) {
    const int n = NL_METRICS * figures->n_pairs;
    double *p = nl_alloc(2 * (size_t)n, sizeof *p, "p values"), *equivalent = p + n;
    int family = 0;
    for (int i = 0; i < n; i++) {
        const nl_comparison *c = &figures->pairs[i / NL_METRICS].by[i % NL_METRICS];
        p[i] = c->paired.p;
        equivalent[i] = c->equivalent;
        family += c->paired.n > 1;
    }
    nl_stats_holm(p, n);
    nl_stats_holm(equivalent, n);
    for (int i = 0; i < n; i++) {
        nl_comparison *c = &figures->pairs[i / NL_METRICS].by[i % NL_METRICS];
        c->holm = p[i];
        c->equivalent = equivalent[i];
        judge(c, (nl_metric)(i % NL_METRICS), family);
    }
    figures->family = family;
    free(p);
}

/* In the order in which nl_pairs_make makes them: (0, 1), (0, 2) ... (1, 2) ... */
const nl_pair *nl_pair_of(const nl_figures *figures, int a, int b) {
    return &figures->pairs[a * figures->n_rows - a * (a + 1) / 2 + b - a - 1];
}

void nl_pairs_make(nl_figures *figures) {
    const int n = figures->n_rows;
    figures->n_pairs = n * (n - 1) / 2;
    figures->pairs = nl_alloc((size_t)figures->n_pairs, sizeof *figures->pairs, "pairs");
    nl_pair *pair = figures->pairs;
    for (int i = 0; i < n; i++) {
        for (int j = i + 1; j < n; j++, pair++) {
            pair->a = i;
            pair->b = j;
            make_pair(pair, figures);
        }
    }
    adjust(figures);
}
