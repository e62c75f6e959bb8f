/* Of a study that is a grid: its factors, their tables and what is settled of their effects. */
#include <math.h>   // isnan
#include <stdio.h>  // fprintf
#include <stdlib.h> // free
#include <string.h> // strrchr

#include "normlab/run_files.h" // NL_REPORT_EFFECTS
#include "findings.h"

enum { most_effects = 12 }; /* sentences a metric */

/* ---- names ---- */

static const char *last_name(const char *key) {
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

nl_effect_name nl_effect_name_of(const nl_factors *f, const nl_effect *e) {
    nl_effect_name name = {""};
    const nl_term *t = &f->terms[e->term];
    const int factor[2] = {t->first, t->second};
    size_t used = 0;
    for (int k = 0; k < 2 && factor[k] >= 0; k++) {
        const nl_factor *of = &f->list[factor[k]];
        used += (size_t)snprintf(name.text + used, sizeof name.text - used, "%s%s: %s − %s",
                                 k ? " × " : "", last_name(of->key), of->names[e->level[k]],
                                 of->names[0]);
    }
    return name;
}

/* "data.batch (with train.lr)" */
static char *factor_name(const nl_factor *factor) {
    char *name = NULL;
    NL_NEED(asprintf(&name, "%s%s%s%s", factor->key, factor->with[0] ? " (with " : "", factor->with,
                     factor->with[0] ? ")" : "") >= 0);
    return name;
}

/* ---- tables ---- */

void nl_findings_terms(nl_table *table, const nl_figures *s) {
    static const char *const head[] = {"factor",       ">df", ">df of the rest",
                                       ">F, accuracy", ">p",  ">p, Holm",
                                       ">F, loss",     ">p",  ">p, Holm"};
    const nl_factors *f = &s->factors;
    *table = (nl_table){.head = head, .columns = 9};
    for (int i = 0; i < f->n_terms; i++) {
        const nl_term *t = &f->terms[i];
        char *first = factor_name(&f->list[t->first]);
        char *second = t->second < 0 ? NULL : factor_name(&f->list[t->second]);
        nl_table_add(table, "%s%s%s", first, second ? " × " : "", second ? second : "");
        nl_table_add(table, "%d", t->df);
        nl_table_add(table, "%d", t->df_rest);
        for (int m = 0; m < NL_METRICS; m++) {
            nl_table_add(table, "%s", nl_fixed(t->f[m], 2).text);
            nl_table_add(table, "%s", nl_p(t->p[m]).text);
            nl_table_add(table, "%s", nl_p(t->holm[m]).text);
        }
        free(first);
        free(second);
    }
}

void nl_findings_effects(nl_table *table, const nl_figures *s) {
    static const char *const head[] = {"effect",         ">accuracy, points",
                                       ">95 % interval", ">p",
                                       ">p, Holm",       ">loss",
                                       ">95 % interval", ">p",
                                       ">p, Holm"};
    const nl_factors *f = &s->factors;
    *table = (nl_table){.head = head, .columns = 9};
    for (int i = 0; i < f->n_effects; i++) {
        const nl_effect *e = &f->effects[i];
        nl_table_add(table, "%s", nl_effect_name_of(f, e).text);
        for (int m = 0; m < NL_METRICS; m++) {
            const int decimals = nl_metric_words_of[m].decimals;
            const nl_paired *r = &e->by[m];
            nl_table_add(table, "%s%s", r->mean >= 0 ? "+" : "", nl_fixed(r->mean, decimals).text);
            nl_table_add(table, "%s", nl_range(r->low, r->high, decimals).text);
            nl_table_add(table, "%s", nl_p(r->p).text);
            nl_table_add(table, "%s", nl_p(e->holm[m]).text);
        }
    }
}

/* ---- words ---- */

/* What the grid is made of: "model.norm (batch, layer), train.l1 (0, 0.001)". */
static char *all_factors(const nl_factors *f) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = nl_text_open(&text, &size);
    for (int i = 0; i < f->n; i++) {
        char *name = factor_name(&f->list[i]);
        fprintf(out, "%s%s: ", i ? "; " : "", name);
        for (int k = 0; k < f->list[i].levels; k++)
            fprintf(out, "%s%s", k ? ", " : "", f->list[i].names[k]);
        free(name);
    }
    nl_text_close(out);
    return text;
}

