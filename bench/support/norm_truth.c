/* norm_truth.h */
#include "support/norm_truth.h"

#include <math.h>  // fmax
#include <stdio.h> // fprintf

nl_verify_case norm_case_make(int n, int c, int h, int w, int groups, int pool) {
    nl_verify_case v = {.norm = nl_norm_find(groups ? NL_NORM_GROUP : NL_NORM_BATCH),
                        .n = n,
                        .c = c,
                        .h = h,
                        .w = w,
                        .groups = groups,
                        .pool = pool,
                        .relu = 1,
                        .bare = true};
    nl_verify_block(&v, (nl_verify_spread){0.7, 1, 0});
    nl_verify_clear_ties(&v);
    v.out_count[NL_OUT_BLOCK_MEAN] = v.out_count[NL_OUT_BLOCK_VAR] = 0;
    return v;
}

static bool is_right(const nl_verify_case *c, const double *got, const double *plain,
                     const double *want, int output, const char *name, double *worst) {
    const nl_verify_finding f = nl_verify_compare(got, plain, want, c->out_count[output], 0);
    *worst = fmax(*worst, f.error / f.allowed);
    if (!f.right)
        fprintf(stderr, "bench_norm: %s: %s[%lld] is %.9g, must be %.9g within %.2g: not timed\n",
                name, nl_verify_output(NL_V_BLOCK, output), (long long)f.at, got[f.at], want[f.at],
                f.allowed);
    return f.right;
}

bool norm_is_right(const norm_room *room, norm_work *work, const nl_verify_case *c,
                   const char *name, double *worst) {
    nl_error err;
    bool right = true;
    nl_verify_results got = nl_verify_results_make(c), plain = nl_verify_results_make(c),
                      want = nl_verify_results_make(c);
    room->time(work, false, false, 1);
    room->time(work, true, false, 1);
    room->read(work, got.out);
    *worst = 0;
    if (nl_verify_plain_f64(want.out, c, NULL, &err) ||
        nl_verify_plain_f32(plain.out, c, NULL, &err)) {
        nl_error_print(&err);
        right = false;
    }
    for (int i = 0; i < NL_V_OUTPUTS && right; i++)
        if (c->out_count[i])
            right = is_right(c, got.out[i], plain.out[i], want.out[i], i, name, worst);
    nl_verify_results_free(&got);
    nl_verify_results_free(&plain);
    nl_verify_results_free(&want);
    return right;
}
