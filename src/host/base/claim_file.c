#include "claim_file.h"

#include <errno.h>    // errno
#include <fcntl.h>    // open
#include <inttypes.h> // PRIu64
#include <stdio.h>    // snprintf
#include <stdlib.h>   // strtoull
#include <string.h>   // strcmp
#include <sys/stat.h> // stat
#include <unistd.h>   // link, unlink

#include "normlab/run_files.h" // NL_FILE_CLAIM

static const char claim_name[] = NL_FILE_CLAIM;

bool nl_claim_owns_file(const char *name) {
    const size_t length = strlen(claim_name);
    return strcmp(name, NL_FILE_LOCK) == 0 ||
           (strncmp(name, claim_name, length) == 0 && (!name[length] || name[length] == '.'));
}

void nl_claim_path(char path[NL_CLAIM_PATH], const char *folder, const char *id) {
    snprintf(path, NL_CLAIM_PATH, "%s/%s%s%s", folder, claim_name, id ? "." : "", id ? id : "");
}

int nl_claim_read(nl_claim_owner *who, const char *path) {
    char text[512], locks[8] = "";
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return errno;
    const ssize_t size = read(file, text, sizeof text - 1);
    const int failure = errno;
    close(file);
    if (size < 0) return failure;
    text[size] = '\0';
    *who = (nl_claim_owner){0};
    int at = 0;
    const bool read = sscanf(text, "normlab-claim %16[0-9a-f] %7s %n", who->id, locks, &at) == 2 &&
                      at > 0 && nl_process_parse(&who->process, text + at);
    who->locks = strcmp(locks, "flock") == 0;
    const char *line = strchr(text, '\n'); /* the second one: the heartbeat */
    if (line) who->beat = strtoull(line + 1, NULL, 10);
    return read && strlen(who->id) == NL_CLAIM_ID - 1 ? 0 : EBADMSG;
}

static int write_text(int file, const char *text) {
    const ssize_t size = (ssize_t)strlen(text);
    const ssize_t done = write(file, text, (size_t)size);
    int failure = done == size ? 0 : done < 0 ? errno : ENOSPC;
    if (!failure && fsync(file) != 0 && errno != EINVAL) failure = errno;
    if (close(file) != 0 && !failure) failure = errno;
    return failure;
}

static int make_directly(const char *path, const char *text) {
    const int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0) return errno;
    const int failure = write_text(file, text);
    if (failure) unlink(path);
    return failure;
}

/* Makes the file with all its text, if there is none: EEXIST, or another errno. NFS may lose the
 * answer to a link that was made, so the count of links is what tells. */
int nl_claim_make(const char *path, const char *folder, const nl_claim_owner *me) {
    char text[512], temporary[NL_CLAIM_PATH], described[400];
    nl_process_format(described, sizeof described, &me->process);
    snprintf(text, sizeof text, "normlab-claim %s %s %s\n%020d\n", me->id,
             me->locks ? "flock" : "none", described, 0);
    snprintf(temporary, sizeof temporary, "%s/%s.%s.tmp", folder, claim_name, me->id);
    unlink(temporary); /* of an earlier try */
    int failure = make_directly(temporary, text);
    if (failure) return failure;
    struct stat info = {0};
    failure = link(temporary, path) == 0 ? 0 : errno;
    if (stat(temporary, &info) == 0 && info.st_nlink == 2) failure = 0;
    unlink(temporary);
    const bool no_links = failure == EPERM || failure == EOPNOTSUPP || failure == ENOSYS;
    return no_links ? make_directly(path, text) : failure;
}

/* The file is opened anew each time: that and closing it is what NFS passes on. */
void nl_claim_beat(const char *path, const char *id, uint64_t beat) {
    char number[32];
    nl_claim_owner who;
    if (nl_claim_read(&who, path) != 0 || strcmp(who.id, id) != 0) return;
    const int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    const int length = snprintf(number, sizeof number, "%020" PRIu64 "\n", beat);
    const off_t end = lseek(file, 0, SEEK_END);
    if (end > length) (void)!pwrite(file, number, (size_t)length, end - length);
    close(file);
}

bool nl_claim_in_chain(const char *folder, const char *id) {
    char path[NL_CLAIM_PATH];
    nl_claim_owner who;
    nl_claim_path(path, folder, NULL);
    while (nl_claim_read(&who, path) == 0) {
        if (strcmp(who.id, id) == 0) return true;
        nl_claim_path(path, folder, who.id);
    }
    return false;
}

void nl_claim_remove_chain(const char *folder, const char *id) {
    char path[NL_CLAIM_PATH];
    nl_claim_owner who;
    nl_claim_path(path, folder, NULL);
    for (bool more = true; more && nl_claim_read(&who, path) == 0;) {
        unlink(path);
        more = strcmp(who.id, id) != 0;
        nl_claim_path(path, folder, who.id);
    }
}
