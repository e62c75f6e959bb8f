/* Claims; see claim.h for what they promise.
 *
 * The claims of a folder are a chain: .claim by X, .claim.X by Y, .claim.Y by Z, where all but the
 * last are dead. Whoever wants the folder follows it and makes the next link. Its owner gives the
 * folder back by removing the chain from the front. So one who stopped for a while behind a dead X
 * and then makes .claim.X finds out whether that was in vain: if the chain had been removed in the
 * meantime, its front was removed first, and does not read X's id any more. */
#include "claim.h"

#include <errno.h>      // errno
#include <fcntl.h>      // open
#include <inttypes.h>   // PRIx64
#include <stdio.h>      // snprintf
#include <string.h>     // strerror
#include <sys/file.h>   // flock
#include <sys/random.h> // getrandom
#include <sys/stat.h>   // fstat
#include <time.h>       // nanosleep
#include <unistd.h>     // link, unlink

#include "process.h"           // nl_process
#include "normlab/run_files.h" // NL_FILE_LOCK

enum { CLAIM_PATH = 4096 + 64, MAX_CHAIN = 10000, TRIES = 20, PAUSE = 10000000 /* ns */ };

static const char lock_name[] = NL_FILE_LOCK, claim_name[] = NL_FILE_CLAIM;

/* What a claim file says. */
typedef struct owner {
    char id[NL_CLAIM_ID];
    bool locks; /* it holds the lock as long as it lives */
    nl_process process;
} owner;

bool nl_claim_owns_file(const char *name) {
    const size_t length = strlen(claim_name);
    return strcmp(name, lock_name) == 0 ||
           (strncmp(name, claim_name, length) == 0 && (!name[length] || name[length] == '.'));
}

/* --- one file ------------------------------------------------------------------------------- */

/* The claim behind the one of this id, or the first (NULL). */
static void path_of(char path[CLAIM_PATH], const char *folder, const char *id) {
    snprintf(path, CLAIM_PATH, "%s/%s%s%s", folder, claim_name, id ? "." : "", id ? id : "");
}

/* 0, or errno; EBADMSG: it is there, and says nothing that can be understood. */
static int read_owner(owner *who, const char *path) {
    char text[512], locks[8] = "";
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return errno;
    const ssize_t size = read(file, text, sizeof text - 1);
    const int failure = errno;
    close(file);
    if (size < 0) return failure;
    text[size] = '\0';
    *who = (owner){0};
    int at = 0;
    const bool read = sscanf(text, "normlab-claim %16[0-9a-f] %7s %n", who->id, locks, &at) == 2 &&
                      at > 0 && nl_process_parse(&who->process, text + at);
    who->locks = strcmp(locks, "flock") == 0;
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
static int make_file(const char *path, const char *folder, const owner *me) {
    char text[512], temporary[CLAIM_PATH], described[400];
    nl_process_format(described, sizeof described, &me->process);
    snprintf(text, sizeof text, "normlab-claim %s %s %s\n", me->id, me->locks ? "flock" : "none",
             described);
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

/* --- owners --------------------------------------------------------------------------------- */

/* Who has the lock: it tells whether an owner lives that keeps it. */
typedef enum lock_state { LOCK_OURS, LOCK_THEIRS, LOCK_UNKNOWN } lock_state;

static nl_fate fate_of(const owner *who, lock_state lock) {
    if (who->locks && lock == LOCK_OURS) return NL_DEAD;
    const nl_fate fate = nl_process_fate(&who->process);
    return fate == NL_UNKNOWN && who->locks && lock == LOCK_THEIRS ? NL_LIVES : fate;
}

static int refuse(const char *folder, nl_error *err) {
    nl_fail(err, NL_EUSAGE, folder, "another process is training here");
    nl_hint(err, "another --out leaves it alone");
    return NL_EUSAGE;
}

static int refuse_for(const char *folder, const char *path, const owner *who, nl_fate fate,
                      nl_error *err) {
    refuse(folder, err);
    if (fate == NL_LIVES)
        nl_hint(err, "process %ld on %s; another --out leaves it alone", who->process.pid,
                who->process.host);
    else if (who->process.pid > 0)
        nl_hint(err, "process %ld on %s, if it was not killed there: then remove %.300s",
                who->process.pid, who->process.host, path);
    else
        nl_hint(err, "if none is, remove %.300s, which says nothing of its owner", path);
    return NL_EUSAGE;
}

/* Follows the chain to its end: NL_OK and the path where the next claim has to stand, with the id
 * of the front claim ("" where there is none), or an error. */
static int follow(char path[CLAIM_PATH], char front[NL_CLAIM_ID], const char *folder,
                  lock_state lock, nl_error *err) {
    front[0] = '\0';
    path_of(path, folder, NULL);
    for (int links = 0; links < MAX_CHAIN; links++) {
        owner who;
        const int failure = read_owner(&who, path);
        if (failure == ENOENT) return NL_OK;
        if (failure == EBADMSG) break;
        if (failure)
            return nl_fail(err, NL_EWRITE, path, "cannot read the claim: %s", strerror(failure));
        const nl_fate fate = fate_of(&who, lock);
        if (fate != NL_DEAD) return refuse_for(folder, path, &who, fate, err);
        if (!front[0]) snprintf(front, NL_CLAIM_ID, "%s", who.id);
        path_of(path, folder, who.id);
    }
    return refuse_for(folder, path, &(owner){0}, NL_UNKNOWN, err);
}

/* Whether the chain still begins as it did. */
static bool begins(const char *folder, const char front[NL_CLAIM_ID]) {
    char path[CLAIM_PATH];
    owner who;
    path_of(path, folder, NULL);
    return read_owner(&who, path) == 0 && strcmp(who.id, front) == 0;
}

/* --- the lock ------------------------------------------------------------------------------- */

static bool is_unsupported(int failure) {
    return failure == ENOSYS || failure == ENOLCK || failure == EOPNOTSUPP;
}

/* 0 or errno. Who only looks, as nl_claim_is_held, holds a shared lock for a moment; who wants it
 * for himself waits for that. */
static int lock_file(int file, int operation) {
    for (int tries = operation == LOCK_EX ? TRIES : 1; tries > 0; tries--) {
        if (flock(file, operation | LOCK_NB) == 0) return 0;
        if (errno != EWOULDBLOCK && errno != EINTR) return errno;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE}, NULL);
    }
    return EWOULDBLOCK;
}

