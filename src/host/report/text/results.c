/* results.json: every run's end, curve and final figures and every comparison in one file, to be
 * kept with a study when its run folder, with the weights, is not. More seeds are added by training
 * into the same folder.
 */
#include <jansson.h> // json_pack
#include <stdio.h>   // fprintf
#include <stdlib.h>  // free

#include "base/number.h" // nl_json_number
#include "findings.h"
#include "normlab/checkpoint.h" // nl_file_write
#include "normlab/commit.h"     // nl_commit
#include "report/runs/runs.h"
#include "stats/spread.h" // nl_spread_rows

static json_t *point_json(const nl_point *p) {
    return json_pack("{s:o, s:o, s:o, s:o}", "train_loss", nl_json_number(p->train_loss),
                     "train_accuracy", nl_json_number(p->train_accuracy), "test_loss",
                     nl_json_number(p->test_loss), "test_accuracy",
                     nl_json_number(p->test_accuracy));
}

static json_t *one_run(const nl_seed_run *run) {
    json_t *epochs = json_array();
    for (int i = 0; i < run->n_points; i++) {
        json_t *point = point_json(&run->points[i]);
        json_object_set_new(point, "seconds", nl_json_number(run->points[i].seconds));
        json_array_append_new(epochs, point);
    }
    json_t *failure = json_object_get(run->info, "failure");
    return json_pack("{s:I, s:s, s:O?, s:b, s:o, s:o}", "seed", (json_int_t)run->seed, "end",
                     nl_run_end_name(run->end), "failure",
                     run->end == NL_END_FAILED ? failure : NULL, "recorded", run->info != NULL,
                     "final", run->finished ? point_json(&run->final) : json_null(), "epochs",
                     epochs);
}

/* One line a run: easy to read, and a line more for a seed more. */
static void write_runs(FILE *out, const nl_variant *variant) {
    json_t *name = json_string(variant->name);
    json_dumpf(name, out, JSON_ENCODE_ANY);
    json_decref(name);
    fputs(": [", out);
    for (int i = 0; i < variant->n_runs; i++) {
        json_t *run = one_run(&variant->runs[i]);
        fputs(i ? ",\n  " : "\n  ", out);
        NL_ASSERT(json_dumpf(run, out, JSON_COMPACT | JSON_REAL_PRECISION(8)) == 0);
        json_decref(run);
    }
    fputs("\n]", out);
}

/* ---- comparisons ---- */

static json_t *keys_of(const nl_differences *d) {
    json_t *keys = json_array();
    for (int i = 0; i < d->n; i++) json_array_append_new(keys, json_string(d->names[i]));
    return keys;
}

static json_t *one_comparison(const nl_figures *s, const nl_pair *p, nl_metric metric) {
    static const char *const verdicts[] = {"open", "a", "b", "equal"};
    const nl_comparison *c = &p->by[metric];
    return json_pack(
        "{s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:s, s:o, s:o, s:o}",
        "a", s->rows[p->a].variant->name, "b", s->rows[p->b].variant->name, "metric",
        nl_metric_words_of[metric].name, "seeds", c->paired.n, "difference",
        nl_json_number(c->paired.mean), "sd", nl_json_number(c->paired.sd), "low",
        nl_json_number(c->paired.low), "high", nl_json_number(c->paired.high), "p",
        nl_json_number(c->paired.p), "p_sign_flip", nl_json_number(c->sign_flip), "p_holm",
        nl_json_number(c->holm), "p_equivalent", nl_json_number(c->equivalent), "margin", c->margin,
        "verdict", verdicts[c->verdict], "seeds_needed",
        c->seeds > 0 ? json_integer(c->seeds) : json_null(), "a_better",
        nl_json_number(c->a_better), "differ_in", keys_of(&p->differ));
}

/* ---- what makes the spread ---- */

static json_t *one_spread(const nl_row *r, nl_metric metric) {
    const nl_sample *s = metric == NL_METRIC_LOSS ? &r->loss : &r->accuracy;
    const nl_interval range = nl_stats_sd_interval(s->sd, s->n);
    const char *names[NL_STREAM_DROPOUT];
    const int n = nl_spread_streams(names, r->variant);
    json_t *streams = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(streams, json_string(names[i]));
    return json_pack("{s:s, s:o, s:s, s:i, s:o, s:o, s:o}", "variant", r->variant->name, "vary",
                     streams, "metric", nl_metric_words_of[metric].name, "seeds", s->n, "sd",
                     nl_json_number(s->sd), "low", nl_json_number(range.low), "high",
                     nl_json_number(range.high));
}

/* ---- factors ---- */

/* What of(factors, factor, level) tells of each factor of a term. */
static json_t *of_term(const nl_factors *f, const nl_term *t, const int level[2],
                       json_t *of(const nl_factors *, int, int)) {
    json_t *list = json_array();
    json_array_append_new(list, of(f, t->first, level[0]));
    if (t->second >= 0) json_array_append_new(list, of(f, t->second, level[1]));
    return list;
}

