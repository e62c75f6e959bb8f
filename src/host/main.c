/* normlab: dispatches to one file per command, src/host/cli/cmd_<command>.c.
 *
 * All other files are compiled for x86-64-v3. This one is not (see CMakeLists.txt), so that it can
 * say on an older CPU what is missing, instead of dying of an illegal instruction; it calls nothing
 * of ours before that.
 */
#include <fcntl.h>        // open
#include <signal.h>       // signal
#include <stdbool.h>      // bool
#include <stdio.h>        // printf
#include <string.h>       // strcmp
#include <sys/resource.h> // getrlimit
#include <unistd.h>       // STDERR_FILENO

#include "cli/commands.h"
#include "base/nearest.h"  // nl_nearest
#include "normlab/error.h" // nl_error

typedef struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} command;

static const command commands[] = {
    {"train", nl_cmd_train, "trains each config with each seed, then writes the report"},
    {"eval", nl_cmd_eval, "loss, accuracy and confusion matrix of a checkpoint"},
    {"report", nl_cmd_report, "plots, grids, workbook, findings and page of a run folder"},
    {"plan", nl_cmd_plan, "seeds that settle each pair of variants, and the hours they take"},
    {"worksheet", nl_cmd_worksheet, "a workbook that computes the norms by live formulas"},
    {"summary", nl_cmd_summary, "shapes, receptive fields, parameters and work of each layer"},
    {"verify", nl_cmd_verify, "every operation of this machine's device against double precision"},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

/* --- The machine ----------------------------------------------------------------------------- */

static bool cpu_is_able(void) {
#ifdef __x86_64__
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
    return true;
#endif
}

/* --- Help ------------------------------------------------------------------------------------ */

static void print_help(FILE *stream) {
    fprintf(stream, "Usage: normlab COMMAND [ARGUMENT...]\n\n"
                    "Trains one small network on MNIST with different normalisations and compares "
                    "them.\n\nCommands:\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(stream, "  %-10s %s\n", commands[i].name, commands[i].help);
    fprintf(stream, "\nnormlab COMMAND --help (or -h) tells the arguments of a command, "
                    "normlab --version [--verbose] what is built in.\n\n"
                    "Exit codes: 0 done; 1 internal error, or a check that failed; 2 usage or "
                    "config;\n3 data, checkpoint or run folder; 4 device; 5 loss no longer finite; "
                    "6 cannot write;\n128 + signal interrupted.\n");
}

static int unknown(const char *name) {
    const char *names[COMMANDS];
    for (int i = 0; i < COMMANDS; i++) names[i] = commands[i].name;
    nl_error err;
    nl_fail(&err, NL_EUSAGE, name, name[0] == '-' ? "unknown option" : "unknown command");
    const char *meant = nl_nearest(name, names, COMMANDS);
    if (meant)
        nl_hint(&err, "did you mean %s?", meant);
    else
        nl_hint(&err, "normlab --help lists the commands");
    nl_error_print(&err);
    return NL_EUSAGE;
}

/* --- Dispatch -------------------------------------------------------------------------------- */

static int dispatch(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        fputs("\nnormlab: COMMAND: missing\n", stderr);
        return NL_EUSAGE;
    }
    const char *name = argv[1];
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "-?") ||
        !strcmp(name, "help")) {
        print_help(stdout);
        return NL_OK;
    }
    if (!strcmp(name, "--version")) return nl_cmd_version(argc - 1, argv + 1);
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) != 0) continue;
        char full[32];
        snprintf(full, sizeof full, "normlab %s", name);
        argv[1] = full;
        return commands[i].run(argc - 1, argv + 1);
    }
    return unknown(name);
}

/* --- What the caller left ------------------------------------------------------------------- */

/* A descriptor of 0 to 2 that is closed would be the next file's, and what is printed would go into
 * it. /dev/null stands there instead; standard output without the right to write, so that a command
 * whose result nobody gets still says so. */
static bool open_standard(void) {
    for (int i = 0; i <= STDERR_FILENO; i++)
        if (fcntl(i, F_GETFD) < 0 && open("/dev/null", i == STDERR_FILENO ? O_RDWR : O_RDONLY) != i)
            return false;
    return true;
}

/* The workbook's library, and gnuplot, want more stack than the smallest limits give. */
static bool has_stack(void) {
    enum { LEAST = 256 * 1024 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= LEAST) return true;
    if (limit.rlim_max < LEAST) return false;
    limit.rlim_cur = LEAST;
    return setrlimit(RLIMIT_STACK, &limit) == 0;
}

int main(int argc, char **argv) {
    if (!cpu_is_able()) {
        fputs("normlab: CPU: too old: it needs AVX2, FMA and BMI2 (x86-64-v3; Intel since 2013, "
              "AMD since 2015)\n",
              stderr);
        return NL_EDEVICE;
    }
    if (!open_standard()) return NL_EINTERNAL;
    if (!has_stack()) {
        fputs("normlab: stack: the limit is too low, 256 KiB are needed\n"
              "         hint: ulimit -s 8192\n",
              stderr);
        return NL_EINTERNAL;
    }
    signal(SIGXFSZ, SIG_IGN); /* a file that grows past a limit is an error of its write */
    nl_memory_open();
    const int code = dispatch(argc, argv);
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    perror("normlab: standard output");
    return code ? code : NL_EWRITE;
}
