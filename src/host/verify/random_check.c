/* Compares how a random network trains on a backend with double precision; see
 * normlab/random_net.h. */
#include <math.h>   // fabs
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // memset

#include "normlab/verify.h" // nl_verify_compare
#include "random_run.h"
#include "step_truth.h"

/* Fails with the network's seed as the place. */
#define DIFFERS(b, err, ...)                                                                       \
    do {                                                                                           \
        char where_[64];                                                                           \
        snprintf(where_, sizeof where_, "random network %u", (b)->net->seed);                      \
        return nl_fail(err, NL_EINTERNAL, where_, __VA_ARGS__);                                    \
    } while (0)

static bool close_to(double got, double want, double relative) {
    if (!isfinite(want)) return !isfinite(got);
    return fabs(got - want) <= relative * fabs(want);
}

static int compare_records(const nl_random_bench *b, const nl_random_trail *got,
                           const nl_random_trail *want, nl_error *err) {
    for (int e = 0; e < NL_RANDOM_EPOCHS; e++)
        for (uint32_t i = 0; i < b->net->steps; i++) {
            const nl_step_record *g = &got->records[e][i], *w = &want->records[e][i];
            const double relative = e == 0 && i == 0 ? 1e-5 : 3e-2;
            if (!close_to(g->loss, w->loss, relative))
                DIFFERS(b, err, "epoch %d, step %u: loss %.9g, must be %.9g", e, i, g->loss,
                        w->loss);
            if (!close_to(g->penalty, w->penalty, relative))
                DIFFERS(b, err, "epoch %d, step %u: penalty %.9g, must be %.9g", e, i, g->penalty,
                        w->penalty);
            if (g->images != w->images)
                DIFFERS(b, err, "epoch %d, step %u: %u images, must be %u", e, i, g->images,
                        w->images);
        }
    return NL_OK;
}

static int compare_evaluation(const nl_random_bench *b, const nl_random_trail *got,
                              const nl_random_trail *plain, const nl_random_trail *want,
                              nl_error *err) {
    const int64_t count = (int64_t)b->net->images * b->model.picture.classes;
    const nl_verify_finding f =
        nl_verify_compare(got->logits, plain->logits, want->logits, count, 0);
    if (!close_to(got->own_loss, want->own_loss, 3e-2))
        DIFFERS(b, err, "evaluated after training: loss %.9g, must be %.9g", got->own_loss,
                want->own_loss);
    if (!close_to(got->loss, want->loss, 1e-5))
        DIFFERS(b, err, "evaluated with given weights: loss %.9g, must be %.9g", got->loss,
                want->loss);
    if (!f.right)
        DIFFERS(b, err, "logits with given weights: off by %.3g, allowed %.3g", f.error, f.allowed);
    return NL_OK;
}

/* What the first step leaves: gradients and running values. */
static int compare_step(const nl_random_bench *b, const nl_random_trail *got,
                        nl_random_outcome *outcome, nl_error *err) {
    const nl_step_verdict v =
        nl_truth_check(&b->spec, b->params, b->buffers, &b->epochs[0], got->left);
    outcome->step = v.share;
    outcome->ties = v.ties;
    if (!(v.share <= 1))
        DIFFERS(b, err, "%s after the first step: off by %.3g, allowed %.3g (plain float: %.3g)",
                v.tensor, v.share * v.bound, v.bound, v.plain);
    return NL_OK;
}

static int compare(const nl_random_bench *b, const nl_random_trail *got,
                   const nl_random_trail *plain, const nl_random_trail *want,
                   nl_random_outcome *outcome, nl_error *err) {
    const double loss = want->records[0][0].loss;
    outcome->steps = NL_RANDOM_EPOCHS * (int)b->net->steps;
    outcome->loss = fabs(got->records[0][0].loss - loss) / loss;
    int code = compare_records(b, got, want, err);
    if (!code) code = compare_step(b, got, outcome, err);
    return code ? code : compare_evaluation(b, got, plain, want, err);
}

int nl_random_net_check(const nl_random_net *net, const nl_backend *backend,
                        nl_random_outcome *outcome, nl_error *err) {
    nl_random_bench *b = nl_alloc(1, sizeof *b, "a random network");
    memset(outcome, 0, sizeof *outcome);
    int code = nl_random_bench_open(b, net, err);
    if (code) {
        free(b);
        return code;
    }
    nl_random_trail *want = nl_random_trail_make(b, &nl_backend_cpu64);
    nl_random_trail *plain = nl_random_trail_make(b, &nl_backend_plain);
    nl_random_trail *got = nl_random_trail_make(b, backend);
    code = nl_random_trail_run(want, b, NULL, err);
    if (!code) code = nl_random_trail_run(plain, b, want, err);
    if (!code) code = nl_random_trail_run(got, b, want, err);
    if (!code) code = compare(b, got, plain, want, outcome, err);
    nl_random_trail_free(want);
    nl_random_trail_free(plain);
    nl_random_trail_free(got);
    nl_random_bench_close(b);
    free(b);
    return code;
}
