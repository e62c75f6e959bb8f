/* The tables of the findings, from the figures to text. */
#include <math.h>   // isnan, fabs
#include <stdlib.h> // free, qsort

#include "normlab/differences.h" // nl_differences
#include "normlab/run_files.h"   // NL_FILE_RUN
#include "findings.h"
#include "report/runs/runs.h"

static const char *name_of(const nl_figures *s, int row) {
    return s->rows[row].variant->name;
}

/* ---- variants ---- */

static void seeded(nl_table *table, double value, uint32_t seed, int n) {
    if (n == 0)
        nl_table_add(table, "–");
    else
        nl_table_add(table, "%.2f (%u)", value, seed);
}

static void results(nl_table *table, const nl_figures *s) {
    static const char *const head[] = {
        "variant",        ">seeds",   ">test %",           ">sd",          ">sd by chance",
        ">95 % interval", "of",       ">sd, other images", ">best (seed)", ">worst (seed)",
        ">test loss",     ">train %", ">train loss",       ">parameters"};
    *table = (nl_table){.head = head, .columns = 14};
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
        nl_table_add(table, "%s", nl_fixed(r->chance, 3).text);
        nl_table_add(table, "%s",
                     many ? nl_range(r->accuracy.low, r->accuracy.high, 2).text
                          : nl_range(r->images.low, r->images.high, 2).text);
        nl_table_add(table, "%s", none || r->accuracy.n == 0 ? "–" : many ? "seeds" : "images");
        nl_table_add(table, "%s", nl_fixed(r->binomial, 3).text);
        seeded(table, r->accuracy.max, r->best, r->accuracy.n);
        seeded(table, r->accuracy.min, r->worst, r->accuracy.n);
        nl_table_add(table, "%s", nl_fixed(r->loss.mean, 4).text);
        nl_table_add(table, "%s", nl_fixed(r->train_accuracy.mean, 2).text);
        nl_table_add(table, "%s", nl_fixed(r->train_loss.mean, 4).text);
        nl_table_add(table, "%s", r->params ? nl_thousands(r->params).text : "–");
    }
}

