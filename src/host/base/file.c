/* Writing a file so that a reader, or a machine that loses power, finds the old content or the new,
 * never a part: the bytes go to a temporary file in the same folder, down to the disk, and only
 * then under the real name; then the folder itself, which holds the name, goes to the disk. */
#include <errno.h>      // errno
#include <fcntl.h>      // open
#include <inttypes.h>   // PRIx32
#include <libgen.h>     // dirname
#include <stdatomic.h>  // atomic_bool
#include <stdbool.h>    // bool
#include <stdio.h>      // snprintf, rename
#include <stdlib.h>     // realpath, free
#include <string.h>     // strerror
#include <sys/random.h> // getrandom
#include <sys/stat.h>   // stat
#include <unistd.h>     // write, fsync, unlink

#include "folder.h"             // nl_folder_sync
#include "normlab/checkpoint.h" // nl_file_write

enum { PATH_SIZE = 4096 };

static _Thread_local struct {
    nl_guard *ask;
    void *context;
} guard;

void nl_file_guard(nl_guard *ask, void *context) {
    guard.ask = ask;
    guard.context = context;
}

static int ask_guard(nl_error *err) {
    return guard.ask ? guard.ask(guard.context, err) : NL_OK;
}

int nl_cannot_write(const char *path, nl_error *err) {
    const bool no_folder = errno == ENOENT;
    nl_fail(err, NL_EWRITE, path, "cannot write: %s", strerror(errno));
    return no_folder ? nl_hint(err, "its folder is not there: make it first") : NL_EWRITE;
}

static int write_all(int file, const char *bytes, size_t size) {
    while (size > 0) {
        const ssize_t done = write(file, bytes, size);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return -1;
        bytes += done;
        size -= (size_t)done;
    }
    return 0;
}

/* 0, or -1 with errno of the first failure; the file is closed either way. */
static int fill(int file, const void *bytes, size_t size, bool to_disk) {
    int rc = write_all(file, bytes, size);
    if (!rc && to_disk) rc = fsync(file);
    const int failure = errno;
    const int closed = close(file);
    if (rc) errno = failure;
    return rc ? rc : closed;
}

/* A file system without sync of folders is not the user's fault: said once, and gone on. */
static bool knows_no_sync(const char *path, int failure) {
    static atomic_bool warned;
    const bool unknown = failure == EINVAL || failure == ENOSYS || failure == EOPNOTSUPP;
    if (unknown && !atomic_exchange(&warned, true))
        nl_warn(path,
                "this file system cannot sync a folder (%s): after a power failure an older "
                "file may be there",
                strerror(failure));
    return unknown;
}

int nl_folder_sync(const char *path) {
    char copy[PATH_SIZE];
    snprintf(copy, sizeof copy, "%s", path);
    const int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return -1;
    int rc = fsync(folder);
    const int failure = errno;
    close(folder);
    if (rc && knows_no_sync(path, failure)) rc = 0;
    errno = failure;
    return rc;
}

/* A device or a pipe is never replaced: it takes the bytes. */
static int write_into(const char *path, const void *bytes, size_t size, nl_error *err) {
    const int refused = ask_guard(err);
    if (refused) return refused;
    const int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file >= 0 && fill(file, bytes, size, false) == 0) return NL_OK;
    return nl_fail(err, NL_EWRITE, path, "cannot write into it: %s", strerror(errno));
}

/* target: where a file has to stand, behind all symbolic links. */
static bool resolve(char target[PATH_SIZE], const char *path) {
    char *real = realpath(path, NULL);
    const int length = snprintf(target, PATH_SIZE, "%s", real ? real : path);
    free(real);
    return length >= 0 && length < PATH_SIZE;
}

/* Of a name that no other thread, process or machine uses for the same target. */
static int open_temporary(char temporary[PATH_SIZE + 32], const char *target) {
    uint32_t number;
    NL_ASSERT(getrandom(&number, sizeof number, 0) == sizeof number);
    snprintf(temporary, PATH_SIZE + 32, "%s.%08" PRIx32 ".tmp", target, number);
    return open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
}

int nl_file_write(const char *path, const void *bytes, size_t size, nl_error *err) {
    char target[PATH_SIZE], temporary[PATH_SIZE + 32];
    struct stat info;
    const bool there = stat(path, &info) == 0;
    if (there && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))
        return write_into(path, bytes, size, err);
    if (!resolve(target, path)) {
        errno = ENAMETOOLONG;
        return nl_cannot_write(path, err);
    }
    const int file = open_temporary(temporary, target);
    if (file < 0) return nl_cannot_write(path, err);
    int code = fill(file, bytes, size, true) ? nl_cannot_write(path, err) : ask_guard(err);
    if (!code && rename(temporary, target)) code = nl_cannot_write(path, err);
    if (code) {
        unlink(temporary);
        return code;
    }
    if (nl_folder_sync(target))
        return nl_fail(err, NL_EWRITE, path, "cannot sync its folder: %s", strerror(errno));
    return NL_OK;
}

char *nl_path(const char *folder, const char *file) {
    char *path = NULL;
    NL_NEED(asprintf(&path, "%s/%s", folder, file) >= 0);
    return path;
}