static void effect(nl_lines *words, const nl_factors *f, const nl_effect *e, nl_metric metric) {
    const nl_term *t = &f->terms[e->term];
    const nl_factor *first = &f->list[t->first], *second = &f->list[t->second < 0 ? 0 : t->second];
    const nl_metric_words *m = &nl_metric_words_of[metric];
    const nl_paired *r = &e->by[metric];
    char figures[200];
    snprintf(figures, sizeof figures, "%+.*f%s (95 %% interval %+.*f to %+.*f, p after Holm %s)",
             m->decimals, r->mean, m->unit, m->decimals, r->low, m->decimals, r->high,
             nl_p(e->holm[metric]).text);
    if (t->second < 0)
        nl_lines_add(words, "Effect of %s %s instead of %s on test %s, over all the rest: %s.",
                     first->key, first->names[e->level[0]], first->names[0], m->name, figures);
    else
        nl_lines_add(words,
                     "From %s %s to %s the effect of %s %s instead of %s on test %s changes by %s.",
                     first->key, first->names[0], first->names[e->level[0]], second->key,
                     second->names[e->level[1]], second->names[0], m->name, figures);
}

static void settled(nl_lines *words, const nl_factors *f, nl_metric metric) {
    int told = 0, count = 0;
    for (int i = 0; i < f->n_effects; i++) {
        if (!(f->effects[i].holm[metric] < NL_LEVEL)) continue;
        if (told < most_effects) {
            effect(words, f, &f->effects[i], metric);
            told++;
        }
        count++;
    }
    nl_lines_add(words, "%d of %d effects on test %s %s settled at the 5 %% level%s.", count,
                 f->n_effects, nl_metric_words_of[metric].name, count == 1 ? "is" : "are",
                 told < count ? "; those not told here stand in the table" : "");
}

/* With few seeds the pooled test sees more. */
static void pooled(nl_lines *words, const nl_factors *f, nl_metric metric) {
    char *text = NULL;
    size_t size = 0;
    int count = 0;
    FILE *out = nl_text_open(&text, &size);
    for (int i = 0; i < f->n_terms; i++) {
        const nl_term *t = &f->terms[i];
        if (!(t->holm[metric] < NL_LEVEL)) continue;
        fprintf(out, "%s%s%s%s (p after Holm %s)", count++ ? ", " : "", f->list[t->first].key,
                t->second < 0 ? "" : " × ", t->second < 0 ? "" : f->list[t->second].key,
                nl_p(t->holm[metric]).text);
    }
    nl_text_close(out);
    if (count > 0)
        nl_lines_add(words,
                     "If all variants spread alike over seeds, so that their spread may be pooled, "
                     "test %s depends on: %s.",
                     nl_metric_words_of[metric].name, text);
    free(text);
}

void nl_findings_factors(nl_lines *words, const nl_figures *s) {
    const nl_factors *f = &s->factors;
    if (f->n == 0) return;
    char *text = all_factors(f);
    nl_lines_add(words,
                 "The %d variants are a grid of %d factors (%s), with %d seed%s that all of "
                 "them finished.",
                 f->cells, f->n, text, f->n_seeds, f->n_seeds == 1 ? "" : "s");
    free(text);
    if (f->n_seeds < NL_SEEDS_TO_TEST) {
        nl_lines_add(words, "Of its effects nothing is settled: that takes three seeds.");
        return;
    }
    for (int m = 0; m < NL_METRICS; m++) {
        settled(words, f, (nl_metric)m);
        pooled(words, f, (nl_metric)m);
    }
    nl_lines_add(words,
                 "All effects with their intervals in one picture: " NL_REPORT_EFFECTS ".png.");
}
