/* The table of `normlab verify`: cases, the comparison, what is printed. See normlab/verify.h.
 *
 * The gradient jumps where two values of a pool's window are nearly equal, or an activation is
 * nearly 0: there rounding decides who gets it. dy is 0 at such places, so that all computations
 * mean the same function; everywhere else they must agree.
 */
#include "normlab/verify.h"

#include <math.h>   // fabs
#include <stdio.h>  // printf
#include <stdlib.h> // free
#include <string.h> // strcmp

#include "normlab/philox.h" // nl_philox4x32

/* ---- the table ---------------------------------------------------------------------------------
 */

static const struct {
    int n, c, h, w, pool;
    double dropout;
} shapes[] = {{2, 4, 2, 2, 0, 0},    {3, 8, 28, 28, 2, 0.05}, {5, 16, 12, 12, 2, 0.3},
              {1, 16, 4, 4, 0, 0},   {4, 12, 7, 5, 2, 0.05},  {33, 3, 5, 3, 0, 0},
              {2, 96, 14, 14, 0, 0}, {7, 10, 1, 3, 0, 0},     {64, 8, 6, 6, 3, 0.5}};

static const struct {
    const char *name;
    double mean, sigma;
} inputs[] = {{"ordinary", -2.3, 1},
              {"large mean", 1000, 1},
              {"variance near eps", 0.5, 3e-3},
              {"constant rows", 1.75, 0}};

static const nl_conv_shape convs[] = {{3, 1, 28, 28, 96, 5, 2},  {2, 96, 28, 28, 16, 1, 0},
                                      {4, 16, 14, 14, 16, 3, 0}, {5, 16, 12, 12, 8, 1, 0},
                                      {3, 8, 6, 6, 16, 3, 0},    {7, 16, 4, 4, 10, 3, 0},
                                      {2, 3, 32, 20, 16, 5, 2},  {3, 4, 9, 11, 5, 3, 0}};

static const struct {
    int n, c, h, w;
    double sigma;
} losses[] = {{64, 10, 2, 2, 1}, {1, 10, 1, 1, 3},  {33, 10, 3, 2, 100},
              {5, 2, 3, 3, 1},   {9, 100, 2, 1, 3}, {3, 256, 1, 1, 10}};

static const int64_t updates[] = {1, 37, 9426};

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

/* ---- results by operation and output -----------------------------------------------------------
 */

static const char *const outputs[NL_V_OPS][NL_V_OUTPUTS] = {
    [NL_V_BLOCK] = {"y", "dz", "dgamma", "dbeta", "dbias", "mean", "variance"},
    [NL_V_CONV] = {"y", "dx", "dw"},
    [NL_V_LOSS] = {"dz", "dbias", "loss", "hits"},
    [NL_V_UPDATE] = {"w", "v", "penalty"}};

typedef struct line {
    char operation[24];
    const char *output;
    int cases, failed;
    double ulp, allowed, ratio; /* of the worst case: error and bound in ulp of the largest value */
} line;

typedef struct table {
    line lines[(NL_NORMS + NL_V_OPS) * NL_V_OUTPUTS];
    int n_lines, cases;
    nl_verify_run run;
    void *context;
} table;

static line *line_of(table *t, const char *operation, const char *output) {
    for (int i = 0; i < t->n_lines; i++) {
        line *l = &t->lines[i];
        if (!strcmp(l->operation, operation) && !strcmp(l->output, output)) return l;
    }
    NL_ASSERT(t->n_lines < COUNT(t->lines));
    line *l = &t->lines[t->n_lines++];
    *l = (line){.output = output, .ratio = -1};
    snprintf(l->operation, sizeof l->operation, "%s", operation);
    return l;
}

/* ---- one case ----------------------------------------------------------------------------------
 */

/* A number from a bell of that mean and deviation (four uniform ones added), the same everywhere.
 */
static float draw(uint32_t i, uint32_t key, double mean, double sigma) {
    const nl_philox r = nl_philox4x32(i, 0, 0, 0, key, 77);
    double sum = 0;
    for (int k = 0; k < 4; k++) sum += r.v[k] / 4294967296.0 - 0.5;
    return (float)(mean + sigma * sum * sqrt(3));
}

