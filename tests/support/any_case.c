#include "any_case.h"

#include <criterion/criterion.h>
#include <math.h>   // pow, isfinite
#include <stdio.h>  // snprintf
#include <stdlib.h> // getenv, free

#include "verify/random_dice.h" // nl_dice

/* ---- drawing -------------------------------------------------------------------------------- */

static double uniform(nl_dice *d) {
    return nl_roll(d, 1 << 24) / (double)(1 << 24);
}

/* Small counts, ordinary ones, and one over a multiple of a vector's width. */
static int draw_count(nl_dice *d, int most) {
    static const int odd[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33};
    const int count = nl_chance(d, 60) ? odd[nl_roll(d, 12)] : nl_between(d, 1, most);
    return nl_smaller(count, most);
}

/* Values of any size from 1/1000 to 1000, around a mean that float can still tell them from. */
static void fill(nl_verify_case *c, nl_dice *d, int index, int64_t count, double mean) {
    const double sigma = pow(10, 6 * uniform(d) - 3);
    float *values = nl_alloc((size_t)count, sizeof *values, "case");
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(sigma * (mean + 2 * uniform(d) - 1 + uniform(d) - 0.5));
    free(c->in[index]);
    c->in[index] = values;
    c->in_count[index] = count;
}

static double draw_mean(nl_dice *d) {
    static const double means[] = {0, 0, 0, 1, -2.3, 30, -300};
    return means[nl_roll(d, 7)];
}

/* A few values of the operation's tensors that are not finite. */
static void spoil(nl_verify_case *c, nl_dice *d, int tensors, const int *which) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = nl_between(d, 1, 3); i > 0; i--) {
        const int index = which[nl_roll(d, tensors)];
        if (c->in_count[index] > 0)
            c->in[index][nl_roll(d, (int)c->in_count[index])] = bad[nl_roll(d, 3)];
    }
}

/* A norm and its groups; false: it would see one value in a set, which no network has. */
static bool draw_norm(nl_verify_case *c, nl_dice *d) {
    c->norm = nl_norm_find((nl_norm)nl_roll(d, NL_NORMS));
    c->eval = c->norm && c->norm->runs && nl_chance(d, 25);
    if (!c->norm) return true;
    while (c->norm->groups && c->groups == 0)
        c->groups = c->norm->groups(c->c, nl_between(d, 1, c->c));
    const int channels = c->groups ? c->c / c->groups : c->n;
    return channels * c->h * c->w > 1;
}

static void draw_block(nl_verify_case *c, nl_dice *d, bool small) {
    static const int tensors[] = {NL_IN_BLOCK_Z, NL_IN_BLOCK_Z, NL_IN_BLOCK_DY};
    do {
        *c = (nl_verify_case){.n = draw_count(d, small ? 5 : 33), .c = draw_count(d, 40)};
        c->h = draw_count(d, small ? 7 : 14);
        c->w = draw_count(d, small ? 9 : 14);
    } while (!draw_norm(c, d));
    const int side = nl_smaller(c->h, c->w);
    c->pool = nl_chance(d, 50) && side >= 2 ? nl_between(d, 2, nl_smaller(side, 4)) : 0;
    c->relu = nl_chance(d, 60);
    c->bare = !c->norm && nl_chance(d, 30);
    c->dropout = c->pool && !c->eval && nl_chance(d, 40) ? uniform(d) : 0;
    nl_verify_block(c, (nl_verify_spread){0, 1, 0.3});
    fill(c, d, NL_IN_BLOCK_Z, c->in_count[NL_IN_BLOCK_Z], draw_mean(d));
    if (!c->eval) fill(c, d, NL_IN_BLOCK_DY, c->in_count[NL_IN_BLOCK_DY], 0.2);
    if (nl_chance(d, 30)) spoil(c, d, c->eval ? 2 : 3, tensors);
    nl_verify_clear_ties(c);
}

