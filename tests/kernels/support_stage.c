/* support_stage.h */
#include "support_stage.h"

#include <math.h>  // NAN
#include <stdio.h> // snprintf

#include "cuda/launchers.h"  // nl_launchers_of
#include "normlab/rng.h"     // nl_dropout_threshold
#include "normlab/verify.h"  // nl_verify_compare
#include "support/compare.h" // guarded_f32
#include "support_device.h"  // device_copy

// --- the case -----------------------------------------------------------------------------------

static nl_verify_case make(const stage_case *c) {
    nl_verify_case v = {.norm = nl_norm_find(c->norm),
                        .n = c->s.n,
                        .c = c->s.c,
                        .h = c->s.h,
                        .w = c->s.w,
                        .groups = c->s.groups,
                        .pool = c->s.pool,
                        .relu = c->s.relu,
                        .dropout = c->drop,
                        .eval = c->eval,
                        .bare = c->bare};
    const double bias = fabs(c->input.mean) > 100 ? 0 : 0.3;
    nl_verify_block(&v, (nl_verify_spread){c->input.mean, c->input.sigma, bias});
    if (c->poison) v.in[NL_IN_BLOCK_Z][v.in_count[NL_IN_BLOCK_Z] / 2] = NAN;
    nl_verify_clear_ties(&v);
    return v;
}

// --- the kernels --------------------------------------------------------------------------------

typedef struct device {
    float *in[NL_V_INPUTS], *out[NL_V_OUTPUTS]; /* NULL: there is none */
    nl_k_moments *saved;
    uint32_t *slots;
    nl_k_state *state;
    uint8_t *kept;
    void *scratch;
    uint32_t *counters;
} device;

static device device_make(const nl_verify_case *v, const stage_case *c) {
    const int64_t pairs = v->groups ? (int64_t)v->n * v->groups : v->c;
    const nl_k_state state = {.seed = NL_V_SEED, .epoch = NL_V_EPOCH};
    uint32_t *slots = nl_alloc((size_t)v->n, sizeof *slots, "slots");
    for (int i = 0; i < v->n; i++) slots[i] = nl_verify_image(i);
    device d = {.saved = device_copy(NULL, pairs, sizeof(nl_k_moments), 0),
                .slots = device_copy(slots, v->n, sizeof *slots, 0),
                .state = device_copy(&state, 1, sizeof state, 0),
                .kept = device_copy(NULL, (int64_t)nl_k_kept_size(&c->s), 1, 0),
                .scratch = scratch_make(nl_k_scratch_size(&c->s)),
                .counters = counters_make(nl_k_counters(&c->s))};
    free(slots);
    for (int i = 0; i < NL_V_INPUTS; i++) {
        const int shift = i == NL_IN_BLOCK_Z || i == NL_IN_BLOCK_DY ? c->shift : 0;
        if (v->in_count[i]) d.in[i] = device_copy(v->in[i], v->in_count[i], sizeof(float), shift);
    }
    for (int i = 0; i < NL_V_OUTPUTS; i++) {
        const int shift = i == NL_OUT_BLOCK_Y || i == NL_OUT_BLOCK_DZ ? c->shift : 0;
        if (v->out_count[i]) d.out[i] = device_copy(NULL, v->out_count[i], sizeof(float), shift);
    }
    return d;
}

static void device_drop(device *d, const stage_case *c) {
    for (int i = 0; i < NL_V_INPUTS; i++) device_free(d->in[i]);
    for (int i = 0; i < NL_V_OUTPUTS; i++) device_free(d->out[i]);
    void *all[] = {d->saved, d->slots, d->state, d->kept, d->scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) device_free(all[i]);
    counters_free(d->counters, nl_k_counters(&c->s));
}

