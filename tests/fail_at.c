/* A library to be preloaded into the program: makes the NL_FAIL_AT-th call of one kind fail, once,
 * as a full disk, a broken one or a machine without memory would. What it does:
 *
 *     NL_FAIL_KIND   write (also what the C library writes for a stream), fsync, rename, open,
 *                    close, access, read, seek, unlink, mkdir, link, list, lock, start
 *                    (a thread or a process) or memory
 *     NL_FAIL_AT     number of the call, from 1; 0: none, only count
 *     NL_FAIL_LIST   instead: each fails in a copy of the process (fail_each.h), which is told here
 *     NL_FAIL_STEP   but only each so-manieth one
 *     NL_FAIL_COUNT  file that takes the number of calls at the program's end
 *     NL_FAIL_LOG    file that takes a line for each fsync and rename, and for each flush of a
 *                    stream: what is promised in which order
 *
 * Programs that normlab starts are left alone. */
#include <dirent.h>    // opendir
#include <dlfcn.h>     // dlsym
#include <errno.h>     // errno
#include <fcntl.h>     // O_CREAT
#include <pthread.h>   // pthread_create
#include <stdarg.h>    // va_list
#include <stdatomic.h> // atomic_long
#include <stdbool.h>   // bool
#include <stdio.h>     // FILE
#include <stdlib.h>    // getenv
#include <string.h>    // strcmp
#include <sys/file.h>  // flock
#include <sys/stat.h>  // stat
#include <sys/wait.h>  // wait
#include <unistd.h>    // write

#include "fail_at.h"
#include "fail_each.h"

static atomic_long calls;
static long fail_at, fail_step = 1;
static const char *kind, *list;
static int log_file = -1;
static _Thread_local bool starting; /* a thread */

/* Called before main; what libraries do before that is none of the program's. */
static int (*program_main)(int, char **, char **);

static int begin(int argc, char **argv, char **environment) {
    const char *at = getenv("NL_FAIL_AT"), *log = getenv("NL_FAIL_LOG");
    const char *step = getenv("NL_FAIL_STEP");
    if (strcmp(program_invocation_short_name, "normlab") == 0) {
        fail_at = at ? atol(at) : 0;
        if (log) log_file = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (step) fail_step = atol(step);
        list = getenv("NL_FAIL_LIST");
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

/* Whether calls of this kind change what is outside of the process; opening for that does too. */
static bool changes(const char *of) {
    static const char *const kinds[] = {"write", "fsync", "rename", "unlink",
                                        "mkdir", "link",  "start"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i], of) == 0) return true;
    return false;
}

bool fails(const char *of, int number) {
    if (fail_each_is_copy()) {
        if (changes(of)) _exit(FAIL_EACH_WENT_ON);
        return false;
    }
    if (!kind || strcmp(kind, of) != 0) return false;
    const long n = atomic_fetch_add(&calls, 1) + 1;
    if (!(list ? n % fail_step == 0 && fail_each(n, !starting, list) : n == fail_at)) return false;
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
    va_list arguments;
    va_start(arguments, flags);
    const int mode = flags & O_CREAT ? va_arg(arguments, int) : 0;
    va_end(arguments);
    if (fail_each_is_copy() && (flags & O_ACCMODE) != O_RDONLY) _exit(FAIL_EACH_WENT_ON);
    if (fails("open", EMFILE)) return -1;
    return REAL(open)(path, flags, mode);
}

FILE *fopen(const char *path, const char *mode) {
    if (fail_each_is_copy() && mode[strcspn(mode, "wa+")]) _exit(FAIL_EACH_WENT_ON);
    if (fails("open", EMFILE)) return NULL;
    return REAL(fopen)(path, mode);
}

int close(int file) {
    const int rc = REAL(close)(file);
    return fails("close", EIO) ? -1 : rc;
}

int fclose(FILE *stream) {
    const bool in_memory = fileno(stream) < 0;
    const int rc = REAL(fclose)(stream);
    return !in_memory && fails("close", EIO) ? EOF : rc;
}

