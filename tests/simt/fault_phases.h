/* A procedure in which each call of the runtime fails in turn, once by itself or with all that come
 * after it, as on a device that is broken. Nothing may crash, hang, be lost or stay behind: what
 * fails is told with exit code 4, or the procedure goes on and gives what it gives without a fault.
 */
#pragma once

#include <stdbool.h> // bool
#include <stddef.h>  // size_t

#include "normlab/error.h" // nl_error

enum { FAULT_PHASES_MOST = 8 };

typedef struct fault_procedure fault_procedure;
struct fault_procedure {
    const char *name;
    const char *phases[FAULT_PHASES_MOST]; /* up to NULL */
    /* Goes through all phases, calls fault_phase_ends and fills result. */
    int (*go)(fault_procedure *p, nl_error *err);
    /* NULL, or the phase of the n-th call, from the calls up to it: where their number varies with
     * what was timed. usual: the phase of that call without a fault. */
    int (*phase_of)(long n, int usual);
    void *context;
    bool breaks;    /* all calls after one that fails do too */
    size_t size;    /* bytes of result */
    void *result;   /* what it gives */
    int way;        /* which of two, that may differ in their roundings, this came by */
    void *good[2];  /* what comes by each without a fault; NULL: what the first time gives */
    long fell_back; /* it counts by itself */
    long ends[FAULT_PHASES_MOST], told[FAULT_PHASES_MOST], went_on[FAULT_PHASES_MOST];
};

/* The calls from now on belong to the next phase. */
void fault_phase_ends(fault_procedure *p, int phase);

/* Of all calls, counted from 0, each stride-th. Prints how many failed, were told and were gone on
 * after, by phase; both stay. */
void fault_each(fault_procedure *p, long stride);
