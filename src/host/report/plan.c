/* How many seeds it takes to settle what a study leaves open, and how long they train. The plan is
 * made of the margin and of the spread of the differences, of which the upper limit is taken that a
 * bad draw passes once in five studies; not of the difference that was seen, which is a matter of
 * luck where it is not settled. */
#include "normlab/report.h"

#include <math.h>   // fmax
#include <stdlib.h> // free

#include "base/number.h"      // nl_thousands
#include "report/runs/runs.h" // nl_folder_read
#include "report/text/text.h" // nl_fixed
#include "stats/figures.h"    // nl_figures

/* Of one pair and metric. */
typedef struct need {
    int seeds; /* 0: not known */
    double sd; /* upper limit of the spread of differences */
} need;

/* Enough seeds for either answer: to see a true difference of the margin, and to call two equal
 * that are. */
static need need_of(const nl_comparison *c, double level, double power) {
    need n = {0, nl_stats_sd_limit(c->paired.sd, c->paired.n, 0.8)};
    const int apart = nl_stats_seeds(c->margin, n.sd, level, power);
    const int equal = nl_stats_seeds_equal(c->margin, n.sd, level, power);
    if (apart > 0 && equal > 0) n.seeds = apart > equal ? apart : equal;
    return n;
}

static void print_seeds(FILE *out, int seeds) {
    if (seeds == 0)
        fprintf(out, "  %8s", "?");
    else if (seeds >= NL_SEEDS_MAX)
        fprintf(out, " >%8s", nl_thousands(NL_SEEDS_MAX).text);
    else
        fprintf(out, "  %8s", nl_thousands(seeds).text);
}

/* Returns the most seeds that any pair needs in accuracy; 0: none is known. */
static int print_pairs(FILE *out, const nl_figures *f, double power) {
    const int family = f->n_pairs * NL_METRICS;
    const double level = NL_LEVEL / fmax(family, 1);
    int most = 0;
    fprintf(out, "%-40s  %5s  %9s  %8s  %9s  %8s\n", "pair", "seeds", "sd, points", "needs",
            "sd, loss", "needs");
    for (int i = 0; i < f->n_pairs; i++) {
        const nl_pair *p = &f->pairs[i];
        char names[600];
        snprintf(names, sizeof names, "%s, %s", f->rows[p->a].variant->name,
                 f->rows[p->b].variant->name);
        const need points = need_of(&p->by[NL_METRIC_ACCURACY], level, power);
        const need loss = need_of(&p->by[NL_METRIC_LOSS], level, power);
        fprintf(out, "%-40s  %5d  %10s", names, p->by[0].paired.n, nl_fixed(points.sd, 3).text);
        print_seeds(out, points.seeds);
        fprintf(out, "  %9s", nl_fixed(loss.sd, 5).text);
        print_seeds(out, loss.seeds);
        fputc('\n', out);
        if (points.seeds > most) most = points.seeds;
    }
    return most;
}

/* Training seconds of a whole run: of the finished ones of a variant, or NaN. */
static double seconds_of(const nl_variant *v) {
    double sum = 0;
    int count = 0;
    for (int i = 0; i < v->n_runs; i++) {
        const nl_seed_run *run = &v->runs[i];
        if (!run->finished) continue;
        for (int k = 0; k < run->n_points; k++) sum += run->points[k].seconds;
        count++;
    }
    return count ? sum / count : NAN;
}

static void print_hours(FILE *out, const nl_figures *f, int seeds) {
    double seconds = 0;
    int runs = 0;
    for (int i = 0; i < f->n_rows; i++) {
        const nl_variant *v = f->rows[i].variant;
        const int missing = seeds - v->n_finished;
        if (missing <= 0) continue;
        runs += missing;
        seconds += missing * seconds_of(v);
    }
    fprintf(out, "\nAll %d variants with %s seeds: %s more runs.", f->n_rows,
            nl_thousands(seeds).text, nl_thousands(runs).text);
    if (runs == 0 || !isfinite(seconds)) {
        fputc('\n', out);
        return;
    }
    fprintf(
        out,
        " One after the other they train for\n%.1f h at the pace of the finished ones; with N "
        "at a time at that pace, on this machine (--jobs)\nor over several (--shard, --join):\n",
        seconds / 3600);
    for (int n = 2; n <= 64; n *= 2) fprintf(out, "  %d: %.1f h", n, seconds / 3600 / n);
    fputc('\n', out);
}

int nl_plan_print(FILE *out, const nl_report_of *of, double power, nl_error *err) {
    nl_folder folder = {0};
    nl_figures figures;
    const int code =
        nl_folder_read(&folder, of->folders, of->n_folders, of->names, of->n_names, err);
    if (code) return code;
    nl_figures_make(&figures, &folder, of->margins, of->all);
    fprintf(
        out,
        "Seeds that settle a pair as different or equal with a margin of %g points (loss %g)\n"
        "in %g %% of studies, at 5 %% shared among %d pairs in two metrics; sd: the upper 80 %% "
        "limit\nof the spread of the differences seed by seed.\n\n",
        figures.margins.points, figures.margins.loss, 100 * power, figures.n_pairs);
    const int most = print_pairs(out, &figures, power);
    if (most == 0)
        fputs("\nNothing can be planned yet: that takes two finished seeds in common.\n", out);
    else if (most < NL_SEEDS_MAX)
        print_hours(out, &figures, most);
    fputs("\nFix the number of seeds before the study begins: to add seeds until something is "
          "settled is no\ntest.\n",
          out);
    nl_figures_free(&figures);
    nl_folder_free(&folder);
    return NL_OK;
}
