/* What two runs differ in, by name. */
#pragma once

#include "normlab/config.h" // nl_config

struct json_t;

#define NL_DIFFER_DATA "data"                       /* the files' checksums */
#define NL_DIFFER_LIMIT "--limit-batches"           /* the part of them that was used */
#define NL_DIFFER_INIT "init"                       /* the weights that a run began with */
#define NL_DIFFER_FIRST "the first block's kernels" /* the way through it, on a GPU */

/* What two runs differ in, by name. */
typedef struct nl_differences {
    const char *names[NL_MAX_KEYS + 1 + 6]; /* static texts */
    int n;
    int n_apart; /* the first ones: runs that differ in them are not seeds of one variant */
} nl_differences;

/* Keys of the config but train.seed (nl_config_differences), NL_DIFFER_DATA, NL_DIFFER_LIMIT; then,
 * only worth a note, NL_DIFFER_INIT, "device" (its kind), "version" and NL_DIFFER_FIRST. What is
 * NULL, or what a run.json does not tell, is no difference. */
void nl_runs_differ(nl_differences *differences, const nl_config *a, const nl_config *b,
                    const struct json_t *record_a, const struct json_t *record_b);

/* Adds a name that is not there yet. */
void nl_differences_add(nl_differences *differences, const char *name);

/* The first `count` names with commas between; the caller frees. */
char *nl_differences_text(const nl_differences *differences, int count);
