/* What the fuzzers of the readers share. Each fuzz_X.c is one target: LLVMFuzzerTestOneInput reads its
 * input as a file that anybody may have written, and holds what comes of it against what the reader
 * promises. clang links a target with libFuzzer (preset fuzz, scripts/fuzz.sh); every other build
 * links it with replay.c, which runs the committed inputs (corpus/X) in the tests.
 */
#pragma once

#include <stdbool.h> // bool
#include <stddef.h>  // size_t
#include <stdint.h>  // uint8_t

#include "normlab/config.h" // nl_config
#include "normlab/error.h"  // nl_error

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise that is not kept ends the program. */
#define HOLDS(expr) ((expr) ? (void)0 : fuzz_fail(#expr, __FILE__, __LINE__))
void fuzz_fail(const char *expr, const char *file, int line) __attribute__((noreturn));

/* What came of an input. Counted: a corpus that is all taken, or all refused, shows little. */
void fuzz_count(bool taken);
extern int fuzz_taken, fuzz_refused;

/* The path of a file of that name in a folder of this process alone, which is made in $TMPDIR or /tmp
 * and removed at the end (not by libFuzzer, which ends by _exit). Valid until the fourth call after
 * it. */
const char *fuzz_path(const char *name);

/* Writes such a file, and takes it away. */
const char *fuzz_file(const char *name, const void *bytes, size_t size);
void fuzz_remove(const char *name);

/* The same of a data file, raw or as NAME.gz, by the first two bits of `how`: raw; the bytes as they
 * are, called .gz; gzipped here, so that a change of a byte passes the checksum. Whichever of the two
 * names is not taken is not there. Returns the path of NAME. */
const char *fuzz_data_file(const char *name, unsigned how, const void *bytes, size_t size);

/* Fills an error with what no reader leaves there. */
void fuzz_no_error(nl_error *err);

/* rc is 0 or `code`; then the error has that code and says where and what, in one line each. Returns
 * whether it is 0. */
bool fuzz_went_well(int rc, int code, const nl_error *err);

/* From here on standard error is kept; fuzz_heard gives it back, and what was said has to be whole
 * lines of normlab's without a control character. Returns their number. */
void fuzz_hear(void);
int fuzz_heard(void);

/* A config that was accepted: each value is in its range, and JSON brings all of it back. */
void fuzz_check_config(const nl_config *config);
