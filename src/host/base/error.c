/* Reporting failures; see normlab/error.h for the two classes. */
#include "normlab/error.h"

#include <ctype.h>   // iscntrl
#include <errno.h>   // errno
#include <stdarg.h>  // va_list
#include <stdbool.h> // bool
#include <stdint.h>  // SIZE_MAX
#include <stdio.h>   // fprintf
#include <stdlib.h>  // aligned_alloc, abort
#include <string.h>  // memset
#include <unistd.h>  // _exit

/* A message is one line, whatever names and values of the user's it quotes. */
static void make_one_line(char *text) {
    for (; *text; text++)
        if (iscntrl((unsigned char)*text)) *text = '?';
}

int nl_fail(nl_error *err, int code, const char *where, const char *what, ...) {
    if (!err) return code;
    err->code = code;
    snprintf(err->where, sizeof err->where, "%s", where);
    va_list args;
    va_start(args, what);
    vsnprintf(err->what, sizeof err->what, what, args);
    va_end(args);
    make_one_line(err->where);
    make_one_line(err->what);
    err->hint[0] = '\0';
    return code;
}

int nl_hint(nl_error *err, const char *hint, ...) {
    if (!err) return NL_EINTERNAL;
    va_list args;
    va_start(args, hint);
    vsnprintf(err->hint, sizeof err->hint, hint, args);
    va_end(args);
    make_one_line(err->hint);
    return err->code;
}

void nl_error_print(const nl_error *err) {
    fprintf(stderr, "normlab: %s: %s\n", err->where, err->what);
    if (err->hint[0]) fprintf(stderr, "         hint: %s\n", err->hint);
}

void nl_warn(const char *where, const char *what, ...) {
    char place[4096], text[4096];
    snprintf(place, sizeof place, "%s", where);
    va_list args;
    va_start(args, what);
    vsnprintf(text, sizeof text, what, args);
    va_end(args);
    make_one_line(place);
    make_one_line(text);
    fprintf(stderr, "normlab: %s: warning: %s\n", place, text);
}

void *nl_alloc(size_t count, size_t size, const char *what) {
    NL_ASSERT(size > 0 && count <= (SIZE_MAX - 64) / size);
    const size_t bytes = (count * size + 64) / 64 * 64; /* at least 64: never an empty block */
    void *memory = aligned_alloc(64, bytes);
    if (!memory) nl_out_of_memory(what, bytes);
    return memset(memory, 0, bytes);
}

/* Without a stream's buffer and without exit's handlers: nothing is there to be had. */
void nl_out_of_memory(const char *what, size_t bytes) {
    dprintf(STDERR_FILENO, "normlab: %s: out of memory", what);
    if (bytes) dprintf(STDERR_FILENO, ": %zu bytes wanted", bytes);
    dprintf(STDERR_FILENO, "\n         hint: a smaller batch takes less: data.batch in the config, "
                           "or --set data.batch=N\n");
    fflush(stdout);
    _exit(NL_EINTERNAL);
}

void nl_log_flush(void) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return;
    nl_warn("standard output", "%s: what would be said is lost from here on", strerror(errno));
    NL_ASSERT(freopen("/dev/null", "w", stdout));
}

void nl_abort(const char *expr, const char *file, int line) {
    fprintf(stderr, "normlab: %s:%d: assertion failed: %s\n", file, line, expr);
    abort();
}
