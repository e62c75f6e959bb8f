/* normlab plan RUN_DIR...: seeds that settle each pair, and the hours they take. */
#include <stdlib.h> // realloc

#include "commands.h"
#include "normlab/report.h" // nl_plan_print
#include "options.h"

enum { OPT_MARGIN = 256, OPT_LOSS_MARGIN, OPT_POWER };

typedef struct plan_options {
    const char **dirs;
    int n_dirs;
    double power;
    nl_margins margins;
    nl_error err;
} plan_options;

static error_t parse(int key, char *arg, struct argp_state *state) {
    plan_options *o = state->input;
    switch (key) {
    case OPT_MARGIN:
        return nl_option_positive(&o->margins.points, "--margin", arg, &o->err);
    case OPT_LOSS_MARGIN:
        return nl_option_positive(&o->margins.loss, "--loss-margin", arg, &o->err);
    case OPT_POWER:
        if (nl_option_positive(&o->power, "--power", arg, &o->err)) return o->err.code;
        if (o->power >= 0.5 && o->power < 1) return 0;
        return nl_fail(&o->err, NL_EUSAGE, "--power", "'%.80s': wants a number from 0.5 to below 1",
                       arg);
    case ARGP_KEY_ARG:
        o->dirs = realloc(o->dirs, ((size_t)o->n_dirs + 1) * sizeof *o->dirs);
        NL_NEED(o->dirs);
        o->dirs[o->n_dirs++] = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        return nl_fail(&o->err, NL_EUSAGE, "plan", "needs a run folder");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option list[] = {
    {"margin", OPT_MARGIN, "POINTS", 0,
     "the difference of test accuracy that matters (default 0.05 points)", 0},
    {"loss-margin", OPT_LOSS_MARGIN, "LOSS", 0, "the same of the test loss (default 0.001)", 0},
    {"power", OPT_POWER, "P", 0, "the share of studies that are to settle it (default 0.8)", 0},
    {0}};

static const struct argp argp = {
    .options = list,
    .parser = parse,
    .args_doc = "RUN_DIR...",
    .doc = "Tells how many seeds settle each pair of variants, from a pilot study of a few seeds: "
           "three or more, so that the spread is known; and how long they train."};

int nl_cmd_plan(int argc, char **argv) {
    plan_options o = {.margins = NL_MARGINS, .power = 0.8};
    int code = nl_options_parse(&argp, argc, argv, &o, &o.err);
    if (!code)
        code = nl_plan_print(
            stdout,
            &(nl_report_of){.folders = o.dirs, .n_folders = o.n_dirs, .margins = &o.margins},
            o.power, &o.err);
    if (code) nl_error_print(&o.err);
    free(o.dirs);
    return code;
}
