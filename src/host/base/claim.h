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
 * ran on this machine since its last start and is no longer among the processes. Of another
 * machine's owner without a lock nothing is known: the claim stands until a user removes it. The
 * heir of a dead owner makes a claim named after the dead one's, .claim.<id>, which just as surely
 * only one can make; so an owner that has to ask whether it was given up looks for its heir. */
#pragma once

#include <stdbool.h> // bool

#include "normlab/error.h" // nl_error

enum { NL_CLAIM_ID = 17 };

/* All zero: nothing is held. */
typedef struct nl_claim {
    bool held;
    int lock; /* descriptor of .lock; without flock only open */
    char id[NL_CLAIM_ID];
} nl_claim;

/* Claims a folder that exists. The claim ends with the process at the latest. Errors: NL_EUSAGE,
 * with the owner in the hint, if another process holds it (or this one, by another claim);
 * NL_EWRITE. */
int nl_claim_take(nl_claim *claim, const char *folder, nl_error *err);

/* Gives it back, after the last write to the folder. Nothing if it is not held. */
void nl_claim_release(nl_claim *claim, const char *folder);

/* Whether somebody holds the folder, or may hold it; err (which may be NULL) is filled as by
 * nl_claim_take. Nothing is created. */
bool nl_claim_is_held(const char *folder, nl_error *err);

/* Whether a file of this name, in a claimed folder, belongs to the claim. */
bool nl_claim_owns_file(const char *name);
