/* The runs that were found in folders, and which of them are runs of their own. */
#pragma once

#include <sys/types.h> // dev_t

#include "runs.h"

typedef struct nl_unit {
    char name[256]; /* of the folder of its variant */
    dev_t device;
    ino_t inode;
    nl_seed_run run;
} nl_unit;

typedef struct nl_units {
    nl_unit *list;
    int n;
} nl_units;

/* Sorts by name and seed and drops what is the same run under another name: links and copies.
 * Errors: NL_EDATA, a folder whose record tells another name or seed, or two runs of one name and
 * seed with different results. */
int nl_identify(nl_units *all, nl_error *err);
