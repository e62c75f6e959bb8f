/* The files of claims: what one says, and making one that is whole from its first moment. Private to
 * claim.c. */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint64_t

#include "claim.h"   // NL_CLAIM_ID
#include "process.h" // nl_process

enum { NL_CLAIM_PATH = 4096 + 64 };

/* What a claim file says. */
typedef struct nl_claim_owner {
    char id[NL_CLAIM_ID];
    bool locks; /* it holds the lock as long as it lives */
    nl_process process;
    uint64_t beat; /* grows as long as it lives */
} nl_claim_owner;

/* path: of the claim behind the one of this id, or of the first (NULL). */
void nl_claim_path(char path[NL_CLAIM_PATH], const char *folder, const char *id);

/* 0, or errno; EBADMSG: it is there, and says nothing that can be understood. */
int nl_claim_read(nl_claim_owner *who, const char *path);

/* Makes the file with all its text, if there is none: 0, EEXIST, or another errno. */
int nl_claim_make(const char *path, const char *folder, const nl_claim_owner *me);

/* Writes the owner's newest heartbeat into its claim, if that is still its own. A failure shows in
 * an heir's eyes only, and the next beat may succeed. */
void nl_claim_beat(const char *path, const char *id, uint64_t beat);

/* Whether a claim of this id is in the folder's chain: not, if somebody removed it by hand. */
bool nl_claim_in_chain(const char *folder, const char *id);

/* Removes the chain up to the claim of this id. */
void nl_claim_remove_chain(const char *folder, const char *id);
