/* support_stage.h
 *
 * The gradient jumps where two values of a window are nearly equal or an activation is nearly 0:
 * there rounding decides who gets it. dy is set to 0 at such places (dodge), so that all three
 * computations mean the same function; everywhere else they must agree. */
#include "support_stage.h"

#include <math.h>   // fabs
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // memcpy

#include "normlab/ops.h"     // nl_norm_batch_forward_f64
#include "normlab/rng.h"     // nl_dropout_threshold
#include "normlab/verify.h"  // nl_is_tie
#include "support/compare.h" // CHECK_CLOSE
#include "support/random.h"  // random_f64
#include "support_device.h"  // device_copy

enum { SEED = 3, EPOCH = 7, LAYER = 2, MOST_SLOTS = 128 };

/* What a stage gives; y and dz among them are the images' tensors, the rest belongs to channels. */
#define RESULTS(X) X(y) X(dz) X(dgamma) X(dbeta) X(dbias) X(fresh_mean) X(fresh_var)

typedef struct results {
#define X(name) double *name;
    RESULTS(X)
#undef X
} results;

typedef struct stage {
    const stage_case *c;
    int64_t in, out, pairs; /* elements of z and y; (mean, var) pairs */
    nl_norm_shape norm;
    nl_pool_shape pool;
    nl_dropout_spec drop;
    uint32_t slots[MOST_SLOTS];
    double *z, *bias, *gamma, *beta, *dy; /* inputs */
    double *r_mean, *r_var;
} stage;

static int64_t results_count(const stage *t, size_t i) {
    return i == 0 ? t->out : i == 1 ? t->in : t->c->s.c;
}

// --- the plain operations, in both precisions ---------------------------------------------------

#define REAL double
#define PLAIN(name) name##_f64
#define OPS(name) nl_##name##_f64
#include "plain_stage.h"
#undef REAL
#undef PLAIN
#undef OPS

#define REAL float
#define PLAIN(name) name##_f32
#define OPS(name) nl_##name##_f32
#include "plain_stage.h"
#undef REAL
#undef PLAIN
#undef OPS

// --- inputs -------------------------------------------------------------------------------------

static stage make(const stage_case *c) {
    const nl_k_shape s = c->s;
    const int k = s.pool ? s.pool : 1, hw = s.h * s.w;
    stage t = {.c = c, .in = (int64_t)s.n * s.c * hw};
    t.out = (int64_t)s.n * s.c * (s.h / k) * (s.w / k);
    t.norm = (nl_norm_shape){s.n, s.c, hw, c->norm >= STAGE_GROUP ? s.groups : 0};
    t.pairs = c->norm >= STAGE_GROUP ? (int64_t)s.n * s.groups : s.c;
    t.pool = (nl_pool_shape){s.n, s.c, s.h, s.w, k};
    cr_assert(s.n <= MOST_SLOTS);
    for (int i = 0; i < s.n; i++) t.slots[i] = (uint32_t)(i * 977 % 60000 + 11);
    t.z = random_f64(t.in, 1, c->input.mean, c->input.sigma);
    if (c->poison) t.z[t.in / 2] = NAN;
    t.bias = random_f64(s.c, 2, 0, fabs(c->input.mean) > 100 || c->bare ? 0 : 0.3);
    t.gamma = random_f64(s.c, 3, 1, 0.5);
    t.beta = random_f64(s.c, 4, 0.1, 0.5);
    t.dy = random_f64(t.out, 5, 0.2, 1);
    t.r_mean = random_f64(s.c, 6, c->input.mean, c->input.sigma);
    t.r_var = random_f64(s.c, 7, 1, 0.2);
    return t;
}

static void drop_inputs(stage *t) {
    double *all[] = {t->z, t->bias, t->gamma, t->beta, t->dy, t->r_mean, t->r_var};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) guarded_free(all[i]);
}

static results make_results(const stage *t) {
    results r;
    double **all = (double **)&r;
    for (size_t i = 0; i < sizeof r / sizeof *all; i++) all[i] = guarded_f64(results_count(t, i));
    return r;
}

static void drop_results(results *r) {
    double **all = (double **)r;
    for (size_t i = 0; i < sizeof *r / sizeof *all; i++) guarded_free(all[i]);
}