static json_t *key_of(const nl_factors *f, int factor, int level) {
    (void)level;
    return json_string(f->list[factor].key);
}

static json_t *level_of(const nl_factors *f, int factor, int level) {
    return json_string(f->list[factor].names[level]);
}

static const int first_levels[2] = {0, 0};

static json_t *one_factor(const nl_factors *f, int i) {
    json_t *levels = json_array();
    for (int k = 0; k < f->list[i].levels; k++) json_array_append_new(levels, level_of(f, i, k));
    return json_pack("{s:s, s:s, s:o}", "key", f->list[i].key, "with", f->list[i].with, "levels",
                     levels);
}

static json_t *one_term(const nl_factors *f, const nl_term *t, nl_metric metric) {
    return json_pack("{s:o, s:s, s:o, s:i, s:i, s:o, s:o}", "keys",
                     of_term(f, t, first_levels, key_of), "metric", nl_metric_words_of[metric].name,
                     "f", nl_json_number(t->f[metric]), "df", t->df, "df_rest", t->df_rest, "p",
                     nl_json_number(t->p[metric]), "p_holm", nl_json_number(t->holm[metric]));
}

static json_t *one_effect(const nl_factors *f, const nl_effect *e, nl_metric metric) {
    const nl_term *t = &f->terms[e->term];
    const nl_paired *r = &e->by[metric];
    return json_pack(
        "{s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "keys",
        of_term(f, t, first_levels, key_of), "levels", of_term(f, t, e->level, level_of), "base",
        of_term(f, t, first_levels, level_of), "metric", nl_metric_words_of[metric].name,
        "difference", nl_json_number(r->mean), "sd", nl_json_number(r->sd), "low",
        nl_json_number(r->low), "high", nl_json_number(r->high), "p", nl_json_number(r->p),
        "p_holm", nl_json_number(e->holm[metric]));
}

static json_t *all_factors(const nl_factors *f) {
    json_t *factors = json_array(), *seeds = json_array();
    json_t *terms = json_array(), *effects = json_array();
    for (int i = 0; i < f->n; i++) json_array_append_new(factors, one_factor(f, i));
    for (int i = 0; i < f->n_seeds; i++) json_array_append_new(seeds, json_integer(f->seeds[i]));
    for (int i = 0; i < NL_METRICS * f->n_terms; i++)
        json_array_append_new(terms,
                              one_term(f, &f->terms[i / NL_METRICS], (nl_metric)(i % NL_METRICS)));
    for (int i = 0; i < NL_METRICS * f->n_effects; i++)
        json_array_append_new(
            effects, one_effect(f, &f->effects[i / NL_METRICS], (nl_metric)(i % NL_METRICS)));
    return json_pack("{s:o, s:o, s:o, s:o}", "factors", factors, "seeds", seeds, "terms", terms,
                     "effects", effects);
}

/* ---- the file ---- */

static void write_line(FILE *out, json_t *value) {
    NL_ASSERT(value && json_dumpf(value, out, JSON_COMPACT | JSON_REAL_PRECISION(12)) == 0);
    json_decref(value);
}

/* Of a study that asks for it alone. */
static void write_spread(FILE *out, const nl_figures *figures) {
    int *rows = nl_alloc((size_t)figures->n_rows, sizeof *rows, "variants");
    const int n = NL_METRICS * nl_spread_rows(rows, figures);
    for (int i = 0; i < n; i++) {
        fputs(i ? ",\n  " : "\"spread\": [\n  ", out);
        write_line(out,
                   one_spread(&figures->rows[rows[i / NL_METRICS]], (nl_metric)(i % NL_METRICS)));
    }
    if (n > 0) fputs("\n],\n", out);
    free(rows);
}

static void write_factors(FILE *out, const nl_factors *factors) {
    if (factors->n == 0) return;
    fputs("\"factors\": ", out);
    write_line(out, all_factors(factors));
    fputs(",\n", out);
}

int nl_results_write(const nl_folder *folder, const nl_figures *figures, const char *path,
                     nl_error *err) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = nl_text_open(&text, &size);
    fputs("{\"runs\": {", out);
    for (int i = 0; i < folder->n_variants; i++) {
        fputs(i ? ",\n" : "\n", out);
        write_runs(out, &folder->variants[i]);
    }
    fputs("\n},\n\"pairs\": [", out);
    for (int i = 0; i < NL_METRICS * figures->n_pairs; i++) {
        fputs(i ? ",\n  " : "\n  ", out);
        write_line(out, one_comparison(figures, &figures->pairs[i / NL_METRICS],
                                       (nl_metric)(i % NL_METRICS)));
    }
    fputs("\n],\n", out);
    write_spread(out, figures);
    write_factors(out, &figures->factors);
    fprintf(out, "\"commit\": \"%s\", \"version\": \"%s\"}\n", nl_commit(), NL_VERSION);
    nl_text_close(out);
    const int code = nl_file_write(path, text, size, err);
    free(text);
    return code;
}
