/* support_first.h */
#include "support_first.h"

#include <stdio.h>  // snprintf
#include <stdlib.h> // free

#include "support/compare.h" // cr_assert
#include "support_device.h"  // device_copy

static nl_k_sets sets_of(const problem *p) {
    if (!p->norm) return NL_K_SETS_NONE;
    return p->norm->sets == NL_SETS_BATCH ? NL_K_SETS_CHANNELS : NL_K_SETS_GROUPS;
}

static nl_k_first shape_of(const problem *p) {
    return (nl_k_first){.stage = {.shape = {.n = p->one.n,
                                            .c = p->one.o,
                                            .h = p->two.h,
                                            .w = p->two.w,
                                            .groups = p->groups,
                                            .relu = p->relu},
                                  .centres = p->norm && p->norm->centres,
                                  .eps = 1e-5F},
                        .sets = sets_of(p),
                        .channels = p->one.c,
                        .h = p->one.h,
                        .w = p->one.w,
                        .k = p->one.k,
                        .pad = p->one.pad,
                        .outputs = p->two.o};
}

first_device first_device_make(const problem *p, int shift, float *const running[2]) {
    first_device d = {.f = shape_of(p)};
    nl_k_first *f = &d.f;
    nl_k_stage *s = &f->stage;
    cr_assert(nl_k_first_shared(f) > 0);
    for (int i = 0; i < INPUTS; i++)
        d.in[i] = device_copy(p->in[i], p->in_count[i], sizeof(float), i == DZ2 ? shift : 0);
    for (int i = Z2; i <= VAR; i++) {
        if (p->out_count[i])
            d.out[i] = device_copy(running && i >= MEAN ? running[i - MEAN] : NULL, p->out_count[i],
                                   sizeof(float), i == Z2 ? shift : 0);
    }
    f->running = running != NULL;
    f->x = d.in[X], f->filter1 = d.in[W1], f->filter2 = d.in[W2], f->dz2 = d.in[DZ2];
    s->bias = d.in[B1], s->gamma = d.in[GAMMA], s->beta = d.in[BETA];
    s->running_mean = running ? d.out[MEAN] : NULL, s->running_var = running ? d.out[VAR] : NULL;
    s->fresh_mean = running ? NULL : d.out[MEAN], s->fresh_var = running ? NULL : d.out[VAR];
    f->z2 = d.out[Z2], f->dfilter1 = d.out[DW1], f->dfilter2 = d.out[DW2];
    s->dbias = d.out[DB1], s->dgamma = d.out[DGAMMA], s->dbeta = d.out[DBETA];
    f->keep = scratch_make(nl_k_first_keep(f));
    s->counters = counters_make(nl_k_first_counters(f));
    return d;
}

void first_device_drop(first_device *d) {
    for (int i = 0; i < INPUTS; i++) device_free(d->in[i]);
    for (int i = 0; i < OUTPUTS; i++) device_free(d->out[i]);
    device_free(d->f.keep);
    counters_free(d->f.stage.counters, nl_k_first_counters(&d->f));
}

void first_device_run(const first_device *d) {
    const nl_k_first *f = &d->f;
    if (f->sets != NL_K_SETS_NONE && !f->running) cr_assert(nl_k_first_moments(f, NULL) == 0);
    cr_assert(nl_k_first_forward(f, NULL) == 0);
    if (f->running) return;
    cr_assert(nl_k_first_backward(f, NULL) == 0);
    cr_assert(nl_k_first_gradient(f, NULL) == 0);
}

static void run(outputs *got, const problem *p, int shift) {
    char name[128];
    float *host[OUTPUTS] = {NULL};
    snprintf(name, sizeof name, "%s %dx%dx%dx%d k%d p%d to %d to %d", first_norm(p), p->one.n,
             p->one.c, p->one.h, p->one.w, p->one.k, p->one.pad, p->one.o, p->two.o);
    covered("first", name);
    for (int i = Z2; i <= VAR; i++) host[i] = guarded_f32(p->out_count[i]);
    for (unsigned s = 0; s < schedules(); s++) {
        schedule(s);
        first_device d = first_device_make(p, shift, NULL);
        first_device_run(&d);
        for (int i = Z2; i <= VAR; i++)
            if (d.out[i]) same_bits(host[i], d.out[i], p->out_count[i], sizeof(float), s, name);
        first_device_drop(&d);
    }
    for (int i = Z2; i <= VAR; i++) {
        for (int64_t k = 0; k < p->out_count[i]; k++) got->of[i][k] = (double)host[i][k];
        guarded_free(host[i]);
    }
}

void first_run_kernels(outputs *got, const problem *p) {
    run(got, p, 0);
}

void first_run_kernels_unaligned(outputs *got, const problem *p) {
    run(got, p, 1);
}
