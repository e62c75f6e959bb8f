/* A library to be preloaded into the program: makes the NL_FAIL_AT-th call of one kind fail, once,
 * as a full disk, a broken one or a machine without memory would. What it does:
 *
 *     NL_FAIL_KIND   write (also what the C library writes for a stream), fsync, rename, open,
 *                    close or memory
 *     NL_FAIL_AT     number of the call, from 1; 0: none, only count
 *     NL_FAIL_COUNT  file that takes the number of calls at the program's end
 *     NL_FAIL_LOG    file that takes a line for each fsync and rename, and for each flush of a
 *                    stream: what is promised in which order
 *
 * Programs that normlab starts are left alone. */
#include <dlfcn.h>     // dlsym
#include <errno.h>     // errno
#include <fcntl.h>     // O_CREAT
#include <stdarg.h>    // va_list
#include <stdatomic.h> // atomic_long
#include <stdbool.h>   // bool
#include <stdio.h>     // FILE
#include <stdlib.h>    // getenv
#include <string.h>    // strcmp
#include <unistd.h>    // write

static atomic_long calls;
static long fail_at;
static const char *kind;
static int log_file = -1;

/* The C library's own. */
#define REAL(name) (__extension__(__typeof__(&name)) dlsym(RTLD_NEXT, #name))

/* Called before main; what libraries do before that is none of the program's. */
static int (*program_main)(int, char **, char **);

static int begin(int argc, char **argv, char **environment) {
    const char *at = getenv("NL_FAIL_AT"), *log = getenv("NL_FAIL_LOG");
    if (strcmp(program_invocation_short_name, "normlab") == 0) {
        fail_at = at ? atol(at) : 0;
        if (log) log_file = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        kind = getenv("NL_FAIL_KIND");
    }
    return program_main(argc, argv, environment);
}

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end);
int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end) {
    program_main = main;
    return REAL(__libc_start_main)(begin, argc, argv, init, fini, rtld_fini, stack_end);
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("NL_FAIL_COUNT");
    char text[32];
    if (!path || !kind) return;
    kind = NULL;
    const int length = snprintf(text, sizeof text, "%ld\n", calls);
    const int file = REAL(open)(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) return;
    if (REAL(write)(file, text, (size_t)length) < 0) perror(path);
    REAL(close)(file);
}

/* Whether this call is the one. */
static bool fails(const char *of, int number) {
    if (!kind || strcmp(kind, of) != 0) return false;
    if (atomic_fetch_add(&calls, 1) + 1 != fail_at) return false;
    errno = number;
    return true;
}

static void note(const char *what, int file, const char *name) {
    char link[64], path[4096] = "", line[4400];
    if (log_file < 0) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (!name && readlink(link, path, sizeof path - 1) < 0) path[0] = '\0';
    const int length = snprintf(line, sizeof line, "%s %s\n", what, name ? name : path);
    if (REAL(write)(log_file, line, (size_t)length) < 0) perror("log");
}

/* --- writing --- */

ssize_t write(int file, const void *bytes, size_t size) {
    if (fails("write", ENOSPC)) return -1;
    return REAL(write)(file, bytes, size);
}

/* The C library writes behind the preloaded write; the program flushes where it counts on it. */
int fflush(FILE *stream) {
    if (stream && fileno(stream) > 2) {
        note("flush", fileno(stream), NULL);
        if (fails("write", ENOSPC)) return EOF;
    }
    return REAL(fflush)(stream);
}

int fsync(int file) {
    note("fsync", file, NULL);
    if (fails("fsync", EIO)) return -1;
    return REAL(fsync)(file);
}

int rename(const char *from, const char *to) {
    note("rename", -1, to);
    if (fails("rename", EIO)) return -1;
    return REAL(rename)(from, to);
}

/* --- opening and closing --- */

int open(const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    const int mode = flags & O_CREAT ? va_arg(list, int) : 0;
    va_end(list);
    if (fails("open", EMFILE)) return -1;
    return REAL(open)(path, flags, mode);
}

FILE *fopen(const char *path, const char *mode) {
    if (fails("open", EMFILE)) return NULL;
    return REAL(fopen)(path, mode);
}

int close(int file) {
    const int rc = REAL(close)(file);
    return fails("close", EIO) ? -1 : rc;
}

int fclose(FILE *stream) {
    const int rc = REAL(fclose)(stream);
    return fails("close", EIO) ? EOF : rc;
}

/* --- memory: dlsym itself takes some, so these go to the C library by its own names --- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

/* libxlsxwriter dereferences what it did not get, and takes no allocator from outside: it always
 * gets its memory. */
static bool is_spared(const void *caller) {
    Dl_info info;
    return kind && strcmp(kind, "memory") == 0 && dladdr(caller, &info) && info.dli_fname &&
           strstr(info.dli_fname, "libxlsxwriter");
}

static bool lacks(const void *caller) {
    return !is_spared(caller) && fails("memory", ENOMEM);
}

void *malloc(size_t size) {
    return lacks(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    return lacks(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
    return lacks(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return lacks(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}
