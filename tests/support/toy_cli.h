/* The program training the toy study, for tests of the command line: one study a test, trained into
 * its out folder.
 *
 *     TestSuite(name, .init = toy_cli_open, .fini = toy_cli_close);
 */
#pragma once

#include "support/program.h" // program_result
#include "support/toy.h"     // toy

extern toy toy_cli;
extern char toy_yaml[256], toy_data[256];

void toy_cli_open(void);
void toy_cli_close(void);

/* The toy trained into its out folder; more arguments follow and win. */
#define TRAIN(...)                                                                                 \
    RUN_NORMLAB("train", toy_yaml, "--data", toy_data, "--device", "cpu", "--no-report", "--out",  \
                toy_cli.out, __VA_ARGS__)

/* Ended with that code and said that (or NULL) on standard error. Frees the result. */
void expect_code(program_result r, int code, const char *said);

/* Content of a file of the unit, which must be there; the caller frees. */
char *unit_content(const char *out, const char *file);
bool unit_has(const char *out, const char *file);

/* The status in run.json. */
void expect_status(const char *status);

/* text: the path of another folder or file of the study. */
const char *toy_path(char text[256], const char *name);
