/* normlab report RUN_DIR: plots, grids, workbook, findings and page, from files alone. */
#include <stdio.h> // printf

#include "commands.h"
#include "normlab/report.h"    // nl_report
#include "normlab/run_files.h" // NL_REPORT_PAGE
#include "options.h"

typedef struct report_options {
    const char *dir;
    nl_error err;
} report_options;

static error_t parse(int key, char *arg, struct argp_state *state) {
    report_options *o = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (o->dir) return ARGP_ERR_UNKNOWN;
        o->dir = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        return nl_fail(&o->err, NL_EUSAGE, "report", "needs a run folder");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .parser = parse,
    .args_doc = "RUN_DIR",
    .doc = "Writes RUN_DIR/" NL_REPORT_FOLDER ": the page " NL_REPORT_PAGE ", " NL_REPORT_FINDINGS
           ", the charts as PNG and SVG with their data and gnuplot scripts, the grids of "
           "misclassified images and the workbook. RUN_DIR is what normlab train wrote; more runs "
           "may have joined it since."};

int nl_cmd_report(int argc, char **argv) {
    report_options o = {0};
    int code = nl_options_parse(&argp, argc, argv, &o, &o.err);
    if (!code) code = nl_report(o.dir, &o.err);
    if (code)
        nl_error_print(&o.err);
    else
        printf("report: %s/" NL_REPORT_FOLDER "/" NL_REPORT_PAGE "\n", o.dir);
    return code;
}
