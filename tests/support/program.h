/* Runs a program and keeps what it said, for tests of the command line.
 *
 *     program_result r = RUN_NORMLAB("summary", "configs/gn.yaml");
 *     cr_assert_eq(r.code, 0, "%s", r.err);
 *     program_free(&r);
 *
 * A test that sends a signal: program_start, kill(p.pid, ...), program_wait.
 */
#pragma once

#include <stdbool.h>   // bool
#include <sys/types.h> // pid_t

typedef struct program {
    pid_t pid;
    int out, err; /* anonymous files that the program writes to */
} program;

typedef struct program_result {
    int code; /* exit code, or minus the signal that ended it */
    bool timed_out;
    char *out, *err; /* all that it wrote, with a closing 0 */
} program_result;

/* Starts argv[0] (a path) with standard input at /dev/null. Ends the test when it cannot. */
program program_start(const char *const argv[]);

/* Waits; after `seconds` kills it with SIGKILL. The caller frees. */
program_result program_wait(program *p, double seconds);

/* Both in one. */
program_result program_run(const char *const argv[], double seconds);

void program_free(program_result *result);

/* The program under test with these arguments, for at most a minute. */
#define RUN_NORMLAB(...) program_run((const char *const[]){NL_PROGRAM, __VA_ARGS__, NULL}, 300)
