/* normlab report RUN_DIR...: plots, grids, workbook, findings and page, from files alone. */
#include <stdio.h>  // printf
#include <stdlib.h> // realloc

#include "commands.h"
#include "normlab/report.h"    // nl_report_make
#include "normlab/run_files.h" // NL_REPORT_PAGE
#include "options.h"

enum { OPT_OUT = 'o', OPT_MARGIN = 256, OPT_LOSS_MARGIN, OPT_ALL };

typedef struct report_options {
    const char **dirs;
    int n_dirs;
    const char *out;
    bool all;
    nl_margins margins;
    nl_error err;
} report_options;

static error_t parse(int key, char *arg, struct argp_state *state) {
    report_options *o = state->input;
    switch (key) {
    case OPT_OUT:
        o->out = arg;
        return 0;
    case OPT_MARGIN:
        return nl_option_positive(&o->margins.points, "--margin", arg, &o->err);
    case OPT_LOSS_MARGIN:
        return nl_option_positive(&o->margins.loss, "--loss-margin", arg, &o->err);
    case OPT_ALL:
        return o->all = true, 0;
    case ARGP_KEY_ARG:
        o->dirs = realloc(o->dirs, ((size_t)o->n_dirs + 1) * sizeof *o->dirs);
        NL_NEED(o->dirs);
        o->dirs[o->n_dirs++] = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        return nl_fail(&o->err, NL_EUSAGE, "report", "needs a run folder");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option list[] = {
    {"out", OPT_OUT, "DIR", 0, "write DIR/report instead of that of the first RUN_DIR", 0},
    {"margin", OPT_MARGIN, "POINTS", 0,
     "test accuracies closer than this are equal for any use (default 0.05 points)", 0},
    {"loss-margin", OPT_LOSS_MARGIN, "LOSS", 0, "the same of test losses (default 0.001)", 0},
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
    report_options o = {.margins = NL_MARGINS};
    int code = nl_options_parse(&argp, argc, argv, &o, &o.err);
    if (!code)
        code = nl_report_make(&(nl_report_of){.folders = o.dirs,
                                              .n_folders = o.n_dirs,
                                              .out = o.out,
                                              .margins = &o.margins,
                                              .all = o.all},
                              &o.err);
    if (code)
        nl_error_print(&o.err);
    else
        printf("report: %s/" NL_REPORT_FOLDER "/" NL_REPORT_PAGE "\n", o.out ? o.out : o.dirs[0]);
    free(o.dirs);
    return code;
}
