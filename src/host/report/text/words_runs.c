/* The findings on the runs themselves: which of them count and which do not, and why. */
#include <stdio.h>  // fprintf
#include <stdlib.h> // free

#include "normlab/differences.h" // nl_differences
#include "normlab/run_files.h"   // NL_FILE_RUN
#include "findings.h"
#include "report/runs/runs.h"

/* "1 of 3 seeds finished, and its figures are of that one; seed 2 failed ..." */
static void endings(nl_lines *words, const nl_variant *v) {
    enum { most = 12 };
    char *text = NULL;
    size_t size = 0;
    int told = 0;
    const int left = v->n_runs - v->n_finished;
    if (left == 0) return;
    FILE *out = nl_text_open(&text, &size);
    for (int i = 0; i < v->n_runs && told < most; i++) {
        if (v->runs[i].finished) continue;
        fprintf(out, "; seed %u: %s", v->runs[i].seed, nl_run_end_text(&v->runs[i]).text);
        told++;
    }
    if (told < left) fprintf(out, "; and %d more", left - told);
    nl_text_close(out);
    if (v->n_runs == 1)
        nl_lines_add(words, "%s: the only seed that was started did not finish%s.", v->name, text);
    else if (v->n_finished == 0)
        nl_lines_add(words, "%s: none of the %d seeds that were started finished%s.", v->name,
                     v->n_runs, text);
    else
        nl_lines_add(words,
                     "%s: %d of the %d seeds that were started finished, and its figures are of "
                     "%s alone%s.",
                     v->name, v->n_finished, v->n_runs, v->n_finished == 1 ? "that one" : "those",
                     text);
    free(text);
}

/* Seeds of one name that are of another config or other data. */
static void apart(nl_lines *words, const nl_variant *v) {
    if (!v->apart) return;
    char *text = NULL;
    size_t size = 0;
    FILE *out = nl_text_open(&text, &size);
    for (int i = 0; i < v->n_runs; i++) fprintf(out, "%s%u", i ? ", " : "", v->runs[i].seed);
    nl_text_close(out);
    nl_lines_add(words,
                 "Runs of %s do not belong together: seed%s %s differ%s from the others in %s and "
                 "stand%s apart as %s.",
                 v->of, v->n_runs == 1 ? "" : "s", text, v->n_runs == 1 ? "s" : "", v->apart,
                 v->n_runs == 1 ? "s" : "", v->name);
    free(text);
}

/* What is no reason to keep seeds apart, but worth knowing; and runs without run.json. */
static void notes(nl_lines *words, const nl_variant *v) {
    nl_differences all = {0};
    int untold = 0;
    const nl_seed_run *first = NULL;
    for (int i = 0; i < v->n_runs; i++) {
        nl_differences d;
        untold += v->runs[i].info == NULL;
        if (!first && v->runs[i].info) first = &v->runs[i];
        if (!first) continue;
        nl_runs_differ(&d, NULL, NULL, first->info, v->runs[i].info);
        for (int k = d.n_apart; k < d.n; k++) nl_differences_add(&all, d.names[k]);
    }
    char *names = nl_differences_text(&all, all.n);
    if (all.n > 0) nl_lines_add(words, "%s: its runs differ in %s.", v->name, names);
    free(names);
    if (untold > 0)
        nl_lines_add(words,
                     "%s: %d of %d runs without " NL_FILE_RUN
                     "; name and seed are those of the folder, "
                     "config and data unknown.",
                     v->name, untold, v->n_runs);
}

void nl_findings_runs(nl_lines *words, const nl_figures *s) {
    for (int i = 0; i < s->n_rows; i++) apart(words, s->rows[i].variant);
    for (int i = 0; i < s->n_rows; i++) endings(words, s->rows[i].variant);
    for (int i = 0; i < s->n_rows; i++) notes(words, s->rows[i].variant);
}
