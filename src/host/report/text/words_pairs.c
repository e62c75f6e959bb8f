/* The comparisons in plain words. Each sentence says what the figures carry and no more: a
 * difference is settled when the paired test holds after Holm's adjustment, equality when the two
 * one-sided tests do, and what is open comes with the number of seeds that would settle it.
 */
#include <math.h>   // fabs, isnan
#include <stdio.h>  // snprintf
#include <stdlib.h> // free

#include "normlab/differences.h" // nl_differences
#include "normlab/run_files.h"   // NL_REPORT_RESULTS
#include "findings.h"

enum { most_pairs = 15 }; /* of more, only what is settled gets a sentence each, and not of all */

static const char *name_of(const nl_figures *s, int row) {
    return s->rows[row].variant->name;
}

/* ---- settled ---- */

/* " With other images too: +0.1 to +0.3." of a - b, or turned to the one that is ahead. */
static void over_images(char *text, size_t size, const nl_figures *s, const nl_pair *p,
                        nl_metric metric, double sign) {
    const nl_two_way r = nl_pair_over_images(s, p, metric);
    text[0] = '\0';
    if (isnan(r.low)) return;
    const double low = sign < 0 ? -r.high : r.low, high = sign < 0 ? -r.low : r.high;
    const int decimals = nl_metric_words_of[metric].decimals;
    snprintf(text, size, " Over other seeds and other images of the kind: %+.*f to %+.*f%s.",
             decimals, low, decimals, high,
             low > 0 || high < 0 ? "" : ", which leaves it open there");
}

static void different(nl_lines *words, const nl_figures *s, const nl_pair *p, nl_metric metric) {
    static const char *const ahead[NL_METRICS] = {"is ahead of", "has a lower test loss than"};
    const nl_comparison *c = &p->by[metric];
    const nl_metric_words *m = &nl_metric_words_of[metric];
    const bool swap = c->verdict == NL_B_BETTER;
    const double sign = c->paired.mean < 0 ? -1 : 1;
    char beyond[200], *keys = nl_differences_text(&p->differ, p->differ.n);
    over_images(beyond, sizeof beyond, s, p, metric, sign);
    nl_lines_add(words,
                 "Settled: %s %s %s by %.*f%s (95 %% interval %.*f to %.*f, %d seeds, p after Holm "
                 "%s).%s%s%s%s",
                 name_of(s, swap ? p->b : p->a), ahead[metric], name_of(s, swap ? p->a : p->b),
                 m->decimals, fabs(c->paired.mean), m->unit, m->decimals,
                 sign < 0 ? -c->paired.high : c->paired.low, m->decimals,
                 sign < 0 ? -c->paired.low : c->paired.high, c->paired.n, nl_p(c->holm).text,
                 beyond, p->fair ? "" : " This is not the norm alone: the runs differ in ",
                 p->fair ? "" : keys, p->fair ? "" : ".");
    free(keys);
}

static void equal(nl_lines *words, const nl_figures *s, const nl_pair *p, nl_metric metric) {
    const nl_comparison *c = &p->by[metric];
    const nl_metric_words *m = &nl_metric_words_of[metric];
    nl_lines_add(
        words,
        "Equal: %s and %s in test %s, to within %g%s (difference %+.*f, 95 %% interval %+.*f "
        "to %+.*f, %d seeds, p after Holm %s).%s",
        name_of(s, p->a), name_of(s, p->b), m->name, c->margin, m->unit, m->decimals,
        c->paired.mean, m->decimals, c->paired.low, m->decimals, c->paired.high, c->paired.n,
        nl_p(c->equivalent).text,
        c->holm < NL_LEVEL ? " There is a difference, but it is smaller than that." : "");
}

/* ---- open ---- */

/* "; about 9 seeds would settle it, if this is the true difference" */
static void seeds_needed(char *need, size_t size, const nl_comparison *c) {
    if (c->seeds == 0)
        need[0] = '\0';
    else if (c->seeds > 1000)
        snprintf(need, size,
                 "; if that is the true difference, more than 1,000 seeds would be "
                 "needed to settle it");
    else
        snprintf(need, size, "; if that is the true difference, about %d seeds would settle it",
                 c->seeds);
}

