/* Whether the configs of a study are a grid; see factors.h. Values are compared as JSON, which is
 * what a reader of run.json sees of them.
 */
#include <jansson.h> // json_equal
#include <stdio.h>   // snprintf
#include <stdlib.h>  // qsort_r, free
#include <string.h>  // strchr

#include "base/character.h"      // nl_character
#include "normlab/differences.h" // NL_DIFFER_LIMIT
#include "config/config_keys.h"  // nl_config_keys
#include "normlab/error.h"       // nl_alloc
#include "figures.h"

/* ---- values ---- */

/* The value of one key in each row. */
typedef struct column {
    const char *key;
    const json_t **value; /* (rows) */
    int *level;           /* (rows) */
    int levels;
} column;

static const json_t *value_at(const json_t *config, const char *path) {
    for (const char *dot; (dot = strchr(path, '.')); path = dot + 1) {
        char part[64];
        snprintf(part, sizeof part, "%.*s", (int)(dot - path), path);
        config = json_object_get(config, part);
    }
    return json_object_get(config, path);
}

/* As much of a text as there is room for, by whole characters. */
static void take_text(char text[NL_LEVEL_TEXT], const char *all) {
    size_t size = 0;
    bool printable;
    while (all[size]) {
        const size_t next = nl_character(&printable, all + size);
        if (size + next >= NL_LEVEL_TEXT) break;
        size += next;
    }
    snprintf(text, NL_LEVEL_TEXT, "%.*s", (int)size, all);
}

static void value_text(char text[NL_LEVEL_TEXT], const json_t *value) {
    if (json_is_string(value)) {
        take_text(text, json_string_value(value));
    } else if (json_is_number(value)) {
        snprintf(text, NL_LEVEL_TEXT, "%.12g", json_number_value(value));
    } else {
        char *all = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
        NL_NEED(all);
        take_text(text, all);
        free(all);
    }
}

static bool is_ordered(const json_t *value) {
    return json_is_number(value) || json_is_boolean(value);
}

static double order_of(const json_t *value) {
    return json_is_number(value) ? json_number_value(value) : json_is_true(value);
}

static int by_number(const void *a, const void *b, void *context) {
    const column *c = context;
    const double x = order_of(c->value[*(const int *)a]), y = order_of(c->value[*(const int *)b]);
    return x < y ? -1 : x > y;
}

/* Finds the levels of a column; of[level]: the first row of each, in their order. */
static void find_levels(column *c, int *of, int rows) {
    bool numbers = true;
    c->levels = 0;
    for (int i = 0; i < rows; i++) {
        int k = 0;
        numbers = numbers && is_ordered(c->value[i]);
        while (k < c->levels && !json_equal(c->value[of[k]], c->value[i])) k++;
        if (k == c->levels) of[c->levels++] = i;
    }
    if (numbers) qsort_r(of, (size_t)c->levels, sizeof *of, by_number, c);
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < c->levels; k++)
            if (json_equal(c->value[of[k]], c->value[i])) c->level[i] = k;
}

/* Whether two columns change at the same places. */
static bool move_together(const column *a, const column *b, int rows) {
    if (a->levels != b->levels) return false;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < i; j++)
            if ((a->level[i] == a->level[j]) != (b->level[i] == b->level[j])) return false;
    return true;
}

/* ---- factors ---- */

/* A factor, and the levels of the rows in it. */
static void add_factor(nl_factors *f, const column *c, const int *of) {
    nl_factor *factor = &f->list[f->n++];
    *factor = (nl_factor){.key = c->key, .levels = c->levels};
    factor->names = nl_alloc((size_t)c->levels, sizeof *factor->names, "levels");
    bool told_apart = true;
    for (int k = 0; k < c->levels; k++) {
        value_text(factor->names[k], c->value[of[k]]);
        for (int i = 0; i < k; i++)
            told_apart = told_apart && strcmp(factor->names[i], factor->names[k]) != 0;
    }
    for (int k = 0; k < c->levels && !told_apart; k++) /* long lists, as of layers */
        snprintf(factor->names[k], NL_LEVEL_TEXT, "no. %d", k + 1);
}

static void add_companion(nl_factor *factor, const char *key) {
    const size_t used = strlen(factor->with);
    snprintf(factor->with + used, sizeof factor->with - used, "%s%s", used ? ", " : "", key);
}

/* Puts each row into its cell; false: a cell stays empty, or holds two. */
static bool fill_cells(nl_factors *f, const column *columns, int rows) {
    f->cells = 1;
    for (int k = 0; k < f->n; k++) {
        if (f->list[k].levels > rows / f->cells) return false;
        f->cells *= f->list[k].levels;
    }
    if (f->cells != rows) return false;
    f->row = nl_alloc((size_t)rows, sizeof *f->row, "cells");
    for (int i = 0; i < rows; i++) f->row[i] = -1;
    for (int i = 0; i < rows; i++) {
        int cell = 0;
        for (int k = 0; k < f->n; k++) cell = cell * f->list[k].levels + columns[k].level[i];
        if (f->row[cell] >= 0) return false;
        f->row[cell] = i;
    }
    return true;
}

