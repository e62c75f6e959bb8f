/* normlab plan RUN_DIR...: seeds that settle each pair, and the hours they take. */
#include "commands.h"
#include "study_options.h"

enum { OPT_POWER = OPT_OWN };

typedef struct plan_options {
    study_options study;
    double power;
} plan_options;

static int read_power(double *power, const char *arg, nl_error *err) {
    const int code = nl_option_positive(power, "--power", arg, err);
    if (code || (*power >= 0.5 && *power < 1)) return code;
    return nl_fail(err, NL_EUSAGE, "--power", "'%.80s': wants a number from 0.5 to below 1", arg);
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    plan_options *o = state->input;
    if (key == OPT_POWER) return read_power(&o->power, arg, &o->study.err);
    return study_options_parse(&o->study, "plan", key, arg);
}

static const struct argp_option list[] = {
    STUDY_OPTIONS,
    {"power", OPT_POWER, "P", 0, "the share of studies that are to settle it (default 0.8)", 0},
    {0}};

static const struct argp argp = {
    .options = list,
    .parser = parse,
    .args_doc = "RUN_DIR...",
    .doc = "Tells how many seeds settle each pair of variants, from a pilot study of a few seeds: "
           "three or more, so that the spread is known; and how long they train."};

int nl_cmd_plan(int argc, char **argv) {
    plan_options o = {.study.margins = NL_MARGINS, .power = 0.8};
    nl_error *err = &o.study.err;
    int code = nl_options_parse(&argp, argc, argv, &o, err);
    const nl_report_of of = study_options_of(&o.study);
    if (!code) code = nl_plan_print(stdout, &of, o.power, err);
    if (code) nl_error_print(err);
    study_options_free(&o.study);
    return code;
}
