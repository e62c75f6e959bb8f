/* The findings in plain words. Each sentence says what the figures carry and no more: a difference
 * is settled when the paired test holds after Holm's adjustment, and an unsettled one comes with
 * the number of seeds that would settle it.
 */
#include <math.h>   // fabs, isnan
#include <stdio.h>  // snprintf
#include <stdlib.h> // free

#include "normlab/differences.h" // nl_differences
#include "findings.h"
#include "report/runs/runs.h"

enum { most_pairs = 15 }; /* of more, only the settled ones get a sentence each */

/* ---- overview ---- */

static void overview(nl_lines *words, const nl_summary *s) {
    int first = -1, last = -1;
    for (int i = 0; i < s->n_rows; i++) {
        const nl_row *r = &s->rows[i];
        if (isnan(r->accuracy.mean)) continue;
        if (first < 0 || r->accuracy.mean > s->rows[first].accuracy.mean) first = i;
        if (last < 0 || r->accuracy.mean < s->rows[last].accuracy.mean) last = i;
    }
    if (first < 0)
        nl_lines_add(words, "No run has come to its end yet: only the curves say something.");
    else if (first != last)
        nl_lines_add(
            words,
            "Highest mean test accuracy: %s with %.2f %%; lowest: %s with %.2f %%. Whether "
            "that is more than chance stands below.",
            s->rows[first].variant->name, s->rows[first].accuracy.mean, s->rows[last].variant->name,
            s->rows[last].accuracy.mean);
    else
        nl_lines_add(words, "%s: %.2f %% test accuracy.", s->rows[first].variant->name,
                     s->rows[first].accuracy.mean);
    for (int i = 0; i < s->n_rows; i++) {
        if (!nl_variant_limited(s->rows[i].variant)) continue;
        nl_lines_add(words,
                     "Runs on a part of the data (--limit-batches) are among these: a trial, "
                     "not a result.");
        break;
    }
}

/* ---- pairs ---- */

static bool is_settled(const nl_pair *p) {
    return p->holm < NL_LEVEL; /* false for NaN */
}

static void settled(nl_lines *words, const nl_summary *s, const nl_pair *p) {
    const bool swap = p->paired.mean < 0;
    const char *ahead = s->rows[swap ? p->b : p->a].variant->name;
    const char *behind = s->rows[swap ? p->a : p->b].variant->name;
    const double low = swap ? -p->paired.high : p->paired.low;
    const double high = swap ? -p->paired.low : p->paired.high;
    char *keys = nl_differences_text(&p->differ, p->differ.n);
    nl_lines_add(
        words,
        "Settled: %s is ahead of %s by %.2f points (95 %% interval %.2f to %.2f, %d seeds, "
        "p after Holm %s).%s%s%s",
        ahead, behind, fabs(p->paired.mean), low, high, p->paired.n, nl_p(p->holm).text,
        p->fair ? "" : " This is not the norm alone: the runs differ in ", p->fair ? "" : keys,
        p->fair ? "" : ".");
    free(keys);
}

/* "; if it is real, about 9 seeds would settle it" */
static void seeds_needed(char *need, size_t size, const nl_pair *p) {
    const double bound = fmax(fabs(p->paired.low), fabs(p->paired.high));
    if (p->seeds == 0)
        need[0] = '\0';
    else if (p->seeds > 1000)
        snprintf(need, size, "; a difference of this size takes more than 1,000 seeds to show%s",
                 bound < 0.1 ? ", so for any use the two are equal" : "");
    else
        snprintf(need, size, "; if it is real, about %d seeds would settle it", p->seeds);
}

static void unsettled(nl_lines *words, const nl_summary *s, const nl_pair *p) {
    const char *a = s->rows[p->a].variant->name, *b = s->rows[p->b].variant->name;
    if (!(p->paired.sd > 0)) {
        nl_lines_add(words, "Not settled: %s against %s, equal with each of %d seeds.", a, b,
                     p->paired.n);
        return;
    }
    char need[120];
    seeds_needed(need, sizeof need, p);
    nl_lines_add(words,
                 "Not settled: %s against %s, a difference of %.3f points over %d seeds (95 %% "
                 "interval %+.3f to %+.3f, p after Holm %s)%s.",
                 a, b, fabs(p->paired.mean), p->paired.n, p->paired.low, p->paired.high,
                 nl_p(p->holm).text, need);
}

