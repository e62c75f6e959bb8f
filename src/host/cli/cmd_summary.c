/* normlab summary CONFIG: shapes, receptive fields, parameters and work of each layer. */
#include <limits.h> // INT_MAX
#include <stdlib.h> // free

#include "commands.h"
#include "config_path.h"   // nl_config_load_named
#include "normlab/model.h" // nl_model_build, nl_model_print
#include "options.h"

typedef struct summary_options {
    const char *path;
    int batch; /* 0: the config's */
    nl_error err;
} summary_options;

static error_t parse(int key, char *arg, struct argp_state *state) {
    summary_options *o = state->input;
    switch (key) {
    case 'b':
        return nl_option_int(&o->batch, "--batch", arg, 1, INT_MAX, &o->err);
    case ARGP_KEY_ARG:
        if (o->path) return ARGP_ERR_UNKNOWN;
        o->path = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        return nl_fail(&o->err, NL_EUSAGE, "summary", "needs a config");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option option_list[] = {
    {"batch", 'b', "N", 0, "images a training batch (default: the config's data.batch)", 0}, {0}};

static const struct argp argp = {
    .options = option_list,
    .parser = parse,
    .args_doc = "CONFIG",
    .doc = "Shows kernel, input, output, receptive field, parameters and multiply-adds of every "
           "layer, and how many statistics its norm takes."};

int nl_cmd_summary(int argc, char **argv) {
    summary_options o = {0};
    nl_config *config = nl_alloc(1, sizeof *config, "config");
    nl_model *model = nl_alloc(1, sizeof *model, "model");
    int code = nl_options_parse(&argp, argc, argv, &o, &o.err);
    if (!code) code = nl_config_load_named(config, o.path, &o.err);
    if (!code && !o.batch) o.batch = config->data.batch;
    if (!code) code = nl_model_build(model, config, o.batch, &o.err);
    if (code)
        nl_error_print(&o.err);
    else
        nl_model_print(model, o.batch);
    free(model);
    free(config);
    return code;
}