static void draw_conv(nl_verify_case *c, nl_dice *d, bool small) {
    static const int tensors[] = {NL_IN_CONV_X, NL_IN_CONV_W, NL_IN_CONV_DY};
    nl_conv_shape s = {.n = draw_count(d, 6), .c = draw_count(d, 33), .k = nl_between(d, 1, 5)};
    s.o = draw_count(d, 33);
    s.pad = nl_roll(d, s.k);
    s.h = nl_between(d, s.k, small ? 9 : 14);
    s.w = nl_between(d, s.k, small ? 9 : 14);
    *c = (nl_verify_case){.op = NL_V_CONV, .conv = s};
    const int64_t x = (int64_t)s.n * s.c * s.h * s.w, w = (int64_t)s.o * s.c * s.k * s.k;
    const int64_t y =
        (int64_t)s.n * s.o * nl_conv_out(s.h, s.k, s.pad) * nl_conv_out(s.w, s.k, s.pad);
    fill(c, d, NL_IN_CONV_X, x, 0.4);
    fill(c, d, NL_IN_CONV_W, w, 0);
    fill(c, d, NL_IN_CONV_DY, y, 0);
    c->out_count[NL_OUT_CONV_Y] = y;
    c->out_count[NL_OUT_CONV_DX] = nl_verify_first(s) ? 0 : x;
    c->out_count[NL_OUT_CONV_DW] = w;
    if (nl_chance(d, 30)) spoil(c, d, 3, tensors);
}

static void draw_loss(nl_verify_case *c, nl_dice *d) {
    static const int tensors[] = {NL_IN_LOSS_Z};
    *c = (nl_verify_case){.op = NL_V_LOSS, .n = draw_count(d, 70), .c = nl_between(d, 2, 256)};
    c->h = draw_count(d, 4);
    c->w = draw_count(d, 4);
    const int64_t count = (int64_t)c->n * c->c * c->h * c->w;
    fill(c, d, NL_IN_LOSS_Z, count, 0);
    fill(c, d, NL_IN_LOSS_BIAS, c->c, 0);
    c->out_count[NL_OUT_LOSS_DZ] = count;
    c->out_count[NL_OUT_LOSS_DBIAS] = c->c;
    c->out_count[NL_OUT_LOSS_LOSS] = c->out_count[NL_OUT_LOSS_HITS] = 1;
    if (nl_chance(d, 30)) spoil(c, d, 1, tensors);
}

static void draw_update(nl_verify_case *c, nl_dice *d) {
    static const int tensors[] = {NL_IN_UPDATE_W, NL_IN_UPDATE_V, NL_IN_UPDATE_DW};
    const int64_t count = nl_between(d, 1, 3000);
    *c = (nl_verify_case){.op = NL_V_UPDATE};
    for (int i = 0; i < 3; i++) fill(c, d, tensors[i], count, 0);
    c->out_count[NL_OUT_UPDATE_W] = c->out_count[NL_OUT_UPDATE_V] = count;
    c->out_count[NL_OUT_UPDATE_PENALTY] = 1;
    if (nl_chance(d, 30)) spoil(c, d, 3, tensors);
}

void any_case_draw(nl_verify_case *c, uint32_t number, bool small) {
    nl_dice d = {.seed = number};
    const int what = nl_roll(&d, 100);
    if (what < 60)
        draw_block(c, &d, small);
    else if (what < 80)
        draw_conv(c, &d, small);
    else if (what < 90)
        draw_loss(c, &d);
    else
        draw_update(c, &d);
}

void any_case_free(nl_verify_case *c) {
    nl_verify_case_free(c);
}

/* ---- checking ------------------------------------------------------------------------------- */

static const char *describe(const nl_verify_case *c, uint32_t number) {
    static char text[300];
    const nl_conv_shape s = c->conv;
    const int norm = c->norm ? (int)c->norm->sets + 1 : 0;
    if (c->op == NL_V_CONV)
        snprintf(text, sizeof text, "case %u: conv %d x (%d,%d,%d), %d of %d, pad %d", number, s.n,
                 s.c, s.h, s.w, s.o, s.k, s.pad);
    else
        snprintf(text, sizeof text,
                 "case %u: operation %d on (%d,%d,%d,%d), norm over %d%s, %d groups, eval %d, pool "
                 "%d, relu %d, dropout %g, bare %d",
                 number, c->op, c->n, c->c, c->h, c->w, norm,
                 c->norm && !c->norm->centres ? " (not centred)" : "", c->groups, c->eval, c->pool,
                 c->relu, c->dropout, c->bare);
    return text;
}

