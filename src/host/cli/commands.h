/* The commands of the program: one file each, src/host/cli/cmd_<command>.c. Each gets its own
 * argument list, whose argv[0] is "normlab COMMAND", prints its own error with nl_error_print and
 * returns the exit code. main flushes standard output behind it.
 */
#pragma once

#include <stdio.h> // FILE

int nl_cmd_train(int argc, char **argv);
int nl_cmd_eval(int argc, char **argv);
int nl_cmd_summary(int argc, char **argv);
int nl_cmd_report(int argc, char **argv);
int nl_cmd_plan(int argc, char **argv);
int nl_cmd_verify(int argc, char **argv);
int nl_cmd_version(int argc, char **argv); /* argv[0] is --version */
int nl_cmd_worksheet(int argc, char **argv);

/* The backends of this build, for --version: "cpu cpu64". */
const char *nl_backends_built(void);

/* What --version --verbose tells of backends that need more than a CPU. */
void nl_backends_about(FILE *out);