static void unsettled(nl_lines *words, const nl_figures *s, const nl_pair *p) {
    const char *a = name_of(s, p->a), *b = name_of(s, p->b);
    const nl_comparison *c = &p->by[NL_METRIC_ACCURACY];
    if (!(c->paired.sd > 0)) {
        nl_lines_add(words, "Not settled: %s against %s, equal with each of %d seeds.", a, b,
                     c->paired.n);
        return;
    }
    char need[120];
    seeds_needed(need, sizeof need, c);
    nl_lines_add(words,
                 "Not settled: %s against %s, a difference of %.3f points over %d seeds (95 %% "
                 "interval %+.3f to %+.3f, p after Holm %s)%s.",
                 a, b, fabs(c->paired.mean), c->paired.n, c->paired.low, c->paired.high,
                 nl_p(c->holm).text, need);
}

/* No test over seeds, though there are several in common: two, or no spread. */
static void untested(nl_lines *words, const nl_comparison *c, const char *a, const char *b) {
    char need[120];
    seeds_needed(need, sizeof need, c);
    if (!(c->paired.sd > 0))
        nl_lines_add(
            words,
            "Open: %s against %s: the same difference of %.2f points with each of %d seeds, "
            "so that no spread is known to test it against; more seeds will tell.",
            a, b, fabs(c->paired.mean), c->paired.n);
    else
        nl_lines_add(words,
                     "Open: %s against %s, a difference of %.3f points over %d seeds, from which "
                     "nothing is settled%s.",
                     a, b, fabs(c->paired.mean), c->paired.n, need);
}

/* No test over seeds at all. */
static void open_pair(nl_lines *words, const nl_figures *s, const nl_pair *p) {
    const char *a = name_of(s, p->a), *b = name_of(s, p->b);
    const nl_comparison *c = &p->by[NL_METRIC_ACCURACY];
    if (!p->compared) {
        nl_lines_add(words,
                     "Not compared: %s against %s, trained or tested on different data files: a "
                     "difference would say nothing of the two.",
                     a, b);
        return;
    }
    if (c->paired.n == 0) {
        nl_lines_add(words, "Open: %s against %s have no finished seed in common.", a, b);
        return;
    }
    if (c->paired.n > 1) {
        untested(words, c, a, b);
        return;
    }
    if (!p->has_images) {
        nl_lines_add(words, "Open: %s against %s, one seed each; no test can say more.", a, b);
        return;
    }
    nl_lines_add(
        words,
        "Open: %s against %s. On seed %u they differ on %u images (%s alone errs on %u, %s "
        "alone on %u; mid-p %s): %s.",
        a, b, p->image_seed, p->images.only_a + p->images.only_b, a, p->images.only_a, b,
        p->images.only_b, nl_p(p->images.mid).text,
        p->images.mid < NL_LEVEL ? "these two sets of weights differ" : "no more than chance");
}

static void none_tested(nl_lines *words, const nl_figures *s) {
    bool compared = false;
    int most = 0;
    for (int i = 0; i < s->n_pairs; i++) {
        compared = compared || s->pairs[i].compared;
        if (s->pairs[i].by[0].paired.n > most) most = s->pairs[i].by[0].paired.n;
    }
    if (!compared)
        nl_lines_add(words, "Nothing is settled: no two variants saw the same data.");
    else if (most >= NL_SEEDS_TO_TEST)
        nl_lines_add(words, "Nothing is settled: no difference has a spread over seeds to test it "
                            "against.");
    else
        nl_lines_add(words,
                     "Nothing is settled: a seed or two say nothing about the next, and a "
                     "comparison of variants needs at least three seeds of each, the same ones "
                     "(normlab train ... --seeds 1-10).");
}

/* ---- all of them ---- */

