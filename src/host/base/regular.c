#include "regular.h"

#include <errno.h>    // errno
#include <fcntl.h>    // open
#include <stdint.h>   // INT64_MAX
#include <stdlib.h>   // free
#include <string.h>   // strerror
#include <sys/stat.h> // fstat
#include <unistd.h>   // close

#include "normlab/error.h" // nl_alloc

static FILE *refuse(int file, int number, const char *what, char reason[NL_REASON]) {
    if (file >= 0) close(file);
    snprintf(reason, NL_REASON, "%s", what);
    errno = number;
    return NULL;
}

static FILE *open_up_to(off_t most, const char *path, char reason[NL_REASON]) {
    struct stat info;
    /* without waiting for a pipe's writer; regular files know no such mode */
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 || fstat(file, &info) != 0) return refuse(file, errno, strerror(errno), reason);
    if (S_ISDIR(info.st_mode)) return refuse(file, EISDIR, "is a folder", reason);
    if (!S_ISREG(info.st_mode)) return refuse(file, EINVAL, "is not a regular file", reason);
    if (info.st_size > most) return refuse(file, EFBIG, "is larger than 4 GiB", reason);
    FILE *stream = fdopen(file, "rb");
    return stream ? stream : refuse(file, errno, strerror(errno), reason);
}

FILE *nl_regular_open(const char *path, char reason[NL_REASON]) {
    return open_up_to((off_t)4 << 30, path, reason);
}

FILE *nl_regular_open_large(const char *path, char reason[NL_REASON]) {
    return open_up_to(INT64_MAX, path, reason);
}

char *nl_regular_read(const char *path, size_t *size, char reason[NL_REASON]) {
    struct stat info;
    FILE *file = nl_regular_open(path, reason);
    if (!file) return NULL;
    char *text = NULL;
    if (fstat(fileno(file), &info) == 0) {
        text = nl_alloc((size_t)info.st_size + 1, 1, path);
        *size = fread(text, 1, (size_t)info.st_size, file);
    }
    const int failure = text && !ferror(file) ? 0 : errno;
    fclose(file);
    if (!failure) return text;
    free(text);
    refuse(-1, failure, strerror(failure), reason);
    return NULL;
}