static void times(nl_table *table, const nl_figures *s) {
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

static void runs(nl_table *table, const nl_figures *s) {
    static const char *const head[] = {"variant",    ">seed",    ">epochs",     ">test %",
                                       ">test loss", ">train %", ">train loss", "state"};
    *table = (nl_table){.head = head, .columns = 8};
    for (int i = 0; i < s->n_rows; i++)
        for (int j = 0; j < s->rows[i].variant->n_runs; j++)
            one_run(table, s->rows[i].variant, &s->rows[i].variant->runs[j]);
}

/* ---- pairs ---- */

enum { most_shown = 60 }; /* of more pairs the table shows those that say most */

/* A pair and what it is worth telling: settled ones first, then by p. */
typedef struct ranked {
    double p;
    int pair;
} ranked;

static int by_p(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    return x->p < y->p ? -1 : x->p > y->p ? 1 : x->pair - y->pair;
}

static int by_pair(const void *a, const void *b) {
    return ((const ranked *)a)->pair - ((const ranked *)b)->pair;
}

/* The pairs to be shown, in the order of the study. */
static int choose(ranked *list, const nl_figures *s, nl_metric metric) {
    int n = 0;
    for (int i = 0; i < s->n_pairs; i++) {
        const nl_comparison *c = &s->pairs[i].by[metric];
        if (c->paired.n == 0 && s->pairs[i].compared) continue;
        const double p = fmin(c->holm, c->equivalent); /* a NaN is passed over */
        list[n++] = (ranked){isnan(p) ? 2 : p + (isnan(c->paired.p) ? 0 : 1e-9 * c->paired.p), i};
    }
    if (n <= most_shown) return n;
    qsort(list, (size_t)n, sizeof *list, by_p);
    qsort(list, most_shown, sizeof *list, by_pair);
    return most_shown;
}

static void verdict(nl_table *table, const nl_figures *s, const nl_pair *p, nl_metric metric) {
    const nl_comparison *c = &p->by[metric];
    if (!p->compared)
        nl_table_add(table, "not compared");
    else if (c->verdict == NL_A_BETTER || c->verdict == NL_B_BETTER)
        nl_table_add(table, "%s is better", name_of(s, c->verdict == NL_A_BETTER ? p->a : p->b));
    else if (c->verdict == NL_EQUAL)
        nl_table_add(table, c->holm < NL_LEVEL ? "equal (differ by less)" : "equal");
    else if (c->seeds == 0)
        nl_table_add(table, "open");
    else if (c->seeds > 1000)
        nl_table_add(table, "open: > 1,000 seeds");
    else
        nl_table_add(table, "open: %d seeds", c->seeds);
}

static void pair_row(nl_table *table, const nl_figures *s, const nl_pair *p, nl_metric metric) {
    const nl_comparison *c = &p->by[metric];
    const int decimals = nl_metric_words_of[metric].decimals;
    const nl_two_way images = nl_pair_over_images(s, p, metric);
    nl_table_add(table, "%s − %s", name_of(s, p->a), name_of(s, p->b));
    nl_table_add(table, "%d", c->paired.n);
    nl_table_add(table, "%s%s", c->paired.mean >= 0 ? "+" : "",
                 nl_fixed(c->paired.mean, decimals).text);
    nl_table_add(table, "%s", nl_range(c->paired.low, c->paired.high, decimals).text);
    nl_table_add(table, "%s", nl_range(images.low, images.high, decimals).text);
    nl_table_add(table, "%s", nl_p(c->paired.p).text);
    nl_table_add(table, "%s", nl_p(c->sign_flip).text);
    nl_table_add(table, "%s", nl_p(c->holm).text);
    nl_table_add(table, "%s", nl_p(c->equivalent).text);
    verdict(table, s, p, metric);
    if (isnan(c->a_better))
        nl_table_add(table, "–");
    else
        nl_table_add(table, "%.0f %% (%.0f to %.0f)", 100 * c->a_better,
                     100 * c->a_better_range.low, 100 * c->a_better_range.high);
    char *keys = nl_differences_text(&p->differ, p->differ.n);
    nl_table_add(table, "%s", p->differ.n > 0 ? keys : p->known ? "nothing" : "–");
    free(keys);
}

static void pairs(nl_table *table, const nl_figures *s, nl_metric metric) {
    static const char *const head[NL_METRICS][12] = {
        {"pair", ">seeds", ">difference, points", ">95 % interval", ">seeds and images", ">p",
         ">p, sign flip", ">p, Holm", ">p equal, Holm", "verdict", ">the first is better on",
         "differ in"},
        {"pair", ">seeds", ">difference", ">95 % interval", ">seeds and images", ">p",
         ">p, sign flip", ">p, Holm", ">p equal, Holm", "verdict", ">the first is better on",
         "differ in"}};
    *table = (nl_table){.head = head[metric], .columns = 12};
    ranked *list = nl_alloc((size_t)s->n_pairs, sizeof *list, "pairs to show");
    const int n = choose(list, s, metric);
    for (int i = 0; i < n; i++) pair_row(table, s, &s->pairs[list[i].pair], metric);
    free(list);
}

static void images(nl_table *table, const nl_figures *s) {
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
     "the chance of the drawn test images alone. 'sd by chance': what seeds would spread on these "
     "images if each were right or wrong by a coin of its own, as often as it was. 'sd, other "
     "images' is apart from both: the binomial error of the mean, had as many other images been "
     "drawn.",
     {0}},
    {"time",
     "Time to 99 %",
     "Until the first epoch with 99 % test accuracy, as the mean of the seeds that came there; "
     "seconds of training alone, without evaluation.",
     {0}},
    {"pairs",
     "Comparisons in test accuracy",
     "Differences of the final test accuracy, the primary metric, the first less the second, "
     "paired by seed. Intervals "
     "are Student's and not adjusted: over seeds they speak of this test set, over seeds and "
     "images of other images of the kind as "
     "well. p: the paired t test, from three seeds on; sign "
     "flip, the same without a normal distribution, is a check of it. Adjusted by Holm over all "
     "pairs and both metrics, so that calling any two different that are not has a chance of at "
     "most 5 %, and so has calling any two equal that are not: equal means closer than the "
     "margin (0.05 points and 0.001 of loss unless others were asked for), by two one-sided "
     "tests. Seeds at what is open: to settle a difference of the size seen here in four of five "
     "studies. Of many pairs the 60 that say most are shown; all stand in results.json.",
     {0}},
    {"loss",
     "Comparisons in test loss",
     "The same of the mean cross-entropy an image; lower is better. It also measures confidence: "
     "L1 moves it at equal accuracy.",
     {0}},
    {"spread",
     "What makes the spread",
     "The deviation of the final test figures over seeds where only the random streams that are "
     "named follow the seed and the others keep that of seed 1, with its 95 % chi-square interval, "
     "which takes the figures for normally distributed. These are no shares of a whole: training "
     "is chaotic, and any one stream can bring nearly all of the spread.",
     {0}},
    {"factors",
     "Factors",
     "The variants are a grid: all combinations of the values of these keys. F: what a factor, or "
     "two of them together, explains beside what is left between variants and seeds, with seeds as "
     "blocks; it takes the spread to be the same in all variants, and finds too much where one "
     "spreads several times as far as the rest. Of the seeds that all of them finished.",
     {0}},
    {"effects",
     "Effects",
     "Of a value of a key against the first one, in the mean over all the rest; of two keys "
     "together: how much the effect of one changes with the other. Each is taken seed by seed, "
     "with Student's interval, not adjusted; p adjusted by Holm over all effects and both metrics.",
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
     "same recipe has to meet. Batch norm with L1 is restless while the learning rate is 0.01: "
     "epochs in between fall to 92 %, and in PyTorch, with the same recipe, to 93 %.",
     {0}},
    {"runs",
     "All runs",
     "Every seed that was started. Of one that did not finish: its newest epoch, with the train "
     "figures of that epoch's training mode. It counts in no figure above, unless its variant has "
     "no finished run, and then only in the curves. Epochs and steps of a failure count from 0.",
     {0}}};

void nl_findings_tables(nl_findings *findings, const nl_figures *figures) {
    for (int i = 0; i < NL_TABLE_COUNT; i++) findings->parts[i] = parts[i];
    results(&findings->parts[NL_TABLE_RESULTS].table, figures);
    times(&findings->parts[NL_TABLE_TIME].table, figures);
    pairs(&findings->parts[NL_TABLE_PAIRS].table, figures, NL_METRIC_ACCURACY);
    pairs(&findings->parts[NL_TABLE_LOSS].table, figures, NL_METRIC_LOSS);
    nl_findings_spread(&findings->parts[NL_TABLE_SPREAD].table, figures);
    nl_findings_terms(&findings->parts[NL_TABLE_FACTORS].table, figures);
    nl_findings_effects(&findings->parts[NL_TABLE_EFFECTS].table, figures);
    images(&findings->parts[NL_TABLE_IMAGES].table, figures);
    nl_findings_parity(&findings->parts[NL_TABLE_PARITY].table, figures);
    runs(&findings->parts[NL_TABLE_RUNS].table, figures);
}
