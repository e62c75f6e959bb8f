/* normlab report RUN_DIR...: plots, grids, workbook, findings and page, from files alone. */
#include <stdio.h> // printf

#include "commands.h"
#include "normlab/run_files.h" // NL_REPORT_PAGE
#include "study_options.h"

enum { OPT_OUT = 'o', OPT_ALL = OPT_OWN };

typedef struct report_options {
    study_options study;
    const char *out;
    bool all;
} report_options;

static error_t parse(int key, char *arg, struct argp_state *state) {
    report_options *o = state->input;
    switch (key) {
    case OPT_OUT:
        o->out = arg;
        return 0;
    case OPT_ALL:
        return o->all = true, 0;
    default:
        return study_options_parse(&o->study, "report", key, arg);
    }
}

static const struct argp_option list[] = {
    {"out", OPT_OUT, "DIR", 0, "write DIR/report instead of that of the first RUN_DIR", 0},
    STUDY_OPTIONS,
    {"all", OPT_ALL, NULL, 0,
     "a grid, a panel and a confusion matrix of every variant, also of more than 12", 0},
    {0}};

static const struct argp argp = {
    .options = list,
    .parser = parse,
    .args_doc = "RUN_DIR...",
    .doc = "Writes RUN_DIR/" NL_REPORT_FOLDER ": the page " NL_REPORT_PAGE ", " NL_REPORT_FINDINGS
           ", the charts as PNG and SVG with their data and gnuplot scripts, the grids of "
           "misclassified images and the workbook. RUN_DIR is what normlab train wrote; more runs "
           "may have joined it since. Several folders, parts of a study from several machines, are "
           "reported as one."};

int nl_cmd_report(int argc, char **argv) {
    report_options o = {.study.margins = NL_MARGINS};
    nl_error *err = &o.study.err;
    int code = nl_options_parse(&argp, argc, argv, &o, err);
    nl_report_of of = study_options_of(&o.study);
    of.out = o.out;
    of.all = o.all;
    if (!code) code = nl_report_make(&of, err);
    if (code)
        nl_error_print(err);
    else
        printf("report: %s/" NL_REPORT_FOLDER "/" NL_REPORT_PAGE "\n",
               o.out ? o.out : of.folders[0]);
    study_options_free(&o.study);
    return code;
}
