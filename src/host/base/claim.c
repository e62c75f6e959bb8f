/* Claims; see claim.h for what they promise. One file, because the steps are right only together.
 *
 * The claims of a folder are a chain: .claim by X, .claim.X by Y, .claim.Y by Z, where only the last
 * counts: the generation of a claim is its place. Whoever wants the folder follows it and, if the
 * last is dead, makes the next link. Its owner gives the folder back by making a last link of its
 * own and removing the chain from the front. So one who stopped for a while behind a dead X and then
 * makes .claim.X finds out whether that was in vain: if the chain had been removed in the meantime,
 * its front was removed first, and does not read X's id any more. */
#include "claim.h"

#include <errno.h>      // errno
#include <fcntl.h>      // open
#include <inttypes.h>   // PRIx64
#include <stdatomic.h>  // atomic_bool
#include <stdio.h>      // snprintf
#include <stdlib.h>     // free, getenv
#include <string.h>     // strerror
#include <sys/file.h>   // flock
#include <sys/random.h> // getrandom
#include <time.h>       // nanosleep
#include <unistd.h>     // access, unlink

#include "claim_file.h"        // nl_claim_owner
#include "progress.h"          // nl_clock
#include "ticker.h"            // nl_ticker
#include "normlab/run_files.h" // NL_FILE_LOCK

enum { MAX_CHAIN = 10000, TRIES = 20, PAUSE = 10000000 /* ns */ };

static const char lock_name[] = NL_FILE_LOCK;

struct nl_heart {
    char path[NL_CLAIM_PATH], heir[NL_CLAIM_PATH]; /* of the claim, and of one who takes it over */
    char id[NL_CLAIM_ID];
    uint64_t beat;
    nl_ticker *ticker;
};

/* --- hearts --------------------------------------------------------------------------------- */

static double patience = 60;

int nl_claim_read_patience(nl_error *err) {
    const char *text = getenv("NORMLAB_CLAIM_SECONDS");
    char *end;
    if (!text || !*text) return NL_OK;
    const double seconds = strtod(text, &end);
    if (*end || !(seconds >= 0.1 && seconds <= 86400))
        return nl_fail(err, NL_EUSAGE, "NORMLAB_CLAIM_SECONDS",
                       "'%.80s': wants seconds from 0.1 to 86400", text);
    patience = seconds;
    return NL_OK;
}

double nl_claim_patience(void) {
    return patience;
}

static void beat(void *what) {
    struct nl_heart *heart = what;
    nl_claim_beat(heart->path, heart->id, ++heart->beat);
}

static struct nl_heart *heart_start(const char *folder, const char *path, const char *id) {
    struct nl_heart *heart = nl_alloc(1, sizeof *heart, "heart");
    snprintf(heart->path, sizeof heart->path, "%s", path);
    nl_claim_path(heart->heir, folder, id);
    memcpy(heart->id, id, sizeof heart->id);
    heart->ticker = nl_ticker_start(patience / 6, beat, heart);
    if (!heart->ticker) nl_warn(folder, "no thread for the claim's heartbeat");
    return heart;
}

/* --- owners --------------------------------------------------------------------------------- */

/* Who has the lock: it tells whether an owner lives that keeps it. */
typedef enum lock_state { LOCK_OURS, LOCK_THEIRS, LOCK_UNKNOWN } lock_state;

static nl_fate fate_of(const nl_claim_owner *who, lock_state lock) {
    if (who->locks && lock == LOCK_OURS) return NL_DEAD;
    const nl_fate fate = nl_process_fate(&who->process);
    return fate == NL_UNKNOWN && who->locks && lock == LOCK_THEIRS ? NL_LIVES : fate;
}

static int refuse(const char *folder, nl_error *err) {
    nl_fail(err, NL_EUSAGE, folder, "another process is training here");
    nl_hint(err, "another --out leaves it alone");
    return NL_EUSAGE;
}

