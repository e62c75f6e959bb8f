/* The tables of the findings, from the summary's figures to text. */
#include <math.h>   // isnan, fabs
#include <stdlib.h> // free

#include "normlab/differences.h" // nl_differences
#include "normlab/run_files.h"   // NL_FILE_RUN
#include "findings.h"
#include "report/runs/runs.h"

static const char *name_of(const nl_summary *s, int row) {
    return s->rows[row].variant->name;
}

/* ---- variants ---- */

static void seeded(nl_table *table, double value, uint32_t seed, int n) {
    if (n == 0)
        nl_table_add(table, "–");
    else
        nl_table_add(table, "%.2f (%u)", value, seed);
}

static void results(nl_table *table, const nl_summary *s) {
    static const char *const head[] = {
        "variant",      ">seeds",        ">test %",    ">sd",      ">95 % interval", "of",
        ">best (seed)", ">worst (seed)", ">test loss", ">train %", ">train loss",    ">parameters"};
    *table = (nl_table){.head = head, .columns = 12};
    for (int i = 0; i < s->n_rows; i++) {
        const nl_row *r = &s->rows[i];
        const bool many = r->accuracy.n > 1, none = many && isnan(r->accuracy.low);
        nl_table_add(table, "%s", r->variant->name);
        if (r->accuracy.n == r->variant->n_runs)
            nl_table_add(table, "%d", r->accuracy.n);
        else
            nl_table_add(table, "%d of %d", r->accuracy.n, r->variant->n_runs);
        nl_table_add(table, "%s", nl_fixed(r->accuracy.mean, 2).text);
        nl_table_add(table, "%s", nl_fixed(r->accuracy.sd, 3).text);
        nl_table_add(table, "%s",
                     many ? nl_range(r->accuracy.low, r->accuracy.high, 2).text
                          : nl_range(r->images.low, r->images.high, 2).text);
        nl_table_add(table, "%s", none || r->accuracy.n == 0 ? "–" : many ? "seeds" : "images");
        seeded(table, r->accuracy.max, r->best, r->accuracy.n);
        seeded(table, r->accuracy.min, r->worst, r->accuracy.n);
        nl_table_add(table, "%s", nl_fixed(r->loss.mean, 4).text);
        nl_table_add(table, "%s", nl_fixed(r->train_accuracy.mean, 2).text);
        nl_table_add(table, "%s", nl_fixed(r->train_loss.mean, 4).text);
        nl_table_add(table, "%s", r->params ? nl_thousands(r->params).text : "–");
    }
}

static void times(nl_table *table, const nl_summary *s) {
    static const char *const head[] = {"variant",  ">reached by",       ">epochs",
                                       ">seconds", ">seconds an epoch", ">images a second"};
    *table = (nl_table){.head = head, .columns = 6};
    for (int i = 0; i < s->n_rows; i++) {
        const nl_row *r = &s->rows[i];
        nl_table_add(table, "%s", r->variant->name);
        nl_table_add(table, "%d of %d", r->reached, r->variant->n_runs);
        nl_table_add(table, "%s", nl_fixed(r->epochs.mean, 1).text);
        nl_table_add(table, "%s", nl_fixed(r->seconds.mean, 1).text);
        nl_table_add(table, "%s", nl_fixed(r->epoch_seconds.mean, 2).text);
        nl_table_add(table, "%s",
                     fabs(r->speed.mean) < 1e18 ? nl_thousands((long long)r->speed.mean).text
                                                : "–");
    }
}

static void one_run(nl_table *table, const nl_variant *v, const nl_seed_run *run) {
    static const nl_point none = {
        .test_accuracy = NAN, .test_loss = NAN, .train_accuracy = NAN, .train_loss = NAN};
    const nl_point *p = run->finished       ? &run->final
                        : run->n_points > 0 ? &run->points[run->n_points - 1]
                                            : &none;
    nl_table_add(table, "%s", v->name);
    nl_table_add(table, "%u", run->seed);
    nl_table_add(table, "%d", run->n_points);
    nl_table_add(table, "%s", nl_fixed(p->test_accuracy, 2).text);
    nl_table_add(table, "%s", nl_fixed(p->test_loss, 4).text);
    nl_table_add(table, "%s", nl_fixed(p->train_accuracy, 2).text);
    nl_table_add(table, "%s", nl_fixed(p->train_loss, 4).text);
    nl_table_add(table, "%s%s", nl_run_end_text(run).text, run->info ? "" : "; no " NL_FILE_RUN);
}

static void runs(nl_table *table, const nl_summary *s) {
    static const char *const head[] = {"variant",    ">seed",    ">epochs",     ">test %",
                                       ">test loss", ">train %", ">train loss", "state"};
    *table = (nl_table){.head = head, .columns = 8};
    for (int i = 0; i < s->n_rows; i++)
        for (int j = 0; j < s->rows[i].variant->n_runs; j++)
            one_run(table, s->rows[i].variant, &s->rows[i].variant->runs[j]);
}