/* No test over seeds, though there are several in common: two, or no spread. */
static void untested(nl_lines *words, const nl_pair *p, const char *a, const char *b) {
    char need[120];
    seeds_needed(need, sizeof need, p);
    if (!(p->paired.sd > 0))
        nl_lines_add(
            words,
            "Open: %s against %s: the same difference of %.2f points with each of %d seeds, "
            "so that no spread is known to test it against; more seeds will tell.",
            a, b, fabs(p->paired.mean), p->paired.n);
    else
        nl_lines_add(words,
                     "Open: %s against %s, a difference of %.3f points over %d seeds, from which "
                     "nothing is settled%s.",
                     a, b, fabs(p->paired.mean), p->paired.n, need);
}

/* No test over seeds at all. */
static void open_pair(nl_lines *words, const nl_summary *s, const nl_pair *p) {
    const char *a = s->rows[p->a].variant->name, *b = s->rows[p->b].variant->name;
    if (!p->compared) {
        nl_lines_add(words,
                     "Not compared: %s against %s, trained or tested on different data files: a "
                     "difference would say nothing of the two.",
                     a, b);
        return;
    }
    if (p->paired.n == 0) {
        nl_lines_add(words, "Open: %s against %s have no finished seed in common.", a, b);
        return;
    }
    if (p->paired.n > 1) {
        untested(words, p, a, b);
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

static void none_tested(nl_lines *words, const nl_summary *s) {
    bool compared = false;
    int most = 0;
    for (int i = 0; i < s->n_pairs; i++) {
        compared = compared || s->pairs[i].compared;
        if (s->pairs[i].paired.n > most) most = s->pairs[i].paired.n;
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

static void pairs(nl_lines *words, const nl_summary *s) {
    int tested = 0, done = 0;
    for (int i = 0; i < s->n_pairs; i++) {
        tested += !isnan(s->pairs[i].holm);
        done += is_settled(&s->pairs[i]);
    }
    if (tested > 0)
        nl_lines_add(words, "Of %d comparison%s over seeds, %d %s settled at the 5 %% level.",
                     tested, tested == 1 ? "" : "s", done, done == 1 ? "is" : "are");
    else if (s->n_pairs > 0)
        none_tested(words, s);
    for (int i = 0; i < s->n_pairs; i++)
        if (is_settled(&s->pairs[i])) settled(words, s, &s->pairs[i]);
    if (s->n_pairs > most_pairs) {
        nl_lines_add(words, "What the other %d comparisons came to stands in the table.",
                     s->n_pairs - done);
        return;
    }
    for (int i = 0; i < s->n_pairs; i++)
        if (s->pairs[i].holm >= NL_LEVEL) unsettled(words, s, &s->pairs[i]);
    for (int i = 0; i < s->n_pairs; i++)
        if (isnan(s->pairs[i].holm)) open_pair(words, s, &s->pairs[i]);
}

/* ---- the rest ---- */

static void goal(nl_lines *words, const nl_summary *s) {
    int fastest = -1;
    bool any = false;
    for (int i = 0; i < s->n_rows; i++) {
        const nl_row *r = &s->rows[i];
        any = any || r->reached > 0;
        if (r->reached > 0 && r->reached == r->variant->n_runs &&
            (fastest < 0 || r->epochs.mean < s->rows[fastest].epochs.mean))
            fastest = i;
    }
    if (fastest >= 0)
        nl_lines_add(words,
                     "Fewest epochs to 99 %%, of the variants that came there with every seed: %s, "
                     "after %.1f on average (%.0f s of training).",
                     s->rows[fastest].variant->name, s->rows[fastest].epochs.mean,
                     s->rows[fastest].seconds.mean);
    else
        nl_lines_add(words, "No variant came to 99 %%%s.", any ? " with every seed" : "");
}

static void parameters(nl_lines *words, const nl_summary *s) {
    int64_t low = 0, high = 0;
    for (int i = 0; i < s->n_rows; i++) {
        const int64_t n = s->rows[i].params;
        if (n == 0) continue;
        if (low == 0 || n < low) low = n;
        if (n > high) high = n;
    }
    if (low == 0) return;
    if (low == high)
        nl_lines_add(words, "%s %s parameters.",
                     s->n_rows == 1 ? "The network has" : "All variants have",
                     nl_thousands(low).text);
    else
        nl_lines_add(words, "The variants have %s to %s parameters.", nl_thousands(low).text,
                     nl_thousands(high).text);
}

void nl_findings_words(nl_lines *words, const nl_summary *summary) {
    overview(words, summary);
    nl_findings_runs(words, summary);
    pairs(words, summary);
    goal(words, summary);
    parameters(words, summary);
}