static int refuse_for(const char *folder, const char *path, const nl_claim_owner *who, nl_fate fate,
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

/* Whether its heart has stood still for as long as one waits. */
static bool is_stale(nl_claim_watch *watch, const nl_claim_owner *who) {
    const double now = nl_clock();
    if (!watch) return false;
    if (strcmp(watch->id, who->id) != 0 || watch->beat != who->beat) {
        memcpy(watch->id, who->id, sizeof watch->id);
        watch->beat = who->beat;
        watch->since = now;
    }
    return now - watch->since >= patience;
}

/* Follows the chain to its end: NL_OK and the path where the next claim has to stand, with the id
 * of the front claim ("" where there is none), or an error. */
static int follow(char path[NL_CLAIM_PATH], char front[NL_CLAIM_ID], const char *folder,
                  lock_state lock, nl_claim_watch *watch, nl_error *err) {
    char last[NL_CLAIM_PATH];
    nl_claim_owner who, next;
    front[0] = '\0';
    nl_claim_path(path, folder, NULL);
    for (int links = 0; links < MAX_CHAIN; links++) {
        const int failure = nl_claim_read(&next, path);
        if (failure == ENOENT) {
            if (!front[0]) return NL_OK;
            const nl_fate fate = fate_of(&who, lock);
            return fate == NL_DEAD || is_stale(watch, &who)
                       ? NL_OK
                       : refuse_for(folder, last, &who, fate, err);
        }
        if (failure == EBADMSG) break;
        if (failure)
            return nl_fail(err, NL_EWRITE, path, "cannot read the claim: %s", strerror(failure));
        who = next;
        if (!front[0]) snprintf(front, NL_CLAIM_ID, "%s", who.id);
        snprintf(last, sizeof last, "%s", path);
        nl_claim_path(path, folder, who.id);
    }
    return refuse_for(folder, path, &(nl_claim_owner){0}, NL_UNKNOWN, err);
}

/* Whether the chain still begins as it did. */
static bool begins(const char *folder, const char front[NL_CLAIM_ID]) {
    char path[NL_CLAIM_PATH];
    nl_claim_owner who;
    nl_claim_path(path, folder, NULL);
    return nl_claim_read(&who, path) == 0 && strcmp(who.id, front) == 0;
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
    static atomic_bool warned;
    if (!atomic_exchange(&warned, true))
        nl_warn(folder,
                "no locks on this file system (flock: %s): the file %s alone keeps other "
                "processes off",
                strerror(failure), NL_FILE_CLAIM);
}

/* The lock is another's: its claim tells whose, if it is made yet. */
static int refuse_locked(const char *folder, nl_error *err) {
    char path[NL_CLAIM_PATH], front[NL_CLAIM_ID];
    const int code = follow(path, front, folder, LOCK_THEIRS, NULL, err);
    return code == NL_EUSAGE ? code : refuse(folder, err);
}

/* --- taking and giving back ----------------------------------------------------------------- */

static void make_id(char id[NL_CLAIM_ID]) {
    uint64_t number = 0;
    NL_ASSERT(getrandom(&number, sizeof number, 0) == sizeof number);
    snprintf(id, NL_CLAIM_ID, "%016" PRIx64, number);
}

static int make_claim(nl_claim *claim, const char *folder, lock_state lock, nl_claim_watch *watch,
                      nl_error *err) {
    char path[NL_CLAIM_PATH], front[NL_CLAIM_ID];
    nl_claim_owner me = {.locks = lock == LOCK_OURS};
    make_id(me.id);
    nl_process_self(&me.process);
    memcpy(claim->id, me.id, sizeof claim->id);
    for (int tries = 0; tries < MAX_CHAIN; tries++) {
        const int code = follow(path, front, folder, lock, watch, err);
        if (code) return code;
        const int failure = nl_claim_make(path, folder, &me);
        if (failure == EEXIST || failure == ENOENT) continue; /* another was quicker, or cleaned */
        if (failure)
            return nl_fail(err, NL_EWRITE, path, "cannot claim the folder: %s", strerror(failure));
        if (!front[0] || begins(folder, front)) {
            claim->heart = heart_start(folder, path, me.id);
            return NL_OK;
        }
        unlink(path);
    }
    return nl_fail(err, NL_EWRITE, folder, "cannot claim the folder: it changes all the time");
}

/* The lock is another's: its claim tells whose, if it is made yet. Who is patient looks whether it
 * lives. */
static int take_locked(nl_claim *claim, const char *folder, nl_claim_watch *watch, nl_error *err) {
    nl_claim_owner who;
    char path[NL_CLAIM_PATH];
    nl_claim_path(path, folder, NULL);
    if (!watch || nl_claim_read(&who, path) != 0) return refuse_locked(folder, err);
    return make_claim(claim, folder, LOCK_THEIRS, watch, err);
}

int nl_claim_take(nl_claim *claim, const char *folder, nl_claim_watch *watch, nl_error *err) {
    char path[NL_CLAIM_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, lock_name);
    *claim = (nl_claim){.lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666)};
    if (claim->lock < 0) return nl_fail(err, NL_EWRITE, path, "cannot open: %s", strerror(errno));
    const int failure = lock_file(claim->lock, LOCK_EX);
    int code = NL_OK;
    if (failure == EWOULDBLOCK)
        code = take_locked(claim, folder, watch, err);
    else if (failure && !is_unsupported(failure))
        code = nl_fail(err, NL_EWRITE, path, "cannot lock: %s", strerror(failure));
    else
        code = make_claim(claim, folder, failure ? LOCK_UNKNOWN : LOCK_OURS, watch, err);
    claim->held = code == NL_OK;
    if (code)
        close(claim->lock);
    else if (is_unsupported(failure))
        warn_once(folder, failure);
    return code;
}

bool nl_claim_is_lost(const nl_claim *claim) {
    nl_claim_owner who;
    if (access(claim->heart->heir, F_OK) == 0) return true;
    const int failure = nl_claim_read(&who, claim->heart->path);
    return failure == ENOENT || (!failure && strcmp(who.id, claim->id) != 0);
}

void nl_claim_release(nl_claim *claim, const char *folder) {
    if (!claim->held) return;
    struct nl_heart *heart = claim->heart;
    nl_ticker_stop(heart->ticker);
    if (!nl_claim_is_lost(claim)) {
        nl_claim_owner heir = {0};
        make_id(heir.id);
        nl_process_self(&heir.process);
        const int failure = nl_claim_make(heart->heir, folder, &heir);
        /* On a full disk no heir can make one either. */
        if (failure != EEXIST && nl_claim_in_chain(folder, claim->id))
            nl_claim_remove_chain(folder, failure ? claim->id : heir.id);
        else if (!failure)
            unlink(heart->heir);
    }
    close(claim->lock);
    free(heart);
    *claim = (nl_claim){0};
}

bool nl_claim_is_held(const char *folder, nl_error *err) {
    char path[NL_CLAIM_PATH], front[NL_CLAIM_ID];
    snprintf(path, sizeof path, "%s/%s", folder, lock_name);
    const int lock = open(path, O_RDONLY | O_CLOEXEC);
    const int failure = lock < 0 ? ENOENT : lock_file(lock, LOCK_SH);
    const int code = failure == EWOULDBLOCK ? refuse_locked(folder, err)
                                            : follow(path, front, folder,
                                                     failure ? LOCK_UNKNOWN : LOCK_OURS, NULL, err);
    if (lock >= 0) close(lock);
    return code == NL_EUSAGE;
}
