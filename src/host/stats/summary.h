/* The figures behind the findings: computed once, shown in findings.md and on the page. */
#pragma once

#include <stdint.h> // int64_t

#include "normlab/stats.h"       // nl_sample
#include "normlab/differences.h" // nl_differences

#include "variants.h" // nl_folder

/* One variant over its seeds. */
typedef struct nl_row {
    const nl_variant *variant;
    nl_sample accuracy, loss, train_accuracy, train_loss; /* at the end, evaluation mode */
    nl_sample first;                                      /* test accuracy after the first epoch */
    uint32_t best, worst;                                 /* seeds, by test accuracy */
    nl_interval images;             /* Wilson interval of the first seed's accuracy, per cent */
    int reached;                    /* seeds that came to NL_GOAL at all */
    nl_sample epochs, seconds;      /* until then, over those seeds */
    nl_sample epoch_seconds, speed; /* of an epoch; images a second */
    int64_t params;                 /* 0: the config is not known */
} nl_row;

/* Two variants, over the seeds that both finished. Trained or tested on other data they are not
 * compared: no seeds, no images. */
typedef struct nl_pair {
    int a, b;         /* rows */
    nl_paired paired; /* test accuracy of a - b, points */
    double holm;      /* paired.p adjusted for all pairs of the study */
    int seeds;        /* nl_stats_seeds of what was seen, at NL_LEVEL divided among the pairs */
    bool has_images;
    uint32_t image_seed; /* the lowest seed that both have predictions for */
    nl_mcnemar images;
    bool known;            /* both configs are known, and so is what they differ in: */
    nl_differences differ; /* of the runs on seeds in common, or of any, where there is none */
    bool fair;             /* they differ in the norm alone, as far as is known */
    bool compared;         /* on the same data, as far as is known */
} nl_pair;

typedef struct nl_summary {
    nl_row *rows; /* as the study's variants */
    int n_rows;
    nl_pair *pairs;
    int n_pairs;
} nl_summary;

#define NL_GOAL 99.0  /* per cent */
#define NL_LEVEL 0.05 /* of all comparisons together */

/* The range of final test accuracy, mean over seeds, that counts as the original's result, by
 * config name; false where there is none or the run is shorter than the original's. */
bool nl_parity_range(const nl_variant *variant, double *low, double *high);

void nl_summary_make(nl_summary *summary, const nl_folder *study);
void nl_summary_free(nl_summary *summary);