static void fill(nl_verify_case *c, int index, int64_t count, double mean, double sigma) {
    c->in_count[index] = count;
    c->in[index] = nl_alloc((size_t)count, sizeof(float), "verify");
    for (int64_t i = 0; i < count; i++)
        c->in[index][i] = draw((uint32_t)i, (uint32_t)index + 1, mean, sigma);
}

static void free_case(nl_verify_case *c) {
    for (int i = 0; i < NL_V_INPUTS; i++) free(c->in[i]);
}

typedef struct results {
    double *out[NL_V_OUTPUTS];
} results;

static results make_results(const nl_verify_case *c) {
    results r;
    for (int i = 0; i < NL_V_OUTPUTS; i++) {
        r.out[i] = nl_alloc((size_t)c->out_count[i], sizeof(double), "verify");
        for (int64_t k = 0; k < c->out_count[i]; k++) r.out[i][k] = NAN;
    }
    return r;
}

static void free_results(results *r) {
    for (int i = 0; i < NL_V_OUTPUTS; i++) free(r->out[i]);
}

static double largest(const double *x, int64_t count) {
    double most = 0;
    for (int64_t i = 0; i < count; i++) most = fmax(most, fabs(x[i]));
    return most;
}

/* The largest difference; NaN counts as infinite unless both are NaN. */
static double distance(const double *got, const double *want, int64_t count) {
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        if (isnan(got[i]) && isnan(want[i])) continue;
        const double d = fabs(got[i] - want[i]);
        if (!(d <= most)) most = isnan(d) ? INFINITY : d;
    }
    return most;
}

static void compare(table *t, const char *operation, const nl_verify_case *c, const results *got,
                    const results *plain, const results *want) {
    for (int i = 0; i < NL_V_OUTPUTS; i++) {
        const int64_t count = c->out_count[i];
        if (count == 0) continue;
        double scale = largest(want->out[i], count);
        /* before a norm that centres the gradient of the bias is a sum that cancels to nothing */
        if (c->op == NL_V_BLOCK && i == NL_OUT_BLOCK_DBIAS && (!c->norm || c->norm->centres))
            scale = fmax(scale, largest(want->out[NL_OUT_BLOCK_DZ], c->out_count[NL_OUT_BLOCK_DZ]));
        const double ulp = nl_verify_ulp(scale);
        const double error = distance(got->out[i], want->out[i], count) / ulp;
        const double allowed = 4 * distance(plain->out[i], want->out[i], count) / ulp + 4;
        line *l = line_of(t, operation, outputs[c->op][i]);
        l->cases++;
        if (!(error <= allowed)) l->failed++;
        if (error / allowed <= l->ratio) continue;
        l->ratio = error / allowed;
        l->ulp = error;
        l->allowed = allowed;
    }
}

static int check(table *t, const char *operation, nl_verify_case *c, nl_error *err) {
    results got = make_results(c), plain = make_results(c), want = make_results(c);
    int code = nl_verify_plain_f64(want.out, c, NULL, err);
    if (!code) code = nl_verify_plain_f32(plain.out, c, NULL, err);
    if (!code) code = t->run(got.out, c, t->context, err);
    if (!code) compare(t, operation, c, &got, &plain, &want);
    t->cases++;
    free_results(&got);
    free_results(&plain);
    free_results(&want);
    free_case(c);
    return code;
}

/* ---- blocks ------------------------------------------------------------------------------------
 */

static void dodge(nl_verify_case *c) {
    nl_verify_case bare = *c; /* the same without what follows the norm */
    nl_error err;
    const int64_t in = c->in_count[NL_IN_BLOCK_Z], planes = (int64_t)c->n * c->c,
                  each = c->out_count[NL_OUT_BLOCK_Y] / planes;
    const int k = c->pool ? c->pool : 1, columns = c->w / k;
    bare.pool = bare.relu = 0;
    bare.dropout = 0;
    bare.out_count[NL_OUT_BLOCK_Y] = bare.in_count[NL_IN_BLOCK_DY] = in;
    bare.in[NL_IN_BLOCK_DY] = nl_alloc((size_t)in, sizeof(float), "verify");
    results r = make_results(&bare);
    (void)nl_verify_plain_f64(r.out, &bare, NULL, &err);
    const double tolerance = 2e-3 * largest(r.out[NL_OUT_BLOCK_Y], in);
    for (int64_t i = 0; i < c->out_count[NL_OUT_BLOCK_Y]; i++) {
        const int64_t o = i % each, at = o / columns * k * c->w + o % columns * k;
        const double *plane = r.out[NL_OUT_BLOCK_Y] + i / each * c->h * c->w;
        if (nl_is_tie(plane + at, k, c->w, c->relu, tolerance)) c->in[NL_IN_BLOCK_DY][i] = 0;
    }
    free_results(&r);
    free(bare.in[NL_IN_BLOCK_DY]);
}

