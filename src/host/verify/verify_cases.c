/* The table of `normlab verify`: shapes and hard inputs. See normlab/verify.h.
 *
 * The gradient jumps where two values of a pool's window are nearly equal, or an activation is
 * nearly 0: there rounding decides who gets it. dy is 0 at such places, so that all computations
 * mean the same function; everywhere else they must agree.
 */
#include <math.h>   // sqrt
#include <stdio.h>  // snprintf
#include <stdlib.h> // free

#include "cases.h"
#include "normlab/philox.h" // nl_philox4x32

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

/* ---- the table ---------------------------------------------------------------------------------
 */

static const struct {
    int n, c, h, w, pool;
    double dropout;
} shapes[] = {{2, 4, 2, 2, 0, 0},    {3, 8, 28, 28, 2, 0.05}, {5, 16, 12, 12, 2, 0.3},
              {1, 16, 4, 4, 0, 0},   {4, 12, 7, 5, 2, 0.05},  {33, 3, 5, 3, 0, 0},
              {2, 96, 14, 14, 0, 0}, {7, 10, 1, 3, 0, 0},     {64, 8, 6, 6, 3, 0.5}};

static const nl_verify_spread inputs[] = {{-2.3, 1, 0.3}, /* ordinary */
                                          {1000, 1, 0},   /* a large mean */
                                          {0.5, 3e-3, 0}, /* a variance near eps */
                                          {1.75, 0, 0}};  /* constant rows */

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

/* ---- a case ------------------------------------------------------------------------------------
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

void nl_verify_case_free(nl_verify_case *c) {
    for (int i = 0; i < NL_V_INPUTS; i++) free(c->in[i]);
}

void nl_verify_block(nl_verify_case *c, nl_verify_spread z) {
    const int k = c->pool ? c->pool : 1;
    const int64_t planes = (int64_t)c->n * c->c, in = planes * c->h * c->w,
                  out = planes * (c->h / k) * (c->w / k);
    c->op = NL_V_BLOCK;
    fill(c, NL_IN_BLOCK_Z, in, z.mean, z.sigma);
    if (!c->bare) fill(c, NL_IN_BLOCK_BIAS, c->c, 0, z.bias);
    fill(c, NL_IN_BLOCK_GAMMA, c->c, 1, 0.5);
    fill(c, NL_IN_BLOCK_BETA, c->c, 0.1, 0.5);
    c->out_count[NL_OUT_BLOCK_Y] = out;
    if (c->eval) {
        fill(c, NL_IN_BLOCK_RUNNING_MEAN, c->c, z.mean, z.sigma);
        fill(c, NL_IN_BLOCK_RUNNING_VAR, c->c, 1, 0.2);
        return;
    }
    fill(c, NL_IN_BLOCK_DY, out, 0.2, 1);
    c->out_count[NL_OUT_BLOCK_DZ] = in;
    if (!c->bare) c->out_count[NL_OUT_BLOCK_DBIAS] = c->c;
    if (c->norm) c->out_count[NL_OUT_BLOCK_DGAMMA] = c->out_count[NL_OUT_BLOCK_DBETA] = c->c;
    if (c->norm && c->norm->runs)
        c->out_count[NL_OUT_BLOCK_MEAN] = c->out_count[NL_OUT_BLOCK_VAR] = c->c;
}

void nl_verify_clear_ties(nl_verify_case *c) {
    nl_verify_case alone = *c; /* the same without what follows the norm */
    nl_error err;
    const int64_t in = c->in_count[NL_IN_BLOCK_Z], planes = (int64_t)c->n * c->c,
                  each = c->out_count[NL_OUT_BLOCK_Y] / planes;
    const int k = c->pool ? c->pool : 1, columns = c->w / k;
    alone.pool = alone.relu = 0;
    alone.dropout = 0;
    alone.out_count[NL_OUT_BLOCK_Y] = alone.in_count[NL_IN_BLOCK_DY] = in;
    alone.in[NL_IN_BLOCK_DY] = nl_alloc((size_t)in, sizeof(float), "verify");
    nl_verify_results r = nl_verify_results_make(&alone);
    (void)nl_verify_plain_f64(r.out, &alone, NULL, &err);
    const double tolerance = 2e-3 * nl_verify_largest(r.out[NL_OUT_BLOCK_Y], in);
    for (int64_t i = 0; i < c->in_count[NL_IN_BLOCK_DY]; i++) {
        const int64_t o = i % each, at = o / columns * k * c->w + o % columns * k;
        const double *plane = r.out[NL_OUT_BLOCK_Y] + i / each * c->h * c->w;
        if (nl_is_tie(plane + at, k, c->w, c->relu, tolerance)) c->in[NL_IN_BLOCK_DY][i] = 0;
    }
    nl_verify_results_free(&r);
    free(alone.in[NL_IN_BLOCK_DY]);
}