// --- near ties ----------------------------------------------------------------------------------

static void dodge(stage *t) {
    double *u = guarded_f64(t->in);
    normed_f64(t, u);
    double largest = 0;
    for (int64_t i = 0; i < t->in; i++) largest = fmax(largest, fabs(u[i]));
    const int64_t planes = (int64_t)t->norm.n * t->norm.c, each = t->out / planes;
    const int k = t->pool.k, width = t->pool.w, columns = width / k;
    for (int64_t i = 0; i < t->out; i++) {
        const int64_t o = i % each, at = o / columns * k * width + o % columns * k;
        const double *plane = u + i / each * t->norm.hw;
        if (nl_is_tie(plane + at, k, width, t->c->s.relu, 2e-3 * largest)) t->dy[i] = 0;
    }
    guarded_free(u);
}

// --- the kernels --------------------------------------------------------------------------------

typedef struct device {
    float *z, *bias, *gamma, *beta, *dy, *r_mean, *r_var; /* inputs */
    float *results[sizeof(results) / sizeof(double *)];
    nl_k_moments *saved;
    uint32_t *slots;
    nl_k_state *state;
    void *scratch;
    uint32_t *counters;
} device;

static float *upload(const double *x, int64_t count, int shift) {
    float *narrow = to_f32(x, count), *on_device = device_copy(narrow, count, sizeof(float), shift);
    guarded_free(narrow);
    return on_device;
}

static device device_make(const stage *t) {
    const int c = t->c->s.c, shift = t->c->shift;
    const nl_k_state state = {.seed = SEED, .epoch = EPOCH};
    device d = {.z = upload(t->z, t->in, shift),
                .bias = t->c->bare ? NULL : upload(t->bias, c, 0),
                .gamma = upload(t->gamma, c, 0),
                .beta = upload(t->beta, c, 0),
                .dy = upload(t->dy, t->out, shift),
                .r_mean = upload(t->r_mean, c, 0),
                .r_var = upload(t->r_var, c, 0),
                .saved = device_copy(NULL, t->pairs, sizeof(nl_k_moments), 0),
                .slots = device_copy(t->slots, t->norm.n, sizeof *t->slots, 0),
                .state = device_copy(&state, 1, sizeof state, 0),
                .scratch = scratch_make(nl_k_scratch_size(&t->c->s)),
                .counters = counters_make(nl_k_counters(&t->c->s))};
    for (size_t i = 0; i < sizeof d.results / sizeof *d.results; i++)
        d.results[i] = device_copy(NULL, results_count(t, i), sizeof(float), i < 2 ? shift : 0);
    return d;
}

static void device_drop(const stage *t, device *d) {
    void *all[] = {d->z,     d->bias,  d->gamma, d->beta,  d->dy,     d->r_mean,
                   d->r_var, d->saved, d->slots, d->state, d->scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) device_free(all[i]);
    for (size_t i = 0; i < sizeof d->results / sizeof *d->results; i++) device_free(d->results[i]);
    counters_free(d->counters, nl_k_counters(&t->c->s));
}

static nl_k_stage stage_make(const stage *t, const device *d, nl_k_dropout drop) {
    const bool plain = t->c->norm == STAGE_PLAIN;
    float *const *to = d->results;
    return (nl_k_stage){.shape = t->c->s,
                        .centres = t->c->norm != STAGE_RMS,
                        .eps = (float)NORM_EPS,
                        .drop = drop,
                        .z = d->z,
                        .bias = d->bias,
                        .gamma = d->gamma,
                        .beta = d->beta,
                        .running_mean = d->r_mean,
                        .running_var = d->r_var,
                        .y = to[0],
                        .saved = d->saved,
                        .fresh_mean = to[5],
                        .fresh_var = to[6],
                        .dy = d->dy,
                        .dz = to[1],
                        .dgamma = to[2],
                        .dbeta = to[3],
                        .dbias = plain && t->c->bare ? NULL : to[4],
                        .scratch = d->scratch,
                        .counters = d->counters};
}

