/* Which runs are runs of their own: a report counts no run twice, and takes no run for another. */
#include "identity.h"

#include <math.h>   // isnan
#include <stdlib.h> // qsort
#include <string.h> // strcmp

#include <jansson.h> // json_object_get

#include "normlab/run_files.h" // NL_FILE_RUN

static const char *told_name(const nl_unit *u) {
    return json_string_value(json_object_get(u->run.info, "name"));
}

static json_int_t told_seed(const nl_unit *u) {
    const json_t *seed = json_object_get(u->run.info, "seed");
    return json_is_integer(seed) ? json_integer_value(seed) : (json_int_t)u->run.seed;
}

/* Whether the run's record tells the name and seed of its folder, or nothing else. */
static bool agrees(const nl_unit *u) {
    const char *name = told_name(u);
    return (!name || strcmp(name, u->name) == 0) && told_seed(u) == (json_int_t)u->run.seed;
}

/* By name and seed; of equals first the one that agrees, then the one that came farther, then the
 * one spelt as normlab does: the shorter. The path makes the order total. */
static int by_unit(const void *a, const void *b) {
    const nl_unit *x = a, *y = b;
    const int names = strcmp(x->name, y->name);
    if (names) return names;
    if (x->run.seed != y->run.seed) return x->run.seed < y->run.seed ? -1 : 1;
    if (agrees(x) != agrees(y)) return agrees(x) ? -1 : 1;
    if (x->run.finished != y->run.finished) return x->run.finished ? -1 : 1;
    if (x->run.n_points != y->run.n_points) return x->run.n_points > y->run.n_points ? -1 : 1;
    const size_t m = strlen(x->run.folder), n = strlen(y->run.folder);
    if (m != n) return m < n ? -1 : 1;
    return strcmp(x->run.folder, y->run.folder);
}

static void drop(nl_units *all, int i, const nl_unit *kept) {
    nl_warn(all->list[i].run.folder, "the same run as %s: it counts once", kept->run.folder);
    nl_seed_run_free(&all->list[i].run);
    memmove(&all->list[i], &all->list[i + 1], (size_t)(all->n - i - 1) * sizeof *all->list);
    all->n--;
}

/* Links: one folder under several names is the run of the name that agrees. */
static void drop_links(nl_units *all) {
    for (int i = 0; i < all->n; i++) {
        for (int j = i + 1; j < all->n; j++) {
            nl_unit *a = &all->list[i], *b = &all->list[j];
            if (a->device != b->device || a->inode != b->inode) continue;
            if (!agrees(a) && agrees(b)) {
                const nl_unit swap = *a;
                *a = *b;
                *b = swap;
            }
            drop(all, j--, a);
        }
    }
}

static int refuse_name(const nl_unit *u, nl_error *err) {
    const char *name = told_name(u);
    nl_fail(err, NL_EDATA, u->run.folder,
            "a copy, or renamed: the folder says %s, seed %u, but its " NL_FILE_RUN
            " %s, seed %lld",
            u->name, u->run.seed, name ? name : u->name, (long long)told_seed(u));
    return nl_hint(err, "move it out of the run folder, or give it back the name that " NL_FILE_RUN
                        " tells");
}

static bool same_figures(const nl_point *a, const nl_point *b) {
    const double x[] = {a->train_loss, a->train_accuracy, a->test_loss, a->test_accuracy};
    const double y[] = {b->train_loss, b->train_accuracy, b->test_loss, b->test_accuracy};
    for (int i = 0; i < 4; i++)
        if (x[i] != y[i] && !(isnan(x[i]) && isnan(y[i]))) return false;
    return true;
}

/* Whether nothing tells the two apart: a run gives the same figures on every machine, but for
 * times. One may have come farther than the other. */
static bool same_results(const nl_seed_run *a, const nl_seed_run *b) {
    for (int i = 0; i < a->n_points && i < b->n_points; i++)
        if (a->points[i].epoch != b->points[i].epoch || !same_figures(&a->points[i], &b->points[i]))
            return false;
    return !a->finished || !b->finished || same_figures(&a->final, &b->final);
}

/* Copies: the same name, seed and results is the same run, in one folder or in several. */
static int drop_copies(nl_units *all, nl_error *err) {
    for (int i = 0; i + 1 < all->n; i++) {
        while (i + 1 < all->n) {
            const nl_unit *a = &all->list[i], *b = a + 1;
            if (strcmp(a->name, b->name) != 0 || a->run.seed != b->run.seed) break;
            if (!same_results(&a->run, &b->run)) {
                nl_fail(err, NL_EDATA, b->run.folder,
                        "a second run of %s, seed %u, with other results, beside %s", b->name,
                        b->run.seed, a->run.folder);
                return nl_hint(err, "move one of them out of the run folder");
            }
            drop(all, i + 1, a);
        }
    }
    return NL_OK;
}

int nl_identify(nl_units *all, nl_error *err) {
    if (all->n > 0) qsort(all->list, (size_t)all->n, sizeof *all->list, by_unit);
    drop_links(all);
    for (int i = 0; i < all->n; i++)
        if (!agrees(&all->list[i])) return refuse_name(&all->list[i], err);
    if (all->n > 0) qsort(all->list, (size_t)all->n, sizeof *all->list, by_unit);
    return drop_copies(all, err);
}
