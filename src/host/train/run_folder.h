/* The folder of one run: OUT/<config name>/seed-<S>. */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint32_t

#include "base/claim.h"    // nl_claim
#include "normlab/error.h" // nl_error

enum { NL_PATH_SIZE = 4096 };

typedef struct nl_unit {
    char folder[NL_PATH_SIZE];
    nl_claim claim;
} nl_unit;

/* Errors: NL_EUSAGE for a path that is too long. Nothing is created. */
int nl_unit_init(nl_unit *unit, const char *out, const char *name, uint32_t seed, nl_error *err);

/* path: of a file of the unit. Returns path. */
const char *nl_unit_file(const nl_unit *unit, char path[NL_PATH_SIZE], const char *file);

/* Whether a file is there; one that cannot be looked at counts as there. */
bool nl_unit_has(const nl_unit *unit, const char *file);
/* Of the files that only a saved state precedes, one that is there: last, or records; or NULL. */
const char *nl_unit_trace(const nl_unit *unit);

/* Refuses (NL_EUSAGE) a unit that exists, unless it may, and one that another process trains in.
 * Nothing is created. */
int nl_unit_check(const nl_unit *unit, bool may_exist, nl_error *err);

/* Creates the folder and claims it (watch: as nl_claim_take), checks as above, and removes what
 * nl_file_write had not renamed yet: a process that was killed left it, or one that has lost the
 * unit, whose renaming then fails. Errors: NL_EUSAGE, NL_EWRITE. */
int nl_unit_enter(nl_unit *unit, bool may_exist, nl_claim_watch *watch, nl_error *err);
void nl_unit_leave(nl_unit *unit);

/* Removes the files of an earlier run. Errors: NL_EWRITE. */
int nl_unit_clear(const nl_unit *unit, nl_error *err);
