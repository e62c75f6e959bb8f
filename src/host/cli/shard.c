#include "shard.h"

#include <limits.h>  // INT_MAX
#include <stdbool.h> // bool
#include <stdlib.h>  // getenv, strtol
#include <string.h>  // strcmp

/* The number in an environment variable; false where there is none. */
static bool env_number(const char *name, long *value) {
    const char *text = getenv(name);
    char *end;
    if (!text || !*text) return false;
    *value = strtol(text, &end, 10);
    return !*end && *value >= 0 && *value < INT_MAX;
}

static int refuse(nl_error *err, const char *what) {
    nl_fail(err, NL_EUSAGE, "--shard", "%s", what);
    return nl_hint(err, "--shard I/N names the part, as --shard 2/8; --join takes what is free");
}

/* Task ID of MIN, MIN + STEP .. MAX, COUNT of them. */
static int of_array(nl_shard *shard, long id, nl_error *err) {
    long first, last, step, count;
    if (!env_number("SLURM_ARRAY_TASK_MIN", &first) || !env_number("SLURM_ARRAY_TASK_MAX", &last) ||
        !env_number("SLURM_ARRAY_TASK_COUNT", &count) || count == 0)
        return refuse(err, "SLURM_ARRAY_TASK_ID is set, but not its MIN, MAX and COUNT");
    if (!env_number("SLURM_ARRAY_TASK_STEP", &step) || step == 0) step = 1;
    if (id < first || id > last || (id - first) % step || (last - first) / step + 1 != count)
        return refuse(err, "the array of Slurm has holes, so its tasks are no parts 1 to N");
    *shard = (nl_shard){(int)((id - first) / step) + 1, (int)count};
    return NL_OK;
}

static int from_environment(nl_shard *shard, nl_error *err) {
    /* Slurm's last: what mpirun starts within a job sees the same SLURM_PROCID everywhere. */
    static const char *const ranks[][2] = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                           {"PMI_RANK", "PMI_SIZE"},
                                           {"SLURM_PROCID", "SLURM_NTASKS"}};
    long id, size;
    if (env_number("SLURM_ARRAY_TASK_ID", &id)) return of_array(shard, id, err);
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        if (!env_number(ranks[i][0], &id) || !env_number(ranks[i][1], &size) || id >= size)
            continue;
        *shard = (nl_shard){(int)id + 1, (int)size};
        return NL_OK;
    }
    return refuse(err, "auto: neither Slurm, nor Open MPI, nor PMI tells this process's part");
}

int nl_shard_parse(nl_shard *shard, const char *text, nl_error *err) {
    char *slash, *end;
    if (strcmp(text, "auto") == 0) return from_environment(shard, err);
    const bool digits = strspn(text, "0123456789/") == strlen(text) && strlen(text) < 20;
    const long part = strtol(text, &slash, 10);
    const long parts = *slash == '/' ? strtol(slash + 1, &end, 10) : 0;
    if (digits && *slash == '/' && !*end && part >= 1 && part <= parts && parts < INT_MAX) {
        *shard = (nl_shard){(int)part, (int)parts};
        return NL_OK;
    }
    nl_fail(err, NL_EUSAGE, "--shard", "'%.80s': wants I/N with I from 1 to N, or auto", text);
    return nl_hint(err, "--shard 2/8 is the second of eight parts");
}
