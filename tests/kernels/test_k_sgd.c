/* The update by the kernel, against the plain update in double, over whole arenas: steps, running
 * values, penalty, the flag, the padding. */
#include <math.h>   // fabs
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // memcmp

#include "normlab/ops.h"     // nl_sgd_update_f64
#include "support/compare.h" // compare_f32
#include "support/random.h"  // random_f64
#include "support_device.h"

enum { STEPS = 3, RECORDS = STEPS + 1 };

typedef struct rule_case {
    int64_t params, buffers;
    double lr, momentum, decay, l1, norm_momentum;
    bool nesterov, stop;
} rule_case;

typedef struct arenas {
    double *w, *v, *dw, *buffers, *fresh;
} arenas;

static arenas make(const rule_case *c) {
    arenas a = {random_f64(c->params, 1, 0, 0.3), random_f64(c->params, 2, 0, 0.1),
                random_f64(c->params, 3, 0, 1), random_f64(c->buffers, 4, 1, 0.5),
                random_f64(c->buffers, 5, 1, 0.5)};
    /* padding, and weights at zero: sign(0) = 0 */
    for (int64_t i = 0; i < c->params; i += 5) a.w[i] = 0;
    for (int64_t i = 0; i < c->params; i += 10) a.v[i] = a.dw[i] = 0;
    return a;
}

static void drop(arenas *a) {
    double *all[] = {a->w, a->v, a->dw, a->buffers, a->fresh};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) guarded_free(all[i]);
}

#define DEFINE_PLAIN(REAL, suffix)                                                                 \
    static void plain_##suffix(arenas *a, double *penalty, const rule_case *c) {                   \
        const nl_sgd rule = {c->lr, c->momentum, c->decay, c->l1, c->nesterov};                    \
        REAL *w = malloc((size_t)c->params * sizeof *w),                                           \
             *v = malloc((size_t)c->params * sizeof *v);                                           \
        REAL *dw = malloc((size_t)c->params * sizeof *dw);                                         \
        for (int64_t i = 0; i < c->params; i++)                                                    \
            w[i] = (REAL)a->w[i], v[i] = (REAL)a->v[i], dw[i] = (REAL)a->dw[i];                    \
        for (int s = 0; s < STEPS + 1; s++) {                                                      \
            penalty[s] = c->l1 * nl_sum_abs_##suffix(w, c->params);                                \
            if (s == STEPS) break;                                                                 \
            if (!c->stop) nl_sgd_update_##suffix(w, v, dw, c->params, rule);                       \
            for (int64_t i = 0; i < c->buffers && !c->stop; i++) {                                 \
                const REAL take = (REAL)c->norm_momentum, keep = (REAL)(1 - c->norm_momentum);     \
                a->buffers[i] = (double)(keep * (REAL)a->buffers[i] + take * (REAL)a->fresh[i]);   \
            }                                                                                      \
        }                                                                                          \
        for (int64_t i = 0; i < c->params; i++) a->w[i] = (double)w[i], a->v[i] = (double)v[i];    \
        free(w), free(v), free(dw);                                                                \
    }
DEFINE_PLAIN(double, f64)
DEFINE_PLAIN(float, f32)

static float *upload(const double *x, int64_t count) {
    float *narrow = to_f32(x, count), *device = device_copy(narrow, count, sizeof *narrow, 0);
    guarded_free(narrow);
    return device;
}

