/* Finds the variants of spread.h. To differ in nothing but train.vary is an equivalence, so one
 * variant stands for all of its group. */
#include "spread.h"

#include <stdlib.h> // free
#include <string.h> // strcmp

/* The first run whose config is known, or NULL. */
static const nl_seed_run *known_run(const nl_variant *v) {
    for (int i = 0; i < v->n_runs; i++)
        if (v->runs[i].has_config) return &v->runs[i];
    return NULL;
}

/* Whether two are one variant, or would be with one train.vary. */
static bool belong(const nl_variant *a, const nl_variant *b) {
    const nl_seed_run *x = known_run(a), *y = known_run(b);
    if (!x || !y) return false;
    nl_differences d;
    nl_runs_differ(&d, &x->config, &y->config, x->info, y->info);
    return d.n_apart == 0 || (d.n_apart == 1 && strcmp(d.names[0], "train.vary") == 0);
}

static unsigned streams(const nl_variant *v) {
    return v->config.train.vary;
}

/* The group of row `first`, if its streams differ. */
static int add_group(int *rows, bool *taken, const nl_figures *f, int first) {
    const nl_variant *of = f->rows[first].variant;
    unsigned all = 0, common = ~0u;
    int *group = nl_alloc((size_t)f->n_rows, sizeof *group, "variants"), n = 0, used = 0;
    for (int i = first; i < f->n_rows; i++) {
        const nl_variant *v = f->rows[i].variant;
        if (taken[i] || !belong(of, v)) continue;
        taken[i] = true;
        group[n++] = i;
        all |= streams(v);
        common &= streams(v);
    }
    for (int pass = 0; pass < 2 && all != common; pass++)
        for (int i = 0; i < n; i++)
            if ((streams(f->rows[group[i]].variant) == all) == (pass == 0)) rows[used++] = group[i];
    free(group);
    return used;
}

int nl_spread_rows(int *rows, const nl_figures *figures) {
    int n = 0;
    bool *taken = nl_alloc((size_t)figures->n_rows, sizeof *taken, "variants");
    for (int i = 0; i < figures->n_rows; i++)
        if (!taken[i]) n += add_group(rows + n, taken, figures, i);
    free(taken);
    return n;
}

int nl_spread_streams(const char *names[NL_STREAM_DROPOUT], const nl_variant *variant) {
    int n = 0;
    for (int i = 0; nl_stream_words[i]; i++)
        if (streams(variant) >> i & 1u) names[n++] = nl_stream_words[i];
    return n;
}