static nl_verify_case make_block(int shape, int input, nl_norm norm, int groups) {
    const int c = shapes[shape].c, h = shapes[shape].h, w = shapes[shape].w;
    const int pool = shapes[shape].pool, k = pool ? pool : 1;
    const bool plain_bias = inputs[input].sigma > 0.5 && inputs[input].mean < 100;
    nl_verify_case v = {.op = NL_V_BLOCK,
                        .norm = nl_norm_find(norm),
                        .n = shapes[shape].n,
                        .c = c,
                        .h = h,
                        .w = w,
                        .groups = groups,
                        .pool = pool,
                        .relu = shape != 0,
                        .dropout = pool ? shapes[shape].dropout : 0};
    const int64_t in = (int64_t)v.n * c * h * w, out = (int64_t)v.n * c * (h / k) * (w / k);
    fill(&v, NL_IN_BLOCK_Z, in, inputs[input].mean, inputs[input].sigma);
    fill(&v, NL_IN_BLOCK_BIAS, c, 0, plain_bias ? 0.3 : 0);
    fill(&v, NL_IN_BLOCK_GAMMA, c, 1, 0.5);
    fill(&v, NL_IN_BLOCK_BETA, c, 0.1, 0.5);
    fill(&v, NL_IN_BLOCK_DY, out, 0.2, 1);
    v.out_count[NL_OUT_BLOCK_Y] = out;
    v.out_count[NL_OUT_BLOCK_DZ] = in;
    v.out_count[NL_OUT_BLOCK_DBIAS] = c;
    if (v.norm) v.out_count[NL_OUT_BLOCK_DGAMMA] = v.out_count[NL_OUT_BLOCK_DBETA] = c;
    if (v.norm && v.norm->runs) v.out_count[NL_OUT_BLOCK_MEAN] = v.out_count[NL_OUT_BLOCK_VAR] = c;
    dodge(&v);
    return v;
}

/* The group sizes that a norm is tried with; where a norm chooses its groups without looking at the
 * size, one case is left. */
static int group_counts(int counts[3], const nl_norm_row *row, int channels) {
    const int sizes[3] = {channels, 4, 1};
    int n = 0;
    if (!row->groups) counts[n++] = 0;
    for (int i = 0; i < 3 && row->groups; i++) {
        const int groups = row->groups(channels, sizes[i]);
        if (groups > 0 && (n == 0 || groups != counts[n - 1])) counts[n++] = groups;
    }
    return n;
}

/* Every norm of the table, with each number of groups. */
static int check_norms(table *t, int shape, int input, nl_error *err) {
    int code = NL_OK;
    for (int norm = NL_NORM_NONE + 1; norm < NL_NORMS; norm++) {
        char name[sizeof t->lines->operation];
        int counts[3];
        const int n = group_counts(counts, nl_norm_find((nl_norm)norm), shapes[shape].c);
        snprintf(name, sizeof name, "norm_%s", nl_norm_words[norm]);
        for (int k = 0; k < n && !code; k++) {
            nl_verify_case v = make_block(shape, input, (nl_norm)norm, counts[k]);
            code = check(t, name, &v, err);
        }
    }
    return code;
}

static int check_blocks(table *t, nl_error *err) {
    int code = NL_OK;
    for (int i = 0; i < COUNT(shapes) * COUNT(inputs) && !code; i++) {
        const int shape = i / COUNT(inputs), input = i % COUNT(inputs);
        code = check_norms(t, shape, input, err);
        if (code || input > 0) continue;
        nl_verify_case v = make_block(shape, input, NL_NORM_NONE, 0);
        code = check(t, "relu", &v, err);
    }
    return code;
}