static void run(float *w, float *v, float *buffers, nl_k_record *records, nl_k_state *state,
                const rule_case *c, unsigned s, const char *name) {
    arenas a = make(c);
    const nl_k_state begin = {.lr = (float)c->lr, .stop = c->stop};
    float *grads = upload(a.dw, c->params), *fresh = upload(a.fresh, c->buffers);
    const nl_k_arenas on = {upload(a.w, c->params),
                            upload(a.v, c->params),
                            grads,
                            c->params,
                            upload(a.buffers, c->buffers),
                            fresh,
                            c->buffers};
    const nl_k_sgd rule = {(float)c->momentum, (float)c->decay, c->l1, c->nesterov,
                           (float)c->norm_momentum};
    nl_k_state *at = device_copy(&begin, 1, sizeof begin, 0);
    nl_k_record *lines = device_copy(NULL, RECORDS, sizeof *lines, 0);
    void *scratch = scratch_make(nl_k_update_scratch(c->params, c->buffers));
    uint32_t *counters = counters_make(1);
    schedule(s);
    cr_assert(nl_k_penalty(&on, rule, at, scratch, counters, NULL) == 0);
    for (int i = 0; i < STEPS; i++)
        cr_assert(nl_k_update(&on, rule, lines, at, scratch, counters, NULL) == 0);
    same_bits(w, on.params, c->params, sizeof *w, s, name);
    same_bits(v, on.momentum, c->params, sizeof *v, s, name);
    same_bits(buffers, on.buffers, c->buffers, sizeof *buffers, s, name);
    same_bits(records, lines, RECORDS, sizeof *records, s, name);
    same_bits(state, at, 1, sizeof *state, s, name);
    cr_assert(nl_k_penalty(&on, rule, at, scratch, counters, NULL) == 0);
    nl_k_state summed;
    device_read(&summed, at, 1, sizeof summed);
    cr_assert(!memcmp(&summed, state, sizeof summed), "%s: the update's own sum", name);
    void *all[] = {on.params, on.momentum, grads, on.buffers, fresh, at, lines, scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) device_free(all[i]);
    counters_free(counters, 1);
    drop(&a);
}

static void check(const rule_case *c) {
    char name[128];
    snprintf(name, sizeof name, "%d + %d momentum %g decay %g l1 %g nesterov %d stop %d",
             (int)c->params, (int)c->buffers, c->momentum, c->decay, c->l1, c->nesterov, c->stop);
    covered("sgd", name);
    arenas want = make(c), plain = make(c);
    double penalty[STEPS + 1], plain_penalty[STEPS + 1];
    plain_f64(&want, penalty, c);
    plain_f32(&plain, plain_penalty, c);
    float *w = guarded_f32(c->params), *v = guarded_f32(c->params), *b = guarded_f32(c->buffers);
    nl_k_record records[RECORDS];
    nl_k_state state;
    for (unsigned s = 0; s < schedules(); s++) run(w, v, b, records, &state, c, s, name);
    check_as_plain(name, "w", w, want.w, plain.w, c->params);
    check_as_plain(name, "v", v, want.v, plain.v, c->params);
    check_as_plain(name, "running", b, want.buffers, plain.buffers, c->buffers);
    for (int64_t i = 0; i < c->params; i += 10)
        cr_assert(w[i] == 0 && v[i] == 0, "%s: padding", name);
    for (int i = 0; i <= STEPS; i++) {
        const double bound = 4 * fabs(plain_penalty[i] - penalty[i]) + 0x1p-40 * penalty[i];
        const double got = i < STEPS ? records[i].penalty : state.penalty;
        cr_assert(fabs(got - penalty[i]) <= bound, "%s: penalty %.17g, want %.17g", name, got,
                  penalty[i]);
    }
    cr_assert(state.step == STEPS && state.stop == (uint32_t)c->stop &&
              isnan(records[STEPS].penalty));
    guarded_free(w), guarded_free(v), guarded_free(b);
    drop(&want), drop(&plain);
}

Test(k_sgd, every_rule) {
    const rule_case cases[] = {
        {1, 1, 0.01, 0.9, 0, 0, 0.1, false, false},
        {37, 8, 0.01, 0.9, 0, 0, 0.1, false, false},
        {37, 300, 0.01, 0.9, 0, 1e-3, 0.1, false, false},
        {9440, 304, 0.01, 0.9, 0, 1e-3, 0.1, false, false},
        {1031, 0, 0.1, 0, 0, 0, 0.1, false, false},
        {1031, 4, 0.1, 0.9, 5e-4, 0, 0.1, true, false},
        {1031, 4, 0.1, 0.5, 5e-4, 1e-2, 1, true, false},
        {300, 4, 0.1, 0.9, 5e-4, 1e-2, 0.1, false, true},
        {140000, 4, 0.1, 0.9, 0, 0, 0.1, false, false}, /* more than one turn a block */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check(&cases[i]);
}
