/* Arguments of the commands; see options.h.
 *
 * argp's own messages have another form than ours, so it runs silenced (ARGP_NO_ERRS) below a
 * parent parser, which looks at what argp stumbled over: getopt has stepped past it by then.
 */
#include "options.h"

#include <ctype.h>    // isdigit
#include <errno.h>    // ENOMEM
#include <inttypes.h> // PRIu32
#include <limits.h>   // INT_MAX
#include <stdbool.h>  // bool
#include <math.h>     // isfinite
#include <stdio.h>    // snprintf
#include <stdlib.h>   // strtoll, qsort
#include <string.h>   // strcspn

#include "base/nearest.h" // nl_nearest

/* --- Parsing --------------------------------------------------------------------------------- */

typedef struct parse_input {
    const struct argp *command;
    void *command_input;
    nl_error *err;
} parse_input;

/* argp's own help is silenced with its errors. */
static const struct argp_option help_options[] = {
    {"help", 'h', NULL, 0, "show this list", -1},
    {NULL, '?', NULL, OPTION_ALIAS | OPTION_HIDDEN, NULL, 0},
    {0}};

enum { MAX_OPTIONS = 64 }; /* of one command, for suggestions */

/* The word that getopt stumbled over. It has stepped past it, but not past a word like -epochs,
 * which it takes for single letters: it stops before the first that is none of the command's. */
static const char *culprit(const parse_input *in, const struct argp_state *state) {
    const char *last = state->argv[state->next - 1];
    const char *next = state->next < state->argc ? state->argv[state->next] : "";
    if (next[0] != '-' || next[1] == '-' || strlen(next) < 3) return last;
    for (const struct argp_option *o = in->command->options; o && o->name; o++) {
        if (o->key == next[1]) return last;
        const size_t length = strcspn(last, "=");
        const bool named =
            length > 2 && !strncmp(last, "--", 2) && !strncmp(o->name, last + 2, length - 2);
        if (named && !o->arg == !last[length]) return next; /* nothing is wrong with it */
    }
    return strncmp(last, "--", 2) == 0 ? last : next;
}

/* Names the options that a shortened one may stand for, if they are several. */
static void hint_at_all(const parse_input *in, const char *typed) {
    char list[400] = "";
    int count = 0;
    for (const struct argp_option *o = in->command->options; o && o->name; o++) {
        if (strncmp(o->name, typed, strlen(typed)) != 0) continue;
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s--%s", count++ ? ", " : "", o->name);
    }
    if (count > 1) nl_hint(in->err, "several begin so: %s", list);
}

/* What getopt did not take: not an option, or one that lacks its value or has one too many. */
static void explain(const parse_input *in, const char *argument) {
    const char *name = argument + strspn(argument, "-");
    const bool is_short = name - argument == 1;
    char typed[64];
    snprintf(typed, sizeof typed, "%.*s", (int)strcspn(name, "="), name);

    const char *names[MAX_OPTIONS] = {"help"};
    size_t count = 1;
    for (const struct argp_option *o = in->command->options; o && o->name; o++) {
        if (is_short ? o->key == name[0] : !strcmp(o->name, typed)) {
            nl_fail(in->err, NL_EUSAGE, argument, o->arg ? "needs a value" : "takes no value");
            if (o->arg) nl_hint(in->err, "--%s %s", o->name, o->arg);
            return;
        }
        if (count < MAX_OPTIONS) names[count++] = o->name;
    }
    nl_fail(in->err, NL_EUSAGE, argument, "unknown option");
    const char *meant = nl_nearest(typed, names, count);
    if (meant) nl_hint(in->err, "did you mean --%s?", meant);
    if (!is_short) hint_at_all(in, typed);
}