static nl_k_stage stage_make(const nl_verify_case *v, const stage_case *c, const device *d) {
    return (nl_k_stage){.shape = c->s,
                        .centres = !v->norm || v->norm->centres,
                        .eps = 1.0F / NL_V_EPS_INVERSE,
                        .drop = {c->drop > 0 ? d->slots : NULL, d->state, NL_V_LAYER,
                                 nl_dropout_threshold(c->drop), nl_dropout_scale(c->drop), d->kept},
                        .z = d->in[NL_IN_BLOCK_Z],
                        .bias = d->in[NL_IN_BLOCK_BIAS],
                        .gamma = d->in[NL_IN_BLOCK_GAMMA],
                        .beta = d->in[NL_IN_BLOCK_BETA],
                        .running_mean = d->in[NL_IN_BLOCK_RUNNING_MEAN],
                        .running_var = d->in[NL_IN_BLOCK_RUNNING_VAR],
                        .y = d->out[NL_OUT_BLOCK_Y],
                        .saved = d->saved,
                        .fresh_mean = d->out[NL_OUT_BLOCK_MEAN],
                        .fresh_var = d->out[NL_OUT_BLOCK_VAR],
                        .dy = d->in[NL_IN_BLOCK_DY],
                        .dz = d->out[NL_OUT_BLOCK_DZ],
                        .dgamma = d->out[NL_OUT_BLOCK_DGAMMA],
                        .dbeta = d->out[NL_OUT_BLOCK_DBETA],
                        .dbias = d->out[NL_OUT_BLOCK_DBIAS],
                        .scratch = d->scratch,
                        .counters = d->counters};
}

/* Evaluation leaves no mask. */
static void check_unwritten(const uint8_t *kept, int64_t size) {
    uint8_t *host = nl_alloc((size_t)size, 1, "mask");
    device_read(host, kept, size, 1);
    for (int64_t i = 0; i < size; i++) cr_assert(host[i] == 0xff, "mask[%lld]", (long long)i);
    free(host);
}

/* Runs forward and backward under every schedule: the same bits each time. */
static void run_kernels(nl_verify_results *got, const nl_verify_case *v, const stage_case *c,
                        const char *name) {
    const nl_launchers *l = nl_launchers_of(v->norm);
    float *host[NL_V_OUTPUTS];
    for (int i = 0; i < NL_V_OUTPUTS; i++) host[i] = guarded_f32(v->out_count[i]);
    for (unsigned s = 0; s < schedules(); s++) {
        schedule(s);
        device d = device_make(v, c);
        const nl_k_stage k = stage_make(v, c, &d);
        cr_assert((v->eval ? l->evaluate : l->forward)(&k, NULL) == 0);
        cr_assert(v->eval || l->backward(&k, NULL) == 0);
        for (int i = 0; i < NL_V_OUTPUTS; i++)
            if (d.out[i]) same_bits(host[i], d.out[i], v->out_count[i], sizeof(float), s, name);
        if (v->eval) check_unwritten(d.kept, (int64_t)nl_k_kept_size(&c->s));
        device_drop(&d, c);
    }
    for (int i = 0; i < NL_V_OUTPUTS; i++) {
        for (int64_t k = 0; k < v->out_count[i]; k++) got->out[i][k] = (double)host[i][k];
        guarded_free(host[i]);
    }
}

// --- comparison ---------------------------------------------------------------------------------

static void describe(const stage_case *c, char *text, size_t size) {
    snprintf(text, size, "%dx%dx%dx%d groups %d pool %d relu %d drop %g at %g +- %g%s%s%s", c->s.n,
             c->s.c, c->s.h, c->s.w, c->s.groups, c->s.pool, c->s.relu, c->drop, c->input.mean,
             c->input.sigma, c->shift ? " unaligned" : "", c->bare ? " bare" : "",
             c->poison ? " NaN" : "");
}

void check_stage(const stage_case *c) {
    char name[160], launcher[32];
    nl_error err;
    describe(c, name, sizeof name);
    snprintf(launcher, sizeof launcher, "norm_%s%s", nl_norm_words[c->norm],
             c->eval ? "_eval" : "");
    covered(launcher, name);
    nl_verify_case v = make(c);
    nl_verify_results want = nl_verify_results_make(&v), plain = nl_verify_results_make(&v),
                      got = nl_verify_results_make(&v);
    cr_assert(nl_verify_plain_f64(want.out, &v, NULL, &err) == NL_OK);
    cr_assert(nl_verify_plain_f32(plain.out, &v, NULL, &err) == NL_OK);
    run_kernels(&got, &v, c, name);
    for (int i = 0; i < NL_V_OUTPUTS; i++) {
        if (v.out_count[i] == 0) continue;
        const nl_verify_finding f =
            nl_verify_compare(got.out[i], plain.out[i], want.out[i], v.out_count[i], 0);
        cr_assert(f.right, "%s %s: %s[%lld] is %.9g, must be %.9g within %.3g", launcher, name,
                  nl_verify_output(NL_V_BLOCK, i), (long long)f.at, got.out[i][f.at],
                  want.out[i][f.at], f.allowed);
    }
    nl_verify_results_free(&want);
    nl_verify_results_free(&plain);
    nl_verify_results_free(&got);
    nl_verify_case_free(&v);
}
