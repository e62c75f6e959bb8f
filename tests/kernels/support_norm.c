/* support_norm.h */
#include "support_norm.h"

#include "cuda/launchers.h"  // nl_launchers_of
#include "support/compare.h" // cr_assert
#include "support_device.h"  // device_copy

enum { MOST_SETS = 256, MOST_CHANNELS = 96 };

static const nl_norm_row *row; /* the norm that is tested */

/* What backward needs of forward: the moments as the kernel saved them. */
static nl_k_moments saved[MOST_SETS];

static const float zeros[MOST_CHANNELS];

/* Inputs, results and work space of one launch on the device. */
typedef struct launch {
    nl_k_stage s;
    int64_t count, sets;
    void *owned[16];
    int n_owned;
} launch;

static void *own(launch *l, const void *host, int64_t count, size_t size) {
    return l->owned[l->n_owned++] = device_copy(host, count, size, 0);
}

static launch launch_make(nl_norm_shape s, const float *x, const float *gamma, const float *beta,
                          const nl_k_moments *moments) {
    launch l = {.s = {.shape = {s.n, s.c, 1, s.hw, s.groups, 0, 0},
                      .centres = row->centres,
                      .eps = (float)NORM_EPS},
                .count = (int64_t)s.n * s.c * s.hw,
                .sets = norm_pairs(s)};
    cr_assert(l.sets <= MOST_SETS && s.c <= MOST_CHANNELS);
    l.s.z = own(&l, x, l.count, 4);
    l.s.gamma = own(&l, gamma, s.c, 4);
    l.s.beta = own(&l, beta, s.c, 4);
    l.s.bias = own(&l, zeros, s.c, 4);
    l.s.saved = own(&l, moments, l.sets, sizeof *moments);
    l.s.scratch = l.owned[l.n_owned++] = scratch_make(nl_k_scratch_size(&l.s.shape));
    l.s.counters = counters_make(nl_k_counters(&l.s.shape));
    return l;
}

static void launch_drop(launch *l) {
    for (int i = 0; i < l->n_owned; i++) device_free(l->owned[i]);
    counters_free(l->s.counters, nl_k_counters(&l->s.shape));
}

static void forward(float *y, float *mean, float *rstd, const float *x, const float *gamma,
                    const float *beta, nl_norm_shape s) {
    launch l = launch_make(s, x, gamma, beta, NULL);
    l.s.y = own(&l, NULL, l.count, 4);
    l.s.fresh_mean = row->runs ? own(&l, NULL, s.c, 4) : NULL;
    l.s.fresh_var = row->runs ? own(&l, NULL, s.c, 4) : NULL;
    cr_assert(nl_launchers_of(row)->forward(&l.s, NULL) == 0);
    device_read(y, l.s.y, l.count, 4);
    device_read(saved, l.s.saved, l.sets, sizeof *saved);
    for (int64_t i = 0; i < l.sets; i++) {
        mean[i] = saved[i].mean + saved[i].rest;
        rstd[i] = saved[i].rstd;
    }
    launch_drop(&l);
}

static void backward(float *dx, float *dgamma, float *dbeta, const float *dy, const float *x,
                     const float *mean, const float *rstd, const float *gamma, nl_norm_shape s) {
    (void)mean, (void)rstd;
    launch l = launch_make(s, x, gamma, zeros, saved);
    l.s.dy = own(&l, dy, l.count, 4);
    l.s.dz = own(&l, NULL, l.count, 4);
    l.s.dgamma = own(&l, NULL, s.c, 4);
    l.s.dbeta = own(&l, NULL, s.c, 4);
    l.s.dbias = own(&l, NULL, s.c, 4);
    cr_assert(nl_launchers_of(row)->backward(&l.s, NULL) == 0);
    device_read(dx, l.s.dz, l.count, 4);
    device_read(dgamma, l.s.dgamma, s.c, 4);
    device_read(dbeta, l.s.dbeta, s.c, 4);
    launch_drop(&l);
}

norm_ops kernel_norm(nl_norm norm) {
    row = nl_norm_find(norm);
    return norm_ops_beside(norm, forward, backward);
}