/* --- reading and looking --- */

ssize_t read(int file, void *bytes, size_t size) {
    return fails("read", EIO) ? -1 : REAL(read)(file, bytes, size);
}

/* A stream that has failed says so: there is no function that makes it. libxlsxwriter does not ask
 * when it reads its own temporary files. */
bool stream_fails(FILE *stream) {
    if (fails_book_is_open || fileno(stream) < 0 || !fails("read", EIO)) return false;
    stream->_flags |= _IO_ERR_SEEN;
    return true;
}

size_t fread(void *bytes, size_t size, size_t count, FILE *stream) {
    return stream_fails(stream) ? 0 : REAL(fread)(bytes, size, count, stream);
}

/* Most of them come from the stream's buffer. */
int fgetc(FILE *stream) {
    const bool reads = stream->_IO_read_ptr >= stream->_IO_read_end;
    return reads && stream_fails(stream) ? EOF : REAL(fgetc)(stream);
}

ssize_t getline(char **line, size_t *room, FILE *stream) {
    return stream_fails(stream) ? -1 : REAL(getline)(line, room, stream);
}

int access(const char *path, int mode) {
    return fails("access", EACCES) ? -1 : REAL(access)(path, mode);
}

int stat(const char *path, struct stat *info) {
    return fails("access", EACCES) ? -1 : REAL(stat)(path, info);
}

int lstat(const char *path, struct stat *info) {
    return fails("access", EACCES) ? -1 : REAL(lstat)(path, info);
}

int fstat(int file, struct stat *info) {
    return fails("access", EACCES) ? -1 : REAL(fstat)(file, info);
}

DIR *opendir(const char *path) {
    return fails("list", EMFILE) ? NULL : REAL(opendir)(path);
}

int scandir(const char *path, struct dirent ***names, int (*choose)(const struct dirent *),
            int (*compare)(const struct dirent **, const struct dirent **)) {
    return fails("list", EMFILE) ? -1 : REAL(scandir)(path, names, choose, compare);
}

off_t lseek(int file, off_t offset, int whence) {
    return fails("seek", EIO) ? -1 : REAL(lseek)(file, offset, whence);
}

int fseek(FILE *stream, long offset, int whence) {
    return fails("seek", EIO) ? -1 : REAL(fseek)(stream, offset, whence);
}

int fseeko(FILE *stream, off_t offset, int whence) {
    return fails("seek", EIO) ? -1 : REAL(fseeko)(stream, offset, whence);
}

off_t ftello(FILE *stream) {
    return fails("seek", EIO) ? -1 : REAL(ftello)(stream);
}

/* --- changing what is there --- */

int remove(const char *path) {
    return fails("unlink", EIO) ? -1 : REAL(remove)(path);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    note("rename", -1, to);
    if (fails("rename", EIO)) return -1;
    return REAL(renameat2)(from_folder, from, to_folder, to, flags);
}

int unlink(const char *path) {
    return fails("unlink", EIO) ? -1 : REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
    return fails("mkdir", ENOSPC) ? -1 : REAL(mkdir)(path, mode);
}

int link(const char *from, const char *to) {
    return fails("link", EIO) ? -1 : REAL(link)(from, to);
}

int flock(int file, int operation) {
    return fails("lock", EIO) ? -1 : REAL(flock)(file, operation);
}

/* --- starting --- */

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *of) {
    if (fails("start", EAGAIN)) return EAGAIN;
    starting = true;
    const int rc = REAL(pthread_create)(thread, how, run, of);
    starting = false;
    return rc;
}

/* A copy of the process has none of its other threads and children. */
int pthread_join(pthread_t thread, void **result) {
    if (fail_each_is_copy()) _exit(FAIL_EACH_WENT_ON);
    return REAL(pthread_join)(thread, result);
}

pid_t wait(int *status) {
    if (fail_each_is_copy()) _exit(FAIL_EACH_WENT_ON);
    return REAL(wait)(status);
}

pid_t fork(void) {
    return fails("start", EAGAIN) ? -1 : REAL(fork)();
}
