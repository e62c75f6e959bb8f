/* normlab worksheet FILE.xlsx: the workbook of normalisation calculations. */
#include <string.h> // strcmp

#include "commands.h"
#include "normlab/report.h" // nl_worksheet
#include "options.h"

typedef struct worksheet_options {
    const char *path;
    nl_error err;
} worksheet_options;

/* Office programs tell a workbook by its ending. */
static int take_path(worksheet_options *o, const char *path) {
    const size_t length = strlen(path);
    o->path = path;
    if (length > 5 && strcmp(path + length - 5, ".xlsx") == 0) return NL_OK;
    nl_fail(&o->err, NL_EUSAGE, "worksheet", "'%.200s' does not end in .xlsx", path);
    return nl_hint(&o->err, "normlab worksheet %.200s.xlsx", path);
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    worksheet_options *o = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (o->path) return ARGP_ERR_UNKNOWN;
        return take_path(o, arg);
    case ARGP_KEY_NO_ARGS:
        return nl_fail(&o->err, NL_EUSAGE, "worksheet", "needs the name of the file to write");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .parser = parse,
    .args_doc = "FILE.xlsx",
    .doc =
        "Writes a workbook that computes batch, layer and group norm of a small tensor by live "
        "formulas: statistics, normalised values, running values, a second layer, the gradient."};

int nl_cmd_worksheet(int argc, char **argv) {
    worksheet_options o = {0};
    int code = nl_options_parse(&argp, argc, argv, &o, &o.err);
    if (!code) code = nl_worksheet(o.path, &o.err);
    if (code) nl_error_print(&o.err);
    return code;
}