/* ---- the others --------------------------------------------------------------------------------
 */

static int check_convs(table *t, nl_error *err) {
    int code = NL_OK;
    for (int i = 0; i < COUNT(convs) && !code; i++) {
        const nl_conv_shape s = convs[i];
        nl_verify_case v = {.op = NL_V_CONV, .conv = s};
        const int64_t oh = nl_conv_out(s.h, s.k, s.pad), ow = nl_conv_out(s.w, s.k, s.pad);
        const int64_t x = (int64_t)s.n * s.c * s.h * s.w, w = (int64_t)s.o * s.c * s.k * s.k;
        fill(&v, NL_IN_CONV_X, x, 0.4, 1);
        fill(&v, NL_IN_CONV_W, w, 0, 0.2);
        fill(&v, NL_IN_CONV_DY, (int64_t)s.n * s.o * oh * ow, 0,
             1); /* gradients behind a norm have no mean */
        v.out_count[NL_OUT_CONV_Y] = v.in_count[NL_IN_CONV_DY];
        v.out_count[NL_OUT_CONV_DX] = nl_verify_first(s) ? 0 : x;
        v.out_count[NL_OUT_CONV_DW] = w;
        code = check(t, "conv", &v, err);
    }
    return code;
}

static int check_rest(table *t, nl_error *err) {
    int code = NL_OK;
    for (int i = 0; i < COUNT(losses) && !code; i++) {
        nl_verify_case v = {.op = NL_V_LOSS,
                            .n = losses[i].n,
                            .c = losses[i].c,
                            .h = losses[i].h,
                            .w = losses[i].w};
        const int64_t count = (int64_t)v.n * v.c * v.h * v.w;
        fill(&v, NL_IN_LOSS_Z, count, 0, losses[i].sigma);
        fill(&v, NL_IN_LOSS_BIAS, v.c, 0, 0.3);
        v.out_count[NL_OUT_LOSS_DZ] = count;
        v.out_count[NL_OUT_LOSS_DBIAS] = v.c;
        v.out_count[NL_OUT_LOSS_LOSS] = v.out_count[NL_OUT_LOSS_HITS] = 1;
        code = check(t, "softmax_loss", &v, err);
    }
    for (int i = 0; i < COUNT(updates) && !code; i++) {
        nl_verify_case v = {.op = NL_V_UPDATE};
        for (int k = 0; k < 3; k++) fill(&v, k, updates[i], 0, 0.5);
        v.out_count[NL_OUT_UPDATE_W] = v.out_count[NL_OUT_UPDATE_V] = updates[i];
        v.out_count[NL_OUT_UPDATE_PENALTY] = 1;
        code = check(t, "sgd_update", &v, err);
    }
    return code;
}

/* ---- all ---------------------------------------------------------------------------------------
 */

static int print(const table *t, const char *name) {
    int failed = 0;
    printf("%s against double precision; errors in ulp of an output's largest value\n\n", name);
    printf("%-14s %-9s %6s %12s %12s\n", "operation", "output", "cases", "worst error", "allowed");
    for (int i = 0; i < t->n_lines; i++) {
        const line *l = &t->lines[i];
        printf("%-14s %-9s %6d %12.3g %12.3g  %s\n", l->operation, l->output, l->cases, l->ulp,
               l->allowed, l->failed ? "FAILED" : "ok");
        failed += l->failed;
    }
    printf("\n%d cases, %d outputs compared by operation, %d failed: %s\n", t->cases, t->n_lines,
           failed, failed ? "NOT as it should be" : "all as they should be");
    return failed;
}

int nl_verify(const char *name, nl_verify_run run, void *context, nl_error *err) {
    table t = {.run = run, .context = context};
    int code = check_blocks(&t, err);
    if (!code) code = check_convs(&t, err);
    if (!code) code = check_rest(&t, err);
    if (code) return code;
    const int failed = print(&t, name);
    if (!failed) return NL_OK;
    nl_fail(err, NL_EINTERNAL, "verify", "%d comparisons failed", failed);
    return nl_hint(err, "results of this device are not to be trusted; please report the table");
}
