/* From runs of one name to variants: seeds are pooled where config and data agree, and stand apart
 * where they do not. The group of most finished runs keeps the name.
 */
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // strcmp

#include <jansson.h> // json_object_get

#include "normlab/differences.h"
#include "runs.h"

static void compare(nl_differences *d, const nl_seed_run *a, const nl_seed_run *b) {
    nl_runs_differ(d, a->has_config ? &a->config : NULL, b->has_config ? &b->config : NULL, a->info,
                   b->info);
}

/* group[i]: of run i, from 0; a group is represented by its first run. Runs that tell nothing of
 * themselves go with the main group (-1 until it is known). Returns the number of groups. */
static int find_groups(int *group, const nl_seed_run *runs, int n) {
    int n_groups = 0;
    for (int i = 0; i < n; i++) {
        group[i] = -1;
        if (!runs[i].info) continue;
        for (int j = 0; j < i && group[i] < 0; j++) {
            nl_differences d;
            if (group[j] < 0) continue;
            compare(&d, &runs[j], &runs[i]);
            if (d.n_apart == 0) group[i] = group[j];
        }
        if (group[i] < 0) group[i] = n_groups++;
    }
    return n_groups > 0 ? n_groups : 1;
}

/* The group of most finished runs, then of most runs; the first of equals. */
static int main_group(const int *group, const nl_seed_run *runs, int n, int n_groups) {
    int best = 0, most = -1, most_finished = -1;
    for (int g = 0; g < n_groups; g++) {
        int size = 0, finished = 0;
        for (int i = 0; i < n; i++) {
            size += group[i] == g;
            finished += group[i] == g && runs[i].finished;
        }
        if (finished < most_finished || (finished == most_finished && size <= most)) continue;
        best = g;
        most = size;
        most_finished = finished;
    }
    return best;
}

static bool is_taken(const nl_folder *study, const char *name) {
    for (int i = 0; i < study->n_variants; i++)
        if (strcmp(study->variants[i].name, name) == 0) return true;
    return false;
}

static nl_variant *add_variant(nl_folder *study, const char *name, int room) {
    nl_variant *variant = &study->variants[study->n_variants];
    snprintf(variant->of, sizeof variant->of, "%s", name);
    snprintf(variant->name, sizeof variant->name, "%s", name);
    for (int k = 2; is_taken(study, variant->name); k++)
        snprintf(variant->name, sizeof variant->name, "%.250s (%d)", name, k);
    variant->runs = nl_alloc((size_t)room, sizeof *variant->runs, "runs");
    study->n_variants++;
    return variant;
}

static void take_group(nl_variant *variant, nl_seed_run *runs, const int *group, int g, int n) {
    for (int i = 0; i < n; i++) {
        if (group[i] != g) continue;
        variant->runs[variant->n_runs++] = runs[i];
        variant->n_finished += runs[i].finished;
        if (variant->has_config || !runs[i].has_config) continue;
        variant->has_config = true;
        variant->config = runs[i].config;
    }
}

static const nl_seed_run *first_told(const nl_variant *variant) {
    for (int i = 0; i < variant->n_runs; i++)
        if (variant->runs[i].info) return &variant->runs[i];
    return &variant->runs[0];
}

void nl_variants_add(nl_folder *study, const char *name, nl_seed_run *runs, int n) {
    int *group = nl_alloc((size_t)n, sizeof *group, "groups of runs");
    const int n_groups = find_groups(group, runs, n), best = main_group(group, runs, n, n_groups);
    for (int i = 0; i < n; i++)
        if (group[i] < 0) group[i] = best;
    nl_variant *kept = add_variant(study, name, n);
    take_group(kept, runs, group, best, n);
    for (int g = 0; g < n_groups; g++) {
        if (g == best) continue;
        nl_variant *other = add_variant(study, name, n);
        nl_differences d;
        take_group(other, runs, group, g, n);
        compare(&d, first_told(kept), first_told(other));
        other->apart = nl_differences_text(&d, d.n_apart);
    }
    free(group);
}

/* ---- asking ---- */

bool nl_variant_limited(const nl_variant *variant) {
    for (int i = 0; i < variant->n_runs; i++) {
        const json_t *options = json_object_get(variant->runs[i].info, "options");
        if (json_integer_value(json_object_get(options, "limit_batches")) > 0) return true;
    }
    return false;
}
