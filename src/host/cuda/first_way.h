/* Which way a run goes through the network's first block: the general one, by convolutions and a
 * stage, or by the kernels of nl_k_first. Both give the same but for rounding, so the way is part of
 * a run's identity.
 *
 * Only where the network and the device allow it, and in fp32, there is a choice. Then, the first of
 * these that says something: the plan of a resumed run; the caller; NORMLAB_FIRST_BLOCK=0 or 1;
 * --no-autotune (the general way); the plan cache; which one takes a step less time here, if their
 * losses agree. The last is found out by one process at a time, and kept in the plan cache.
 */
#pragma once

#include "normlab/backend.h" // nl_engine_spec
#include "normlab/kernels.h" // nl_k_first

struct json_t;

typedef struct nl_first_way {
    bool own;
    nl_k_first first;  /* where own: its shape */
    const char *why;   /* what said so */
    double seconds[2]; /* of a step the general way and by own kernels; 0: not timed */
    double apart;      /* relative distance of the losses where they do not agree, else 0 */
} nl_first_way;

/* One way tried in an engine that is opened and closed for it: seconds of a step, and the first batch's
 * loss. own: the shape for the own kernels; NULL: the general way. */
typedef int nl_first_trial(double *seconds, double *loss, const nl_engine_spec *spec,
                           const nl_k_first *own, nl_error *err);

/* Errors: NL_EUSAGE for a NORMLAB_FIRST_BLOCK that is neither, or not the resumed run's;
 * NL_EDEVICE. */
int nl_first_way_choose(nl_first_way *way, const nl_engine_spec *spec, nl_first_trial *trial,
                        nl_error *err);

/* For the plan's JSON, key "first_block". */
struct json_t *nl_first_way_json(const nl_first_way *way);