/* How many comparisons were tested and how many of those came to each verdict. */
typedef struct tally {
    int tested, verdicts[NL_EQUAL + 1];
} tally;

static tally count(const nl_figures *s, int metric /* or NL_METRICS: all */) {
    tally t = {0};
    for (int i = 0; i < NL_METRICS * s->n_pairs; i++) {
        const nl_comparison *c = &s->pairs[i / NL_METRICS].by[i % NL_METRICS];
        if (metric != NL_METRICS && i % NL_METRICS != metric) continue;
        if (isnan(c->holm)) continue;
        t.tested++;
        t.verdicts[c->verdict]++;
    }
    return t;
}

/* The sentences on what is settled in one metric: differences first. */
static void settled(nl_lines *words, const nl_figures *s, nl_metric metric) {
    int told = 0;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < s->n_pairs; i++) {
            const nl_pair *p = &s->pairs[i];
            const nl_verdict verdict = p->by[metric].verdict;
            if (verdict == NL_OPEN || (verdict == NL_EQUAL) != (round == 1)) continue;
            if (s->n_pairs > most_pairs && told == most_pairs) continue;
            (round ? equal : different)(words, s, p, metric);
            told++;
        }
}

void nl_findings_pairs(nl_lines *words, const nl_figures *s) {
    const tally all = count(s, NL_METRICS), loss = count(s, NL_METRIC_LOSS);
    const tally accuracy = count(s, NL_METRIC_ACCURACY);
    const int apart = all.verdicts[NL_A_BETTER] + all.verdicts[NL_B_BETTER];
    if (all.tested > 0)
        nl_lines_add(words,
                     "Of %d comparison%s over seeds (%d pair%s, in test accuracy and in test loss) "
                     "%d %s settled at the 5 %% level: %d as different, %d as equal.",
                     all.tested, all.tested == 1 ? "" : "s", s->n_pairs, s->n_pairs == 1 ? "" : "s",
                     apart + all.verdicts[NL_EQUAL],
                     apart + all.verdicts[NL_EQUAL] == 1 ? "is" : "are", apart,
                     all.verdicts[NL_EQUAL]);
    if (accuracy.tested == 0 && s->n_pairs > 0 && all.verdicts[NL_OPEN] == all.tested)
        none_tested(words, s);
    settled(words, s, NL_METRIC_ACCURACY);
    if (s->n_pairs > most_pairs) {
        nl_lines_add(words,
                     "What the other comparisons of %d pairs came to stands in the tables "
                     "and in " NL_REPORT_RESULTS ".",
                     s->n_pairs);
    } else {
        for (int i = 0; i < s->n_pairs; i++)
            if (s->pairs[i].by[0].holm >= NL_LEVEL && s->pairs[i].by[0].verdict == NL_OPEN)
                unsettled(words, s, &s->pairs[i]);
        for (int i = 0; i < s->n_pairs; i++)
            if (isnan(s->pairs[i].by[0].holm)) open_pair(words, s, &s->pairs[i]);
    }
    settled(words, s, NL_METRIC_LOSS);
    if (s->family > 0 && s->n_rows > NL_MOST_SHOWN)
        nl_lines_add(words,
                     "The verdicts of the %d variants best in test accuracy in one "
                     "picture: " NL_REPORT_VERDICTS ".png.",
                     NL_MOST_SHOWN);
    else if (s->family > 0)
        nl_lines_add(words, "The verdicts in one picture: " NL_REPORT_VERDICTS ".png.");
    if (loss.verdicts[NL_OPEN] > 0)
        nl_lines_add(words, "In test loss %d of %d comparisons are open.", loss.verdicts[NL_OPEN],
                     loss.tested);
    if (loss.verdicts[NL_A_BETTER] + loss.verdicts[NL_B_BETTER] > 0)
        nl_lines_add(words, "Loss also measures confidence, which L1 moves at equal accuracy: "
                            "between runs with and without it a settled loss names L1, not the "
                            "norm.");
}
