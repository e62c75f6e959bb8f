/* See first_check.h. */
#include "support/first_check.h"

#include <criterion/criterion.h>
#include <math.h> // fabs

#include "normlab/verify.h" // nl_verify_bound, nl_is_tie

static double largest(const double *x, int64_t count) {
    double most = 0;
    for (int64_t i = 0; i < count; i++) most = fmax(most, fabs(x[i]));
    return most;
}

static double distance(const double *a, const double *b, int64_t count) {
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        const double d = fabs(a[i] - b[i]);
        if (!(d <= most)) most = isnan(d) ? INFINITY : d;
    }
    return most;
}

/* Where rounding decides what a ReLU does, no gradient comes in. */
static void dodge(problem *p, const outputs *want, const outputs *plain) {
    const int64_t size = p->out_count[U], hw = (int64_t)p->two.h * p->two.w;
    const double tolerance =
        nl_verify_bound(distance(plain->of[U], want->of[U], size), largest(want->of[U], size));
    for (int64_t i = 0; i < size && p->relu; i++) {
        if (!nl_is_tie(&want->of[U][i], 1, 1, true, tolerance)) continue;
        float *at = p->in[DZ2] + i / (hw * p->one.o) * hw * p->two.o + i % hw;
        for (int k = 0; k < p->two.o; k++) at[k * hw] = 0;
    }
}

/* What a bias in front of a norm gets is a sum of dz that cancels. */
static double scale_of(const problem *p, const outputs *want, int output) {
    const double scale = largest(want->of[output], p->out_count[output]);
    if (output != DB1 || !p->norm || !p->norm->centres) return scale;
    return fmax(scale, largest(want->of[DZ1], p->out_count[DZ1]));
}

void first_check(problem *p, const char *what, void (*run)(outputs *got, const problem *p)) {
    outputs want = first_outputs(p), plain = first_outputs(p), got = first_outputs(p);
    first_run_f64(&want, p);
    first_run_f32(&plain, p);
    dodge(p, &want, &plain);
    first_run_f64(&want, p);
    first_run_f32(&plain, p);
    run(&got, p);
    for (int i = Z2; i <= VAR; i++) {
        const int64_t count = p->out_count[i];
        const double rounding = distance(plain.of[i], want.of[i], count);
        const double error = distance(got.of[i], want.of[i], count);
        const double bound = nl_verify_bound(rounding, scale_of(p, &want, i));
        cr_expect(error <= bound,
                  "%s, %s, k %d, pad %d, %d channels: %s off by %.3g, allowed %.3g, plain %.3g",
                  what, first_norm(p), p->one.k, p->one.pad, p->one.o, first_names[i], error, bound,
                  rounding);
    }
    first_drop_outputs(&want);
    first_drop_outputs(&plain);
    first_drop_outputs(&got);
}

static void ordinary(problem *p) {
    (void)p;
}

static void far_mean(problem *p) {
    for (int64_t i = 0; i < p->in_count[X]; i++) p->in[X][i] += 1000;
}

static void near_eps(problem *p) {
    for (int64_t i = 0; i < p->in_count[X]; i++) p->in[X][i] = 0.5F + 3e-3F * p->in[X][i];
}

static void constant(problem *p) {
    for (int64_t i = 0; i < p->in_count[X]; i++) p->in[X][i] = 1.7F;
}

static void one_white_pixel(problem *p) {
    const int64_t each = p->in_count[X] / p->one.n;
    for (int64_t i = 0; i < p->in_count[X]; i++)
        p->in[X][i] = i % each == each / 2 + 3 ? 2.8215F : -0.4242F;
}

void first_zero_filter(problem *p) {
    const int64_t taps = p->in_count[W1] / p->one.o;
    for (int64_t i = 0; i < taps; i++) p->in[W1][taps + i] = 0;
}

const first_input first_inputs[] = {{"ordinary", ordinary},
                                    {"mean 1000 deviations off", far_mean},
                                    {"variance near eps", near_eps},
                                    {"constant", constant},
                                    {"one white pixel", one_white_pixel},
                                    {"a filter of zeros", first_zero_filter}};
const int n_first_inputs = sizeof first_inputs / sizeof *first_inputs;
