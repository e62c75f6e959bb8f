/* Making folders; see folder.h. */
#include "folder.h"

#include <errno.h>    // errno
#include <stdbool.h>  // bool
#include <stdlib.h>   // free
#include <string.h>   // strchr, strerror
#include <sys/stat.h> // mkdir

static int make_one(const char *path, nl_error *err) {
    struct stat info;
    if (mkdir(path, 0777) == 0) {
        if (nl_folder_sync(path) == 0 || errno == EACCES) return NL_OK; /* may not be opened */
        return nl_fail(err, NL_EWRITE, path, "cannot sync its name: %s", strerror(errno));
    }
    const int number = errno;
    const bool there = stat(path, &info) == 0;
    if (there && S_ISDIR(info.st_mode)) return NL_OK;
    nl_fail(err, NL_EWRITE, path, "cannot make the folder: %s", strerror(number));
    if (there && err) nl_hint(err, "a file has its name: move it away");
    return NL_EWRITE;
}

int nl_folder_make(const char *path, nl_error *err) {
    char *part = strdup(path);
    NL_NEED(part);
    int code = NL_OK;
    for (char *slash = part + (*part == '/'); !code && (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        code = make_one(part, err);
        *slash = '/';
    }
    free(part);
    return code ? code : make_one(path, err);
}