static void warn_once(const char *folder, int failure) {
    static bool warned;
    if (!warned)
        nl_warn(folder,
                "no locks on this file system (flock: %s): the file %s alone keeps other "
                "processes off",
                strerror(failure), claim_name);
    warned = true;
}

/* The lock is another's: its claim tells whose, if it is made yet. */
static int refuse_locked(const char *folder, nl_error *err) {
    char path[CLAIM_PATH], front[NL_CLAIM_ID];
    const int code = follow(path, front, folder, LOCK_THEIRS, err);
    return code == NL_EUSAGE ? code : refuse(folder, err);
}

/* --- taking and giving back ----------------------------------------------------------------- */

static int make_claim(nl_claim *claim, const char *folder, bool locked, nl_error *err) {
    char path[CLAIM_PATH], front[NL_CLAIM_ID];
    owner me = {.locks = locked};
    uint64_t number = 0;
    NL_ASSERT(getrandom(&number, sizeof number, 0) == sizeof number);
    snprintf(me.id, sizeof me.id, "%016" PRIx64, number);
    nl_process_self(&me.process);
    memcpy(claim->id, me.id, sizeof claim->id);
    for (int tries = 0; tries < MAX_CHAIN; tries++) {
        const int code = follow(path, front, folder, locked ? LOCK_OURS : LOCK_UNKNOWN, err);
        if (code) return code;
        const int failure = make_file(path, folder, &me);
        if (failure == EEXIST || failure == ENOENT) continue; /* another was quicker, or cleaned */
        if (failure)
            return nl_fail(err, NL_EWRITE, path, "cannot claim the folder: %s", strerror(failure));
        if (!front[0] || begins(folder, front)) return NL_OK;
        unlink(path);
    }
    return nl_fail(err, NL_EWRITE, folder, "cannot claim the folder: it changes all the time");
}

int nl_claim_take(nl_claim *claim, const char *folder, nl_error *err) {
    char path[CLAIM_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, lock_name);
    *claim = (nl_claim){.lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666)};
    if (claim->lock < 0) return nl_fail(err, NL_EWRITE, path, "cannot open: %s", strerror(errno));
    const int failure = lock_file(claim->lock, LOCK_EX);
    int code = NL_OK;
    if (failure == EWOULDBLOCK)
        code = refuse_locked(folder, err);
    else if (failure && !is_unsupported(failure))
        code = nl_fail(err, NL_EWRITE, path, "cannot lock: %s", strerror(failure));
    if (!code) code = make_claim(claim, folder, failure == 0, err);
    claim->held = code == NL_OK;
    if (code)
        close(claim->lock);
    else if (failure)
        warn_once(folder, failure);
    return code;
}

/* Whether a claim of this id is in the chain: not, if somebody removed it by hand. */
static bool is_in_chain(const char *folder, const char *id) {
    char path[CLAIM_PATH];
    owner who;
    path_of(path, folder, NULL);
    while (read_owner(&who, path) == 0) {
        if (strcmp(who.id, id) == 0) return true;
        path_of(path, folder, who.id);
    }
    return false;
}

void nl_claim_release(nl_claim *claim, const char *folder) {
    char path[CLAIM_PATH];
    owner who;
    if (!claim->held) return;
    path_of(path, folder, NULL);
    for (bool more = is_in_chain(folder, claim->id); more && read_owner(&who, path) == 0;) {
        unlink(path);
        more = strcmp(who.id, claim->id) != 0;
        path_of(path, folder, who.id);
    }
    close(claim->lock);
    *claim = (nl_claim){0};
}

bool nl_claim_is_held(const char *folder, nl_error *err) {
    char path[CLAIM_PATH], front[NL_CLAIM_ID];
    snprintf(path, sizeof path, "%s/%s", folder, lock_name);
    const int lock = open(path, O_RDONLY | O_CLOEXEC);
    const int failure = lock < 0 ? ENOENT : lock_file(lock, LOCK_SH);
    const int code = failure == EWOULDBLOCK
                         ? refuse_locked(folder, err)
                         : follow(path, front, folder, failure ? LOCK_UNKNOWN : LOCK_OURS, err);
    if (lock >= 0) close(lock);
    return code == NL_EUSAGE;
}