static bool is_finite(const nl_verify_case *c) {
    for (int i = 0; i < NL_V_INPUTS; i++)
        for (int64_t k = 0; k < c->in_count[i]; k++)
            if (!isfinite(c->in[i][k])) return false;
    return true;
}

/* A convolution multiplies the zeros around an image too, and so may spread what is not finite to
 * the edges: that it hides nothing of it is what can be asked for. */
static void check_edges(const nl_verify_case *c, uint32_t number, nl_verify_run run,
                        void *context) {
    nl_verify_results got = nl_verify_results_make(c), want = nl_verify_results_make(c);
    nl_error err = {0};
    cr_assert(nl_verify_plain_f64(want.out, c, NULL, &err) == NL_OK);
    cr_assert(run(got.out, c, context, &err) == NL_OK, "%s: %s", describe(c, number), err.what);
    for (int i = 0; i < NL_V_OUTPUTS; i++)
        for (int64_t k = 0; k < c->out_count[i]; k++)
            cr_expect(isfinite(want.out[i][k]) || !isfinite(got.out[i][k]), "%s: %s[%lld] is %g",
                      describe(c, number), nl_verify_output(c->op, i), (long long)k, got.out[i][k]);
    nl_verify_results_free(&got);
    nl_verify_results_free(&want);
}

/* The gradient of the bias is the sum of those of z, of which a norm leaves next to nothing: each of
 * them may be off by what it is allowed, and what plain float's sum is off by is luck. */
static double allowed_of(const nl_verify_finding *found, const nl_verify_case *c, int output) {
    const bool sum = c->op == NL_V_BLOCK && c->norm && output == NL_OUT_BLOCK_DBIAS;
    const double terms = sqrt((double)c->n * c->h * c->w);
    return sum ? fmax(found[output].allowed, terms * found[NL_OUT_BLOCK_DZ].allowed)
               : found[output].allowed;
}

static void check_all(const nl_verify_case *c, uint32_t number, nl_verify_run run, void *context) {
    nl_verify_finding found[NL_V_OUTPUTS];
    nl_error err = {0};
    cr_assert(nl_verify_one(found, c, run, context, &err) == NL_OK, "%s: %s", describe(c, number),
              err.what);
    for (int i = 0; i < NL_V_OUTPUTS; i++) {
        const double allowed = allowed_of(found, c, i);
        cr_expect(c->out_count[i] == 0 || found[i].error <= allowed,
                  "%s%s: %s[%lld] is off by %g, allowed are %g", describe(c, number),
                  is_finite(c) ? "" : ", not finite", nl_verify_output(c->op, i),
                  (long long)found[i].at, found[i].error, allowed);
    }
}

static int number_of(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

void any_case_check(int draws, bool small, nl_verify_run run, void *context) {
    int ops[NL_V_OPS] = {0}, sets[NL_SETS + 1] = {0}, finite[2] = {0};
    const uint32_t first = (uint32_t)number_of("NORMLAB_SEED", 1);
    draws = number_of("NORMLAB_DRAWS", draws);
    for (uint32_t number = first; number < first + (uint32_t)draws; number++) {
        nl_verify_case c;
        any_case_draw(&c, number, small);
        const bool spoiled = !is_finite(&c);
        (spoiled && c.conv.k > 1 ? check_edges : check_all)(&c, number, run, context);
        ops[c.op]++;
        sets[c.norm ? c.norm->sets : NL_SETS] += c.op == NL_V_BLOCK;
        finite[spoiled]++;
        any_case_free(&c);
    }
    for (int i = 0; i < NL_V_OPS; i++) cr_assert(ops[i] > 0, "no case of operation %d", i);
    for (int i = 0; i <= NL_SETS; i++) cr_assert(sets[i] > 0, "no block over sets %d", i);
    cr_assert(finite[0] > 0 && finite[1] > 0);
}