static error_t parse_parent(int key, char *arg, struct argp_state *state) {
    const parse_input *in = state->input;
    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = in->command_input;
        return 0;
    case 'h':
    case '?':
        setenv("ARGP_HELP_FMT", "rmargin=101,no-dup-args-note", 0); /* our tables are that wide */
        argp_help(state->root_argp, stdout, ARGP_HELP_STD_HELP & ~(unsigned)ARGP_HELP_EXIT_OK,
                  state->argv[0]);
        exit(fflush(stdout) == 0 && !ferror(stdout) ? NL_OK : NL_EWRITE);
    case ARGP_KEY_ERROR:
        if (!in->err->code && state->next > 0) explain(in, culprit(in, state));
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* An empty word comes of a variable that is not set, as in --data "$DATA": nothing here takes one.
 */
static int refuse_empty(int argc, char **argv, const char *command, nl_error *err) {
    for (int i = 1; i < argc; i++) {
        const char *equals = strncmp(argv[i], "--", 2) == 0 ? strchr(argv[i], '=') : NULL;
        if (argv[i][0] && !(equals && !equals[1])) continue;
        char name[64] = "";
        if (equals) snprintf(name, sizeof name, "%.*s", (int)(equals - argv[i]), argv[i]);
        const bool option = i > 1 && argv[i - 1][0] == '-';
        nl_fail(err, NL_EUSAGE,
                equals   ? name
                : option ? argv[i - 1]
                         : command,
                "'': the word is empty");
        return nl_hint(err, "is a variable not set?");
    }
    return NL_OK;
}

/* No shell expands the ~ of --out=~/x or of '~/x': refused, lest a folder be named so. */
static int refuse_tilde(int argc, char **argv, nl_error *err) {
    for (int i = 1; i < argc; i++) {
        const char *value = argv[i];
        if (strncmp(value, "--", 2) == 0) value = strchr(value, '=') ? strchr(value, '=') + 1 : "";
        if (value[0] != '~' || (value[1] && value[1] != '/')) continue;
        nl_fail(err, NL_EUSAGE, argv[i], "the ~ is not expanded to your home folder");
        if (value == argv[i])
            return nl_hint(err, "leave the quotes off, or write \"$HOME%.300s\"", value + 1);
        return nl_hint(err, "a space instead of the =: %.*s %.300s", (int)(value - 1 - argv[i]),
                       argv[i], value);
    }
    return NL_OK;
}

int nl_options_parse(const struct argp *argp, int argc, char **argv, void *input, nl_error *err) {
    parse_input in = {.command = argp, .command_input = input, .err = err};
    const struct argp_child children[] = {{.argp = argp}, {0}};
    const struct argp parent = {
        .options = help_options, .parser = parse_parent, .children = children};
    const char *space = strrchr(argv[0], ' '), *command = space ? space + 1 : argv[0];
    *err = (nl_error){0};
    int rest = argc;
    if (refuse_empty(argc, argv, command, err) || refuse_tilde(argc, argv, err)) return err->code;
    const int failure = argp_parse(&parent, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, &rest, &in);
    if (failure == ENOMEM && !err->code) nl_out_of_memory(command, 0);
    if (failure) {
        if (!err->code) nl_fail(err, NL_EUSAGE, command, "wrong arguments");
        if (!err->hint[0]) nl_hint(err, "%s --help", argv[0]);
        return err->code;
    }
    if (rest < argc) {
        nl_fail(err, NL_EUSAGE, command, "one argument too many: %.100s", argv[rest]);
        return nl_hint(err, "%s --help", argv[0]);
    }
    return NL_OK;
}

/* --- Values ---------------------------------------------------------------------------------- */

/* Digits, with a minus before them if `min` is below 0; moves *text behind them. */
static bool take_number(long long *value, const char **text, long long min, long long max) {
    const char *at = *text;
    if (*at == '-' && min < 0) at++;
    if (!isdigit((unsigned char)*at)) return false;
    char *end;
    *value = strtoll(*text, &end, 10); /* saturates, so that the range check catches it */
    *text = end;
    return *value >= min && *value <= max;
}

int nl_option_int(int *value, const char *option, const char *text, int min, int max,
                  nl_error *err) {
    const char *end = text;
    long long number = 0;
    if (take_number(&number, &end, min, max) && !*end) {
        *value = (int)number;
        return NL_OK;
    }
    if (max == INT_MAX)
        return nl_fail(err, NL_EUSAGE, option, "'%.80s': wants a whole number, %d or more", text,
                       min);
    return nl_fail(err, NL_EUSAGE, option, "'%.80s': wants a whole number, %d to %d", text, min,
                   max);
}

int nl_option_positive(double *value, const char *option, const char *text, nl_error *err) {
    char *end;
    *value = strtod(text, &end);
    const bool plain = strspn(text, "0123456789.eE+-") == strlen(text);
    if (plain && end != text && !*end && *value > 0 && isfinite(*value)) return NL_OK;
    return nl_fail(err, NL_EUSAGE, option, "'%.80s': wants a number above 0", text);
}

static int by_number(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int check_unique(const nl_seeds *seeds, const char *option, nl_error *err) {
    uint32_t *sorted = nl_alloc((size_t)seeds->count, sizeof *sorted, option);
    memcpy(sorted, seeds->list, (size_t)seeds->count * sizeof *sorted);
    qsort(sorted, (size_t)seeds->count, sizeof *sorted, by_number);
    int code = NL_OK;
    for (int i = 1; i < seeds->count && !code; i++)
        if (sorted[i] == sorted[i - 1])
            code = nl_fail(err, NL_EUSAGE, option, "seed %" PRIu32 " is there twice", sorted[i]);
    free(sorted);
    return code;
}

/* One part of the list, N or N-M, appended. */
static int take_range(nl_seeds *seeds, const char **text, const char *option, nl_error *err) {
    long long first = 0, last = 0;
    const char *start = *text;
    bool good = take_number(&first, text, 0, UINT32_MAX);
    last = first;
    if (good && **text == '-') {
        ++*text;
        good = take_number(&last, text, 0, UINT32_MAX);
    }
    if (!good || (**text && **text != ',')) {
        nl_fail(err, NL_EUSAGE, option, "'%.80s': wants seeds from 0 to %" PRIu32, start,
                UINT32_MAX);
        return nl_hint(err, "1 or 1-10 or 1,3,5");
    }
    if (last < first)
        return nl_fail(err, NL_EUSAGE, option, "%lld-%lld: the range is reversed", first, last);
    if (last - first >= NL_MAX_SEEDS - seeds->count)
        return nl_fail(err, NL_EUSAGE, option, "more than %d seeds", NL_MAX_SEEDS);
    for (; first <= last; first++) seeds->list[seeds->count++] = (uint32_t)first;
    return NL_OK;
}

int nl_option_seeds(nl_seeds *seeds, const char *option, const char *text, nl_error *err) {
    *seeds = (nl_seeds){.list = nl_alloc(NL_MAX_SEEDS, sizeof *seeds->list, option)};
    int code = take_range(seeds, &text, option, err);
    while (!code && *text == ',') {
        text++;
        code = take_range(seeds, &text, option, err);
    }
    if (!code) code = check_unique(seeds, option, err);
    if (!code) return NL_OK;
    free(seeds->list);
    *seeds = (nl_seeds){0};
    return code;
}
