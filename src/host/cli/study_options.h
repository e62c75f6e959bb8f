/* What report and plan have in common: they read the folders of a study, and weigh differences by
 * the same margins. */
#pragma once

#include "normlab/report.h" // nl_report_of, nl_margins
#include "options.h"        // struct argp_option

typedef struct study_options {
    const char **dirs;
    int n_dirs;
    nl_margins margins;
    nl_error err;
} study_options;

/* Keys of their options; a command's own begin at OPT_OWN. */
enum { OPT_MARGIN = 256, OPT_LOSS_MARGIN, OPT_OWN };

/* Rows of a command's list of options. */
// clang-format off
#define STUDY_OPTIONS \
    {"margin", OPT_MARGIN, "POINTS", 0, \
     "test accuracies closer than this are equal for any use (default 0.05 points)", 0}, \
    {"loss-margin", OPT_LOSS_MARGIN, "LOSS", 0, "the same of test losses (default 0.001)", 0}
// clang-format on

/* Takes such an option, or a folder; ARGP_ERR_UNKNOWN: not theirs. */
error_t study_options_parse(study_options *o, const char *command, int key, char *arg);

/* The study so far as they say it; it points into them. */
nl_report_of study_options_of(const study_options *o);

void study_options_free(study_options *o);
