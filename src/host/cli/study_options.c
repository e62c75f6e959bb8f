#include "study_options.h"

#include <stdlib.h> // realloc

error_t study_options_parse(study_options *o, const char *command, int key, char *arg) {
    switch (key) {
    case OPT_MARGIN:
        return nl_option_positive(&o->margins.points, "--margin", arg, &o->err);
    case OPT_LOSS_MARGIN:
        return nl_option_positive(&o->margins.loss, "--loss-margin", arg, &o->err);
    case ARGP_KEY_ARG:
        o->dirs = realloc(o->dirs, ((size_t)o->n_dirs + 1) * sizeof *o->dirs);
        NL_NEED(o->dirs);
        o->dirs[o->n_dirs++] = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        return nl_fail(&o->err, NL_EUSAGE, command, "needs a run folder");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

nl_report_of study_options_of(const study_options *o) {
    return (nl_report_of){.folders = o->dirs, .n_folders = o->n_dirs, .margins = &o->margins};
}

void study_options_free(study_options *o) {
    free(o->dirs);
}
