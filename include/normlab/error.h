/* The two classes of failure.
 *
 * A programmer's mistake aborts with expression, file and line: NL_ASSERT. A user's mistake, or the
 * machine's, is reported: a function that can fail returns an exit code (0 is success) and fills
 * the nl_error it was given; main prints it as `normlab: WHERE: WHAT` and ends with that code.
 *
 *     if (!file) return nl_fail(err, NL_EDATA, path, "cannot open: %s", strerror(errno));
 */
#pragma once

#include <stddef.h> // size_t
#include <stdio.h>  // FILE

#ifdef __cplusplus
extern "C" {
#endif

/* Exit codes of the program. */
enum nl_code {
    NL_OK = 0,
    NL_EINTERNAL = 1,  /* internal error, or a check that failed */
    NL_EUSAGE = 2,     /* command line or config; a run that is already there */
    NL_EDATA = 3,      /* missing or bad data, checkpoint, --init or run folder */
    NL_EDEVICE = 4,    /* no such device, or it failed */
    NL_ENONFINITE = 5, /* the loss is no longer finite */
    NL_EWRITE = 6,     /* cannot write */
    NL_ESIGHUP = 129,
    NL_ESIGINT = 130,
    NL_ESIGTERM = 143
};

typedef struct nl_error {
    int code;
    char where[512]; /* file, file:line, option or layer */
    char what[512];
    char hint[512]; /* empty: none */
} nl_error;

/* Fills err (which may be NULL) and returns code. The hint is emptied. */
int nl_fail(nl_error *err, int code, const char *where, const char *what, ...)
    __attribute__((format(printf, 4, 5)));

/* Adds a hint to an error already filled; returns its code. */
int nl_hint(nl_error *err, const char *hint, ...) __attribute__((format(printf, 2, 3)));

/* Writes `normlab: WHERE: WHAT` and, if there is one, the hint to standard error. */
void nl_error_print(const nl_error *err);

/* `normlab: WHERE: warning: WHAT` on standard error; the program goes on. */
void nl_warn(const char *where, const char *what, ...) __attribute__((format(printf, 2, 3)));

/* Zeroed memory, aligned to 64 bytes; free() releases it. Never NULL: out of memory ends the
 * program with a message (exit 1) that names a smaller batch. `what` names the thing in it. */
void *nl_alloc(size_t count, size_t size, const char *what);

/* Flushes standard output in the middle of a work that goes on without it: where it is lost (a full
 * disk, a pipe whose reader ended) that is said once. */
void nl_log_flush(void);

/* For what a library allocates: NULL, or a stream in memory that could not grow, ends the program
 * in the same way. */
#define NL_NEED(expr) ((expr) ? (void)0 : nl_out_of_memory(#expr, 0))
void nl_out_of_memory(const char *what, size_t bytes) __attribute__((noreturn));

/* A stream whose text grows in memory, as open_memstream's does, but that ends the program where it
 * cannot grow. *text and *size hold all that was written, and a 0 behind it, once it is closed; the
 * caller frees the text. */
FILE *nl_text_open(char **text, size_t *size);
void nl_text_close(FILE *text);

/* jansson and libcrypto allocate by this too from here on: the one would go on without what it could
 * not get, the other crash. Before either is used. */
void nl_memory_open(void);

void nl_abort(const char *expr, const char *file, int line) __attribute__((noreturn));
#define NL_ASSERT(expr) ((expr) ? (void)0 : nl_abort(#expr, __FILE__, __LINE__))

#ifdef __cplusplus
}
#endif
