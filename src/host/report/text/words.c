/* The findings in plain words, but for the runs and the pairs, which have files of their own. */
#include <math.h> // isnan

#include "findings.h"
#include "report/runs/runs.h"

/* ---- overview ---- */

static void overview(nl_lines *words, const nl_figures *s) {
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

/* ---- the rest ---- */

static void goal(nl_lines *words, const nl_figures *s) {
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

static void parameters(nl_lines *words, const nl_figures *s) {
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

void nl_findings_words(nl_lines *words, const nl_figures *figures) {
    overview(words, figures);
    nl_findings_runs(words, figures);
    nl_findings_pairs(words, figures);
    nl_findings_factors(words, figures);
    goal(words, figures);
    parameters(words, figures);
}