void nl_factors_free(nl_factors *f) {
    for (int i = 0; i < f->n; i++) free(f->list[i].names);
    free(f->row);
    free(f->seeds);
    free(f->terms);
    free(f->effects);
    *f = (nl_factors){0};
}

int nl_factors_level(const nl_factors *f, int cell, int factor) {
    for (int k = f->n - 1; k > factor; k--) cell /= f->list[k].levels;
    return cell % f->list[factor].levels;
}

/* ---- the study ---- */

/* Runs that differ in more than their configs make no grid: what is between them is no effect of a
 * key. Every row is held against the first. */
static bool is_comparable(const nl_figures *s) {
    for (int i = 0; i < s->n_rows; i++)
        if (!s->rows[i].variant->has_config) return false;
    for (int i = 1; i < s->n_rows; i++) {
        const nl_pair *p = nl_pair_of(s, 0, i);
        if (!p->compared) return false;
        for (int k = 0; k < p->differ.n; k++)
            if (strcmp(p->differ.names[k], NL_DIFFER_LIMIT) == 0 ||
                strcmp(p->differ.names[k], NL_DIFFER_INIT) == 0)
                return false;
    }
    return true;
}

/* The keys that differ anywhere, in the order of the table; model.layers is behind it. */
static int keys_that_differ(const char *keys[NL_MAX_KEYS + 1], const nl_figures *s) {
    nl_differences all = {0};
    int n = 0;
    for (int i = 1; i < s->n_rows; i++) {
        nl_differences d;
        nl_runs_differ(&d, &s->rows[0].variant->config, &s->rows[i].variant->config, NULL, NULL);
        for (int k = 0; k < d.n; k++) nl_differences_add(&all, d.names[k]);
    }
    for (int i = 0; i <= nl_config_key_count; i++)
        for (int k = 0; k < all.n; k++) {
            const bool listed = nl_key_find(nl_config_keys, nl_config_key_count, all.names[k]) >= 0;
            if (i < nl_config_key_count ? strcmp(all.names[k], nl_config_keys[i].name) == 0
                                        : !listed)
                keys[n++] = all.names[k];
        }
    return n;
}

/* A column of f's own for each factor, in f's order, is left in columns. */
static bool find_factors(nl_factors *f, column *columns, const char *const *keys, int n_keys,
                         json_t *const *configs, int rows) {
    int *of = nl_alloc((size_t)rows, sizeof *of, "levels");
    bool fits = true;
    for (int k = 0; k < n_keys; k++) /* what it does to the spread is told elsewhere */
        fits = fits && strcmp(keys[k], "train.vary") != 0;
    for (int k = 0; k < n_keys && fits; k++) {
        column *c = &columns[f->n];
        int same = 0;
        c->key = keys[k];
        for (int i = 0; i < rows; i++) c->value[i] = value_at(configs[i], keys[k]);
        find_levels(c, of, rows);
        while (same < f->n && !move_together(&columns[same], c, rows)) same++;
        fits = same < f->n || f->n < NL_FACTORS;
        if (same < f->n)
            add_companion(&f->list[same], keys[k]);
        else if (fits)
            add_factor(f, c, of);
    }
    free(of);
    return fits && f->n >= 2 && fill_cells(f, columns, rows);
}

void nl_grid_find(nl_factors *f, const nl_figures *s) {
    const char *keys[NL_MAX_KEYS + 1];
    column columns[NL_FACTORS + 1]; /* and one to try */
    const int rows = s->n_rows;
    *f = (nl_factors){0};
    if (rows < 4 || !is_comparable(s)) return;
    const int n_keys = keys_that_differ(keys, s);
    json_t **configs = nl_alloc((size_t)rows, sizeof(json_t *), "configs");
    for (int i = 0; i < rows; i++) configs[i] = nl_config_to_json(&s->rows[i].variant->config);
    for (int k = 0; k <= NL_FACTORS; k++) {
        columns[k].value = nl_alloc((size_t)rows, sizeof(json_t *), "values");
        columns[k].level = nl_alloc((size_t)rows, sizeof(int), "levels");
    }
    if (!find_factors(f, columns, keys, n_keys, configs, rows)) nl_factors_free(f);
    for (int k = 0; k <= NL_FACTORS; k++) {
        free(columns[k].value);
        free(columns[k].level);
    }
    for (int i = 0; i < rows; i++) json_decref(configs[i]);
    free(configs);
}