static int launch_forward(const stage_case *c, const nl_k_stage *s) {
    if (c->norm == STAGE_PLAIN) return nl_k_norm_none_forward(s, NULL);
    if (c->eval) return nl_k_norm_batch_eval(s, NULL);
    return (c->norm == STAGE_BATCH ? nl_k_norm_batch_forward : nl_k_norm_group_forward)(s, NULL);
}

static int launch_backward(const stage_case *c, const nl_k_stage *s) {
    if (c->norm == STAGE_PLAIN) return nl_k_norm_none_backward(s, NULL);
    return (c->norm == STAGE_BATCH ? nl_k_norm_batch_backward : nl_k_norm_group_backward)(s, NULL);
}

/* Runs forward and backward under every schedule; the results as floats, the caller frees each. */
static void run_kernels(const stage *t, float *got[], const char *name) {
    for (unsigned s = 0; s < schedules(); s++) {
        schedule(s);
        device d = device_make(t);
        const nl_k_dropout drop = {t->c->drop > 0 ? d.slots : NULL, d.state, LAYER,
                                   nl_dropout_threshold(t->c->drop), nl_dropout_scale(t->c->drop)};
        const nl_k_stage k = stage_make(t, &d, drop);
        cr_assert(launch_forward(t->c, &k) == 0);
        cr_assert(t->c->eval || launch_backward(t->c, &k) == 0);
        for (size_t i = 0; i < sizeof(results) / sizeof(double *); i++)
            same_bits(got[i], d.results[i], results_count(t, i), sizeof(float), s, name);
        device_drop(t, &d);
    }
}

// --- comparison ---------------------------------------------------------------------------------

static bool is_given(const stage *t, size_t i) {
    const stage_case *c = t->c;
    if (i == 0) return true;
    if (c->eval) return false;
    if (i == 1) return true;
    if (c->norm == STAGE_PLAIN) return i == 4 && !c->bare;
    return i < 5 || c->norm == STAGE_BATCH;
}

static double bound_of(const double *plain, const double *want, int64_t count) {
    double error = 0, largest = 0;
    for (int64_t i = 0; i < count; i++) {
        error = fmax(error, fabs(plain[i] - want[i]));
        largest = fmax(largest, fabs(want[i]));
    }
    return nl_verify_bound(error, largest);
}

static void describe(const stage_case *c, char *text, size_t size) {
    snprintf(text, size, "%dx%dx%dx%d groups %d pool %d relu %d drop %g at %g +- %g%s%s%s", c->s.n,
             c->s.c, c->s.h, c->s.w, c->norm >= STAGE_GROUP ? c->s.groups : 0, c->s.pool, c->s.relu,
             c->drop, c->input.mean, c->input.sigma, c->shift ? " unaligned" : "",
             c->bare ? " bare" : "", c->poison ? " NaN" : "");
}

void check_stage(const stage_case *c) {
    static const char *const names[] = {"norm_none", "norm_batch", "norm_group", "norm_rms"};
#define X(name) #name,
    static const char *const result_names[] = {RESULTS(X)};
#undef X
    char name[160], text[COMPARE_TEXT];
    describe(c, name, sizeof name);
    covered(c->eval ? "norm_batch_eval" : names[c->norm], name);
    stage t = make(c);
    if (!c->eval) dodge(&t);
    results want = make_results(&t), plain = make_results(&t);
    plain_f64(&t, &want);
    plain_f32(&t, &plain);
    float *got[sizeof(results) / sizeof(double *)];
    for (size_t i = 0; i < sizeof got / sizeof *got; i++)
        got[i] = guarded_f32(results_count(&t, i));
    run_kernels(&t, got, name);
    for (size_t i = 0; i < sizeof got / sizeof *got; i++) {
        const int64_t count = results_count(&t, i);
        const double *w = ((double **)&want)[i];
        const double bound = is_given(&t, i) ? bound_of(((double **)&plain)[i], w, count) : 0;
        if (is_given(&t, i))
            cr_assert(compare_f32(text, got[i], w, count, bound, 0), "%s: %s: %s", name,
                      result_names[i], text);
        guarded_free(got[i]);
    }
    drop_results(&want);
    drop_results(&plain);
    drop_inputs(&t);
}