/* ---- pairs ---- */

static void pairs(nl_table *table, const nl_summary *s) {
    static const char *const head[] = {"pair", ">seeds",   ">difference, points", ">95 % interval",
                                       ">p",   ">p, Holm", ">seeds to settle",    "differ in"};
    *table = (nl_table){.head = head, .columns = 8};
    for (int i = 0; i < s->n_pairs; i++) {
        const nl_pair *p = &s->pairs[i];
        if (p->paired.n == 0 && p->compared) continue;
        nl_table_add(table, "%s − %s", name_of(s, p->a), name_of(s, p->b));
        nl_table_add(table, "%d", p->paired.n);
        nl_table_add(table, "%s%s", p->paired.mean >= 0 ? "+" : "",
                     nl_fixed(p->paired.mean, 3).text);
        nl_table_add(table, "%s", nl_range(p->paired.low, p->paired.high, 3).text);
        nl_table_add(table, "%s", nl_p(p->paired.p).text);
        nl_table_add(table, "%s", nl_p(p->holm).text);
        if (p->holm < NL_LEVEL)
            nl_table_add(table, "settled");
        else if (p->seeds == 0)
            nl_table_add(table, "–");
        else if (p->seeds > 1000)
            nl_table_add(table, "> 1,000");
        else
            nl_table_add(table, "%d", p->seeds);
        char *keys = nl_differences_text(&p->differ, p->differ.n);
        nl_table_add(table, "%s", p->differ.n > 0 ? keys : p->known ? "nothing" : "–");
        free(keys);
    }
}

static void images(nl_table *table, const nl_summary *s) {
    static const char *const head[] = {
        "pair", ">seed", ">only the first errs", ">only the second errs", ">p, exact", ">p, mid"};
    *table = (nl_table){.head = head, .columns = 6};
    for (int i = 0; i < s->n_pairs; i++) {
        const nl_pair *p = &s->pairs[i];
        if (!p->has_images) continue;
        nl_table_add(table, "%s, %s", name_of(s, p->a), name_of(s, p->b));
        nl_table_add(table, "%u", p->image_seed);
        nl_table_add(table, "%u", p->images.only_a);
        nl_table_add(table, "%u", p->images.only_b);
        nl_table_add(table, "%s", nl_p(p->images.exact).text);
        nl_table_add(table, "%s", nl_p(p->images.mid).text);
    }
}

/* ---- all of them ---- */

static const nl_finding parts[NL_TABLE_COUNT] = {
    {"results",
     "Results",
     "The last weights of each run, in evaluation mode; the train images rotated as in "
     "training. Seeds: those that finished, of all that were started. With several seeds the "
     "interval "
     "is Student's, for the mean over seeds, cut at 0 and 100; with one seed it is Wilson's, for "
     "the chance of the drawn test images alone.",
     {0}},
    {"time",
     "Time to 99 %",
     "Until the first epoch with 99 % test accuracy, as the mean of the seeds that came there; "
     "seconds of training alone, without evaluation.",
     {0}},
    {"pairs",
     "Comparisons over seeds",
     "Differences of the final test accuracy, paired by seed; p of the paired t test, from three "
     "seeds on, and adjusted for the number of pairs (Holm). 'Seeds to settle' would show a true "
     "difference "
     "of the size seen here in four of five studies, with the level shared among the pairs; it "
     "is only as good as the seeds it is computed from.",
     {0}},
    {"images",
     "Comparisons by image",
     "McNemar's test on the test images that exactly one of the two gets wrong, on one seed. "
     "It "
     "says something about these two sets of weights, nothing about another seed.",
     {0}},
    {"parity",
     "Parity with the original",
     "The original's figures are single runs; the range is what the mean of ten seeds of the "
     "same recipe has to meet.",
     {0}},
    {"runs",
     "All runs",
     "Every seed that was started. Of one that did not finish: its newest epoch, with the train "
     "figures of that epoch's training mode. It counts in no figure above, unless its variant has "
     "no finished run, and then only in the curves. Epochs and steps of a failure count from 0.",
     {0}}};

void nl_findings_tables(nl_findings *findings, const nl_summary *summary) {
    for (int i = 0; i < NL_TABLE_COUNT; i++) findings->parts[i] = parts[i];
    results(&findings->parts[NL_TABLE_RESULTS].table, summary);
    times(&findings->parts[NL_TABLE_TIME].table, summary);
    pairs(&findings->parts[NL_TABLE_PAIRS].table, summary);
    images(&findings->parts[NL_TABLE_IMAGES].table, summary);
    nl_findings_parity(&findings->parts[NL_TABLE_PARITY].table, summary);
    runs(&findings->parts[NL_TABLE_RUNS].table, summary);
}
