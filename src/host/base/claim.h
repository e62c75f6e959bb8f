/* A folder claimed by one process: no two processes, of one machine or of several that share a
 * file system, hold it at the same time.
 *
 * The claim is a file in the folder, .claim, which appears whole and only where there is none, and
 * names its owner: machine, process and the process's start. That works on any file system. Beside
 * it the owner holds .lock by flock, where the file system can; where it cannot (Lustre and NFS may
 * refuse), the program warns once and the claim alone counts. A lock that is granted is believed:
 * mounts whose locks are each machine's own (localflock, local_lock) are for one machine.
 *
 * An owner that was killed leaves its claim. It is known to be dead if its lock is free, or if it
 * ran on this machine since its last start and is no longer among the processes. Any owner, of any
 * machine, renews a number in its claim, its heartbeat. Who is patient (nl_claim_watch) waits until
 * that has not changed for nl_claim_patience seconds of its own clock - no two machines' clocks are
 * compared - and then takes the owner for dead, even one that is only stopped. Without patience a
 * claim of another machine's owner without a lock stands until a user removes it.
 *
 * The heir makes a claim of the next generation, named after the dead one's: .claim.<id>, which
 * just as surely only one can make. The owner who was given up, and lives, finds it and knows that
 * it has lost the folder: it asks between chunks of work and at the end of each write, before the
 * new file takes the old one's name (nl_claim_is_lost, nl_file_guard). What it had not renamed when
 * it was given up the heir removes before it reads anything, so that no write gets through.
 * Who gives a folder back makes that file itself, so that no heir can at the same time. */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint64_t

#include "normlab/error.h" // nl_error

enum { NL_CLAIM_ID = 17 };

/* All zero: nothing is held. */
typedef struct nl_claim {
    bool held;
    int lock; /* descriptor of .lock; without flock only open */
    char id[NL_CLAIM_ID];
    struct nl_heart *heart; /* renews the heartbeat */
} nl_claim;

/* What a patient heir remembers of a folder from one try to the next; all zero at first. */
typedef struct nl_claim_watch {
    char id[NL_CLAIM_ID]; /* of the owner seen last */
    uint64_t beat;
    double since; /* when it was first seen with this heartbeat */
} nl_claim_watch;

/* Reads the seconds of patience from the environment, NORMLAB_CLAIM_SECONDS (0.1 to 86400, default
 * 60): the same for all processes that share a folder. Errors: NL_EUSAGE. */
int nl_claim_read_patience(nl_error *err);
double nl_claim_patience(void);

/* Claims a folder that exists. The claim ends with the process at the latest. watch: NULL, or what
 * the tries before this one saw. Errors: NL_EUSAGE, with the owner in the hint, if another process
 * holds it (or this one, by another claim); NL_EWRITE. */
int nl_claim_take(nl_claim *claim, const char *folder, nl_claim_watch *watch, nl_error *err);

/* Whether another has taken the folder over, or somebody removed the claim. Any thread. */
bool nl_claim_is_lost(const nl_claim *claim);

/* Gives it back, after the last write to the folder. Nothing if it is not held, or lost. */
void nl_claim_release(nl_claim *claim, const char *folder);

/* Whether somebody holds the folder, or may hold it; err (which may be NULL) is filled as by
 * nl_claim_take. Nothing is created. */
bool nl_claim_is_held(const char *folder, nl_error *err);

/* Whether a file of this name, in a claimed folder, belongs to the claim. */
bool nl_claim_owns_file(const char *name);
