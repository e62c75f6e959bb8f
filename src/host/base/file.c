/* Writing a file so that a reader, or a machine that loses power, finds the old content or the new,
 * never a part: the bytes go to a temporary file in the same folder, down to the disk, and only
 * then under the real name; then the folder itself, which holds the name, goes to the disk. */
#include <errno.h>   // errno
#include <fcntl.h>   // open
#include <libgen.h>  // dirname
#include <stdbool.h> // bool
#include <stdio.h>   // snprintf, rename
#include <string.h>  // strerror
#include <unistd.h>  // write, fsync, unlink

#include "normlab/checkpoint.h" // nl_file_write

enum { PATH_SIZE = 4096 };

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
static int fill(int file, const void *bytes, size_t size) {
    int rc = write_all(file, bytes, size);
    if (!rc) rc = fsync(file);
    const int failure = errno;
    const int closed = close(file);
    if (rc) errno = failure;
    return rc ? rc : closed;
}

/* A file system without sync of folders is not the user's fault: said once, and gone on. */
static bool knows_no_sync(const char *path, int failure) {
    static bool warned;
    const bool unknown = failure == EINVAL || failure == ENOSYS || failure == EOPNOTSUPP;
    if (unknown && !warned) {
        nl_warn(path,
                "this file system cannot sync a folder (%s): after a power failure an older "
                "file may be there",
                strerror(failure));
        warned = true;
    }
    return unknown;
}

static int sync_folder(const char *path) {
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

int nl_file_write(const char *path, const void *bytes, size_t size, nl_error *err) {
    char temporary[PATH_SIZE];
    const int length = snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
    if (length < 0 || length >= PATH_SIZE) {
        return nl_fail(err, NL_EWRITE, path, "cannot write: %s", strerror(ENAMETOOLONG));
    }
    const int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) return nl_fail(err, NL_EWRITE, path, "cannot write: %s", strerror(errno));
    if (fill(file, bytes, size) || rename(temporary, path)) {
        const int failure = errno;
        unlink(temporary);
        return nl_fail(err, NL_EWRITE, path, "cannot write: %s", strerror(failure));
    }
    if (sync_folder(path)) {
        return nl_fail(err, NL_EWRITE, path, "cannot sync its folder: %s", strerror(errno));
    }
    return NL_OK;
}

char *nl_path(const char *folder, const char *file) {
    char *path = NULL;
    NL_NEED(asprintf(&path, "%s/%s", folder, file) >= 0);
    return path;
}
