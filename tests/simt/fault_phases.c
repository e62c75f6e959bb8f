/* fault_phases.h */
#include "fault_phases.h"

#include <criterion/criterion.h> // cr_assert
#include <cuda_runtime_api.h>    // simt_fail_at
#include <stdio.h>               // printf
#include <stdlib.h>              // free
#include <string.h>              // memcmp

void fault_phase_ends(fault_procedure *p, int phase) {
    p->ends[phase] = simt_calls();
}

static int phase_of(const fault_procedure *p, long n) {
    int phase = 0;
    while (p->phases[phase + 1] && n > p->ends[phase]) phase++;
    return phase;
}

static void fail_one(fault_procedure *p, long n, const char *function, int phase) {
    nl_error err = {0};
    if (p->breaks)
        simt_break_at(n, cudaErrorIllegalAddress);
    else
        simt_fail_at(NULL, n, cudaErrorUnknown);
    const int code = p->go(p, &err);
    const bool failed = simt_calls() >= n; /* a run that times may need fewer calls this time */
    if (failed && p->phase_of) phase = p->phase_of(n, phase);
    simt_fail_at(NULL, 0, cudaSuccess);
    cr_assert_eq(simt_alive(), 0, "%s: %s, call %ld: %d things stay behind (%s)", p->name, function,
                 n, simt_alive(), err.what);
    if (!failed) {
        cr_assert_eq(code, NL_OK, "%s: nothing failed: %s", p->name, err.what);
    } else if (code) {
        p->told[phase]++;
        cr_assert(code == NL_EDEVICE && err.what[0], "%s: %s, call %ld: exit %d: %s", p->name,
                  function, n, code, err.what);
    } else {
        p->went_on[phase]++;
        cr_assert(memcmp(p->result, p->good[p->way], p->size) == 0,
                  "%s: %s, call %ld: another result", p->name, function, n);
    }
}

static void print(const fault_procedure *p, long calls) {
    printf("simt: %s: %ld calls of the runtime", p->name, calls);
    if (p->breaks) printf(", and all after one that fails");
    for (int i = 0; p->phases[i]; i++)
        printf("%s %s: %ld failed, %ld told, %ld gone on after", i ? ";" : ":", p->phases[i],
               p->told[i] + p->went_on[i], p->told[i], p->went_on[i]);
    printf("\n");
    fflush(stdout);
}

void fault_each(fault_procedure *p, long stride) {
    nl_error err = {0};
    simt_fail_at(NULL, 0, cudaSuccess);
    cr_assert(p->go(p, &err) == NL_OK, "%s: %s: %s", p->name, err.where, err.what);
    const long calls = simt_calls();
    void *first = NULL;
    if (!p->good[p->way]) {
        first = p->good[p->way] = nl_alloc(1, p->size, "result");
        memcpy(first, p->result, p->size);
    }
    cr_assert(memcmp(p->result, p->good[p->way], p->size) == 0, "%s", p->name);
    int *phases = nl_alloc((size_t)calls + 1, sizeof *phases, "phases");
    const char **functions = nl_alloc((size_t)calls + 1, sizeof *functions, "functions");
    for (long n = 1; n <= calls; n++) phases[n] = phase_of(p, n), functions[n] = simt_called(n);
    for (long n = 1; n <= calls; n += stride) fail_one(p, n, functions[n], phases[n]);
    print(p, calls);
    for (int i = 0; p->phases[i] && stride == 1; i++)
        cr_expect(p->told[i] + p->went_on[i] > 0, "%s: nothing is called in %s", p->name,
                  p->phases[i]);
    free(functions);
    free(phases);
    free(first);
}
