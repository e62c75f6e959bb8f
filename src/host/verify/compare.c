/* The one comparison with double precision. See normlab/verify.h. */
#include <math.h>   // fabs
#include <stdlib.h> // free

#include "normlab/verify.h"

const char *nl_verify_output(nl_verify_op op, int output) {
    static const char *const names[NL_V_OPS][NL_V_OUTPUTS] = {
        [NL_V_BLOCK] = {"y", "dz", "dgamma", "dbeta", "dbias", "mean", "variance"},
        [NL_V_CONV] = {"y", "dx", "dw"},
        [NL_V_LOSS] = {"dz", "dbias", "loss", "hits"},
        [NL_V_UPDATE] = {"w", "v", "penalty"}};
    return names[op][output];
}

nl_verify_results nl_verify_results_make(const nl_verify_case *c) {
    nl_verify_results r;
    for (int i = 0; i < NL_V_OUTPUTS; i++) {
        r.out[i] = nl_alloc((size_t)c->out_count[i], sizeof(double), "verify");
        for (int64_t k = 0; k < c->out_count[i]; k++) r.out[i][k] = NAN;
    }
    return r;
}

void nl_verify_results_free(nl_verify_results *r) {
    for (int i = 0; i < NL_V_OUTPUTS; i++) free(r->out[i]);
}

double nl_verify_largest(const double *x, int64_t count) {
    double most = 0;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(x[i])) most = fmax(most, fabs(x[i]));
    return most;
}

/* The largest difference and its place; 0 without any. */
static double distance(const double *got, const double *want, int64_t count, int64_t *at) {
    double most = 0;
    *at = 0;
    for (int64_t i = 0; i < count; i++) {
        if (got[i] == want[i] || (isnan(got[i]) && isnan(want[i]))) continue;
        const double d = fabs(got[i] - want[i]);
        if (d <= most) continue;
        most = isnan(d) ? INFINITY : d;
        *at = i;
    }
    return most;
}

double nl_verify_distance(const double *got, const double *want, int64_t count) {
    int64_t at;
    return distance(got, want, count, &at);
}

nl_verify_finding nl_verify_compare(const double *got, const double *plain, const double *want,
                                    int64_t count, double terms) {
    nl_verify_finding f = {.largest = fmax(nl_verify_largest(want, count), terms)};
    f.error = distance(got, want, count, &f.at);
    f.allowed = nl_verify_bound(nl_verify_distance(plain, want, count), f.largest);
    f.right = f.error <= f.allowed;
    return f;
}

/* What an output is a sum of, where that says more of its rounding than its size: before a norm
 * that centres the gradient of the bias cancels to nothing. */
static double terms_of(const nl_verify_case *c, int output, const nl_verify_results *want) {
    const bool cancels = c->op == NL_V_BLOCK && output == NL_OUT_BLOCK_DBIAS;
    if (!cancels || (c->norm && !c->norm->centres)) return 0;
    return nl_verify_largest(want->out[NL_OUT_BLOCK_DZ], c->out_count[NL_OUT_BLOCK_DZ]);
}

/* Whether an infinity or a NaN comes of values that are not finite is a matter of the order of a
 * sum; that neither comes of others is not. */
static void forget_infinities(const nl_verify_results *r, const nl_verify_case *c) {
    for (int i = 0; i < NL_V_OUTPUTS; i++)
        for (int64_t k = 0; k < c->out_count[i]; k++)
            if (!isfinite(r->out[i][k])) r->out[i][k] = NAN;
}

int nl_verify_one(nl_verify_finding findings[NL_V_OUTPUTS], const nl_verify_case *c,
                  nl_verify_run run, void *context, nl_error *err) {
    nl_verify_results got = nl_verify_results_make(c), plain = nl_verify_results_make(c),
                      want = nl_verify_results_make(c);
    int code = nl_verify_plain_f64(want.out, c, NULL, err);
    if (!code) code = nl_verify_plain_f32(plain.out, c, NULL, err);
    if (!code) code = run(got.out, c, context, err);
    forget_infinities(&got, c);
    forget_infinities(&plain, c);
    forget_infinities(&want, c);
    for (int i = 0; i < NL_V_OUTPUTS && !code; i++)
        findings[i] = nl_verify_compare(got.out[i], plain.out[i], want.out[i], c->out_count[i],
                                        terms_of(c, i, &want));
    nl_verify_results_free(&got);
    nl_verify_results_free(&plain);
    nl_verify_results_free(&want);
    return code;
}
