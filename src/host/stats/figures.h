/* The figures behind the findings: computed once, shown in findings.md and on the page. */
#pragma once

#include <stdint.h> // int64_t

#include "normlab/stats.h"       // nl_sample
#include "normlab/differences.h" // nl_differences

#include "factors.h"  // nl_factors
#include "variants.h" // nl_folder

/* One variant over its seeds. */
typedef struct nl_row {
    const nl_variant *variant;
    nl_sample accuracy, loss, train_accuracy, train_loss; /* at the end, evaluation mode */
    nl_sample first;                                      /* test accuracy after the first epoch */
    uint32_t best, worst;                                 /* seeds, by test accuracy */
    nl_interval images;        /* Wilson interval of the first seed's accuracy, per cent */
    double binomial;           /* deviation of the mean accuracy over draws of as many images */
    double chance;             /* nl_stats_chance_spread; NaN: predictions are missing */
    int reached;               /* seeds that came to NL_GOAL at all */
    nl_sample epochs, seconds; /* until then, over those seeds */
    nl_sample epoch_seconds, speed; /* of an epoch; images a second */
    int64_t params;                 /* 0: the config is not known */
} nl_row;

/* Equal where equal and a difference are both settled: a difference too small to matter. */
typedef enum nl_verdict { NL_OPEN, NL_A_BETTER, NL_B_BETTER, NL_EQUAL } nl_verdict;

/* Two variants in one metric, over the seeds that both finished. */
typedef struct nl_comparison {
    nl_paired paired;           /* of a - b; its p is not adjusted */
    double sign_flip;           /* nl_stats_sign_flip: a check of paired.p */
    double margin;              /* of the metric */
    double holm, equivalent;    /* p of the t test and of nl_stats_equivalence, adjusted over all
                                 * pairs and both metrics */
    nl_verdict verdict;         /* a p below NL_LEVEL */
    int seeds;                  /* that would settle what is open, nl_stats_seeds; 0: not known */
    double a_better;            /* share of seeds on which a is better, ties half; NaN: no seed */
    nl_interval a_better_range; /* Wilson */
} nl_comparison;

/* Two variants. Trained or tested on other data they are not compared: no seeds, no images. */
typedef struct nl_pair {
    int a, b; /* rows */
    nl_comparison by[NL_METRICS];
    bool has_images;     /* one of them has a single seed: */
    uint32_t image_seed; /* the lowest seed that both have predictions for */
    nl_mcnemar images;
    bool known;            /* both configs are known, and so is what they differ in: */
    nl_differences differ; /* of the runs on seeds in common, or of any, where there is none */
    bool fair;             /* they differ in the norm alone, as far as is known */
    bool compared;         /* on the same data, as far as is known */
} nl_pair;

typedef struct nl_figures {
    nl_row *rows; /* as the study's variants */
    int n_rows;
    int *shown; /* the rows that have pictures of their own: nl_figures_best */
    int n_shown;
    nl_pair *pairs;
    int n_pairs;
    nl_margins margins;
    nl_factors factors; /* of a study that is a grid */
    int family;         /* comparisons of two seeds or more: what the level is shared among */
} nl_figures;

#define NL_GOAL 99.0  /* per cent */
#define NL_LEVEL 0.05 /* of all comparisons together */
#define NL_POWER 0.8  /* of the seeds to settle a comparison */

/* The range of final test accuracy, mean over seeds, that counts as the original's result, by
 * config name; false where there is none or the run is shorter than the original's. */
bool nl_parity_range(const nl_variant *variant, double *low, double *high);

/* Of more variants than these no one looks at one picture each. */
enum { NL_MOST_SHOWN = 12 };

/* margins NULL: NL_MARGINS. all: every variant is shown. */
void nl_figures_make(nl_figures *figures, const nl_folder *study, const nl_margins *margins,
                     bool all);
void nl_figures_free(nl_figures *figures);

/* The difference a - b and its interval over seeds and images (nl_stats_two_way), from predictions
 * and their losses; NaN where a run of a common seed has none. Costs a pass over all of them. */
nl_two_way nl_pair_over_images(const nl_figures *figures, const nl_pair *pair, nl_metric metric);

/* The rows of the variants that are best in test accuracy (of equal ones: in loss), at most so many,
 * in the study's order; returns their number. */
int nl_figures_best(int *rows /* (most) */, int most, const nl_figures *figures);

/* The pair of rows a < b. */
const nl_pair *nl_pair_of(const nl_figures *figures, int a, int b);

/* Part of nl_figures_make: all pairs of the rows. */
void nl_pairs_make(nl_figures *figures);
