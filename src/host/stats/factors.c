/* Main effects and interactions; formulas and sources in factors.h. */
#include "factors.h"

#include <math.h>   // isfinite
#include <stdlib.h> // free

#include "normlab/error.h" // nl_alloc
#include "figures.h"

/* ---- figures ---- */

/* The figures that go in: of each metric (cells, seeds). */
typedef struct layout {
    const nl_factors *f;
    double *y[NL_METRICS];
} layout;

static const nl_seed_run *run_of(const nl_figures *s, int cell, uint32_t seed) {
    return nl_variant_run(s->rows[s->factors.row[cell]].variant, seed);
}

static bool all_finished(const nl_figures *s, uint32_t seed) {
    for (int c = 0; c < s->factors.cells; c++) {
        const nl_seed_run *run = run_of(s, c, seed);
        for (int m = 0; m < NL_METRICS; m++)
            if (!run || !isfinite(nl_metric_of(run, (nl_metric)m))) return false;
    }
    return true;
}

static void find_seeds(nl_factors *f, const nl_figures *s) {
    const nl_variant *first = s->rows[f->row[0]].variant;
    f->seeds = nl_alloc((size_t)first->n_runs, sizeof *f->seeds, "seeds");
    for (int i = 0; i < first->n_runs; i++)
        if (all_finished(s, first->runs[i].seed)) f->seeds[f->n_seeds++] = first->runs[i].seed;
}

static layout read_figures(const nl_figures *s) {
    const nl_factors *f = &s->factors;
    layout l = {.f = f};
    for (int m = 0; m < NL_METRICS; m++) {
        l.y[m] = nl_alloc((size_t)f->cells * (size_t)f->n_seeds, sizeof *l.y[m], "figures");
        for (int c = 0; c < f->cells; c++)
            for (int i = 0; i < f->n_seeds; i++)
                l.y[m][c * f->n_seeds + i] = nl_metric_of(run_of(s, c, f->seeds[i]), (nl_metric)m);
    }
    return l;
}

/* ---- means ---- */

enum { ALL = -1 };

/* Over the cells with these levels of a term's factors, or with ALL, and over a seed or ALL. */
static double mean_of(const layout *l, nl_metric metric, const nl_term *term, int i, int j,
                      int seed) {
    const nl_factors *f = l->f;
    double sum = 0;
    int count = 0;
    for (int c = 0; c < f->cells; c++) {
        if (i != ALL && nl_factors_level(f, c, term->first) != i) continue;
        if (j != ALL && nl_factors_level(f, c, term->second) != j) continue;
        for (int s = 0; s < f->n_seeds; s++) {
            if (seed != ALL && s != seed) continue;
            sum += l->y[metric][c * f->n_seeds + s];
            count++;
        }
    }
    return sum / count;
}

/* ---- effects ---- */

/* Each effect is a difference a - b, whose rounding is that of a and b. */
static void measure(nl_effect *e, const layout *l, const nl_term *t, nl_metric metric) {
    const int n = l->f->n_seeds, i = e->level[0], j = e->level[1];
    double *a = nl_alloc(2 * (size_t)n, sizeof *a, "effects of seeds"), *b = a + n;
    for (int s = 0; s < n; s++) {
        if (t->second < 0) {
            a[s] = mean_of(l, metric, t, i, ALL, s);
            b[s] = mean_of(l, metric, t, 0, ALL, s);
        } else {
            a[s] = mean_of(l, metric, t, i, j, s) + mean_of(l, metric, t, 0, 0, s);
            b[s] = mean_of(l, metric, t, i, 0, s) + mean_of(l, metric, t, 0, j, s);
        }
    }
    e->by[metric] = nl_stats_paired(a, b, n);
    e->holm[metric] = e->by[metric].p;
    free(a);
}

static void add_effects(nl_factors *f, const layout *l, int term) {
    const nl_term *t = &f->terms[term];
    const int others = t->second < 0 ? 2 : f->list[t->second].levels; /* one round without */
    for (int i = 1; i < f->list[t->first].levels; i++)
        for (int j = 1; j < others; j++) {
            nl_effect *e = &f->effects[f->n_effects++];
            *e = (nl_effect){.term = term, .level = {i, t->second < 0 ? 0 : j}};
            for (int m = 0; m < NL_METRICS; m++) measure(e, l, t, (nl_metric)m);
        }
}

/* ---- terms ---- */

