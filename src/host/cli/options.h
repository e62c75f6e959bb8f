/* What the commands share in reading their arguments: glibc's argp, with errors in the program's
 * own form, and checked values.
 *
 *     struct options { int batch; nl_error err; };
 *
 *     static error_t parse(int key, char *arg, struct argp_state *state) {
 *         struct options *o = state->input;
 *         switch (key) {
 *         case 'b': return nl_option_int(&o->batch, "--batch", arg, 1, INT_MAX, &o->err);
 *         ...
 *         default: return ARGP_ERR_UNKNOWN;
 *         }
 *     }
 *     ...
 *     if (nl_options_parse(&argp, argc, argv, &o, &o.err)) {
 *         nl_error_print(&o.err);
 *         return o.err.code;
 *     }
 */
#pragma once

#include <argp.h>   // struct argp
#include <stdint.h> // uint32_t

#include "normlab/error.h" // nl_error

/* argp_parse, with every error in *err (NL_EUSAGE: an unknown option with the one that was probably
 * meant, a missing or empty value, an argument too many, a path that begins with ~/; or what the
 * parser put there before it returned non-zero). --help, or -h, prints and exits 0. */
int nl_options_parse(const struct argp *argp, int argc, char **argv, void *input, nl_error *err);

/* What --data is, wherever there is one. */
#define NL_DATA_TEXT                                                                               \
    "folder with the four IDX files, raw or .gz (default: $NORMLAB_DATA, else "                    \
    "$XDG_CACHE_HOME/normlab/SET, else ~/.cache/normlab/SET, of the config's data.set)"

/* A whole number from min to max. `option` is its name in errors. */
int nl_option_int(int *value, const char *option, const char *text, int min, int max,
                  nl_error *err);

/* A finite number above 0. */
int nl_option_positive(double *value, const char *option, const char *text, nl_error *err);

typedef struct nl_seeds {
    uint32_t *list; /* the caller frees */
    int count;
} nl_seeds;

/* 1 or 1-10 or 1,3,5 or 1-3,7: at most NL_MAX_SEEDS, none of them twice. */
enum { NL_MAX_SEEDS = 10000 };
int nl_option_seeds(nl_seeds *seeds, const char *option, const char *text, nl_error *err);