/* ---- blocks of the table -----------------------------------------------------------------------
 */

/* `c` says which norm, its groups, and whether it is evaluated and bare. */
static int visit_block(nl_verify_visit visit, void *context, const char *operation, int i,
                       nl_verify_case c, nl_error *err) {
    const int shape = i / COUNT(inputs);
    c.n = shapes[shape].n;
    c.c = shapes[shape].c;
    c.h = shapes[shape].h;
    c.w = shapes[shape].w;
    c.pool = shapes[shape].pool;
    c.relu = shape != 0;
    c.dropout = c.eval ? 0 : shapes[shape].dropout;
    nl_verify_block(&c, inputs[i % COUNT(inputs)]);
    nl_verify_clear_ties(&c);
    const int code = visit(context, operation, &c, err);
    nl_verify_case_free(&c);
    return code;
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

/* Every norm of the table of norms, with each number of groups. */
static int visit_norms(nl_verify_visit visit, void *context, int i, nl_error *err) {
    int code = NL_OK;
    for (int norm = NL_NORM_NONE + 1; norm < NL_NORMS; norm++) {
        const nl_norm_row *row = nl_norm_find((nl_norm)norm);
        char name[NL_V_OPERATION];
        int counts[3];
        const int n = group_counts(counts, row, shapes[i / COUNT(inputs)].c);
        snprintf(name, sizeof name, "norm_%s", nl_norm_words[norm]);
        for (int k = 0; k < n && !code; k++)
            code = visit_block(visit, context, name, i,
                               (nl_verify_case){.norm = row, .groups = counts[k]}, err);
        if (code || !row->runs) continue;
        snprintf(name, sizeof name, "eval_%s", nl_norm_words[norm]);
        code =
            visit_block(visit, context, name, i, (nl_verify_case){.norm = row, .eval = true}, err);
    }
    return code;
}

static int visit_blocks(nl_verify_visit visit, void *context, nl_error *err) {
    int code = NL_OK;
    for (int i = 0; i < COUNT(shapes) * COUNT(inputs) && !code; i++) {
        code = visit_norms(visit, context, i, err);
        for (int bare = 0; bare < 2 && !code && i % COUNT(inputs) == 0; bare++)
            code = visit_block(visit, context, "relu", i, (nl_verify_case){.bare = bare}, err);
    }
    return code;
}

/* ---- the others --------------------------------------------------------------------------------
 */

static int visit_convs(nl_verify_visit visit, void *context, nl_error *err) {
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
        code = visit(context, "conv", &v, err);
        nl_verify_case_free(&v);
    }
    return code;
}

static int visit_rest(nl_verify_visit visit, void *context, nl_error *err) {
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
        code = visit(context, "softmax_loss", &v, err);
        nl_verify_case_free(&v);
    }
    for (int i = 0; i < COUNT(updates) && !code; i++) {
        nl_verify_case v = {.op = NL_V_UPDATE};
        for (int k = 0; k < 3; k++) fill(&v, k, updates[i], 0, 0.5);
        v.out_count[NL_OUT_UPDATE_W] = v.out_count[NL_OUT_UPDATE_V] = updates[i];
        v.out_count[NL_OUT_UPDATE_PENALTY] = 1;
        code = visit(context, "sgd_update", &v, err);
        nl_verify_case_free(&v);
    }
    return code;
}

int nl_verify_each(nl_verify_visit visit, void *context, nl_error *err) {
    int code = visit_blocks(visit, context, err);
    if (!code) code = visit_convs(visit, context, err);
    return code ? code : visit_rest(visit, context, err);
}