static double squares(const layout *l, nl_metric metric, const nl_term *t) {
    const nl_factors *f = l->f;
    const int first = f->list[t->first].levels;
    const int second = t->second < 0 ? 1 : f->list[t->second].levels;
    const double mean = mean_of(l, metric, t, ALL, ALL, ALL);
    double sum = 0;
    for (int i = 0; i < first; i++)
        for (int j = 0; j < second; j++) {
            const double row = mean_of(l, metric, t, i, ALL, ALL);
            const double d = t->second < 0 ? row - mean
                                           : mean_of(l, metric, t, i, j, ALL) - row -
                                                 mean_of(l, metric, t, ALL, j, ALL) + mean;
            sum += d * d;
        }
    return sum * f->cells * f->n_seeds / (first * second);
}

/* What cells and seeds together leave unexplained; NaN where that is no more than rounding may be. */
static double squares_left(const layout *l, nl_metric metric) {
    const int cells = l->f->cells, n = l->f->n_seeds;
    const double *y = l->y[metric];
    double *by_seed = nl_alloc((size_t)n, sizeof *by_seed, "means of seeds"), mean = 0, sum = 0;
    double rounding = 0;
    for (int c = 0; c < cells; c++)
        for (int s = 0; s < n; s++) by_seed[s] += y[c * n + s] / cells;
    for (int s = 0; s < n; s++) mean += by_seed[s] / n;
    for (int c = 0; c < cells; c++) {
        double by_cell = 0;
        for (int s = 0; s < n; s++) by_cell += y[c * n + s] / n;
        for (int s = 0; s < n; s++) {
            const double rest = y[c * n + s] - by_cell - by_seed[s] + mean;
            const double unit = NL_TIE * y[c * n + s];
            sum += rest * rest;
            rounding += unit * unit;
        }
    }
    free(by_seed);
    return n >= 2 && sum > rounding ? sum : NAN;
}

static void test_term(nl_term *t, const layout *l, const double rest[NL_METRICS]) {
    const nl_factors *f = l->f;
    t->df = f->list[t->first].levels - 1;
    if (t->second >= 0) t->df *= f->list[t->second].levels - 1;
    t->df_rest = (f->cells - 1) * (f->n_seeds - 1);
    for (int m = 0; m < NL_METRICS; m++) {
        t->f[m] = t->p[m] = t->holm[m] = NAN;
        if (isnan(rest[m])) continue;
        t->f[m] = squares(l, (nl_metric)m, t) / t->df / (rest[m] / t->df_rest);
        t->p[m] = t->holm[m] = nl_stats_f_above(t->f[m], t->df, t->df_rest);
    }
}

static void list_terms(nl_factors *f) {
    f->terms = nl_alloc((size_t)f->n * ((size_t)f->n + 1) / 2, sizeof *f->terms, "terms");
    for (int i = 0; i < f->n; i++) f->terms[f->n_terms++] = (nl_term){.first = i, .second = -1};
    for (int i = 0; i < f->n; i++)
        for (int j = i + 1; j < f->n; j++)
            f->terms[f->n_terms++] = (nl_term){.first = i, .second = j};
}

/* Of the values of each metric in each of a list of structs. */
static double *nth(double *first, size_t size, int i) {
    return (double *)((char *)first + (size_t)(i / NL_METRICS) * size) + i % NL_METRICS;
}

/* Holm's adjustment of all of them, as one family. */
static void adjust(double *first, size_t size, int count) {
    const int n = NL_METRICS * count;
    double *p = nl_alloc((size_t)n, sizeof *p, "p values");
    for (int i = 0; i < n; i++) p[i] = *nth(first, size, i);
    nl_stats_holm(p, n);
    for (int i = 0; i < n; i++) *nth(first, size, i) = p[i];
    free(p);
}

void nl_factors_make(nl_figures *figures) {
    nl_factors *f = &figures->factors;
    nl_grid_find(f, figures);
    if (f->n == 0) return;
    find_seeds(f, figures);
    const layout l = read_figures(figures);
    double rest[NL_METRICS];
    for (int m = 0; m < NL_METRICS; m++) rest[m] = squares_left(&l, (nl_metric)m);
    list_terms(f);
    f->effects = nl_alloc((size_t)f->cells, sizeof *f->effects, "effects"); /* all of their df */
    for (int i = 0; i < f->n_terms; i++) {
        test_term(&f->terms[i], &l, rest);
        add_effects(f, &l, i);
    }
    adjust(f->terms->holm, sizeof *f->terms, f->n_terms);
    adjust(f->effects->holm, sizeof *f->effects, f->n_effects);
    for (int m = 0; m < NL_METRICS; m++) free(l.y[m]);
}
