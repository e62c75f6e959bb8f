/* The cases of `normlab verify` by the plain operations: in double the truth, in float the measure
 * of what rounding costs.
 */
#include <stdlib.h> // free
#include <string.h> // memcpy

#include "base/reals.h" // nl_reals_copy
#include "norms.h"
#include "normlab/verify.h"
#include "real.h"

#define EPS (1.0 / (double)NL_V_EPS_INVERSE)

static real *buffer(int64_t count) {
    return nl_alloc((size_t)count, sizeof(real), "verify");
}

static real *input(const nl_verify_case *c, int index) {
    real *values = buffer(c->in_count[index]);
    nl_reals_copy(values, sizeof *values, c->in[index], sizeof *c->in[index], c->in_count[index]);
    return values;
}

/* Widens into out[index] and frees. */
static void give(double *const out[], const nl_verify_case *c, int index, real *values) {
    nl_reals_copy(out[index], sizeof *out[index], values, sizeof *values, c->out_count[index]);
    free(values);
}

/* ---- block -------------------------------------------------------------------------------------
 */

/* Of x = z + bias. */
static norm_job norm_forward(const nl_verify_case *c, real *const running[2]) {
    const int64_t count = c->in_count[NL_IN_BLOCK_Z], pairs = (int64_t)c->n * c->c;
    real *x = input(c, NL_IN_BLOCK_Z);
    for (int64_t i = 0; i < count && !c->bare; i++)
        x[i] += (real)c->in[NL_IN_BLOCK_BIAS][i / (c->h * c->w) % c->c];
    const norm_job j = {.y = buffer(count),
                        .mean = buffer(pairs),
                        .rstd = buffer(pairs),
                        .x = x,
                        .gamma = input(c, NL_IN_BLOCK_GAMMA),
                        .beta = input(c, NL_IN_BLOCK_BETA),
                        .running_mean = running[0],
                        .running_var = running[1],
                        .s = {c->n, c->c, c->h * c->w, c->groups},
                        .eps = EPS,
                        .momentum = 1,
                        .centres = c->norm && c->norm->centres};
    if (c->norm)
        (c->eval ? OP(norms)[c->norm->sets].evaluate : OP(norms)[c->norm->sets].forward)(&j);
    else
        memcpy(j.y, j.x, (size_t)count * sizeof *j.y);
    return j;
}

static void norm_backward(double *const out[], const nl_verify_case *c, const norm_job *j,
                          real *du) {
    const int64_t count = c->in_count[NL_IN_BLOCK_Z];
    real *dz = buffer(count), *dgamma = buffer(c->c), *dbeta = buffer(c->c), *dbias = buffer(c->c);
    if (c->norm)
        OP(norms)[c->norm->sets].backward(j, dz, dgamma, dbeta, du);
    else
        memcpy(dz, du, (size_t)count * sizeof *dz);
    for (int64_t i = 0; i < count; i++) dbias[i / j->s.hw % c->c] += dz[i];
    give(out, c, NL_OUT_BLOCK_DZ, dz);
    give(out, c, NL_OUT_BLOCK_DGAMMA, dgamma);
    give(out, c, NL_OUT_BLOCK_DBETA, dbeta);
    give(out, c, NL_OUT_BLOCK_DBIAS, dbias);
}

/* What backward needs of forward behind the norm. */
typedef struct tail {
    nl_pool_shape pool;
    nl_dropout_spec drop;
    real *v; /* what the pool sees: after ReLU */
    int32_t *arg;
} tail;

static void tail_forward(double *const out[], const nl_verify_case *c, const tail *t,
                         const real *u) {
    const int64_t count = c->in_count[NL_IN_BLOCK_Z];
    real *y = buffer(c->out_count[NL_OUT_BLOCK_Y]);
    memcpy(t->v, u, (size_t)count * sizeof *u);
    if (c->relu) OP(relu_forward)(t->v, u, count);
    OP(pool_max_forward)(y, t->arg, t->v, t->pool);
    if (c->dropout > 0) OP(dropout)(y, y, t->drop);
    give(out, c, NL_OUT_BLOCK_Y, y);
}

static void backward(double *const out[], const nl_verify_case *c, const tail *t,
                     const norm_job *j) {
    const int64_t count = c->in_count[NL_IN_BLOCK_Z];
    real *g = input(c, NL_IN_BLOCK_DY), *du = buffer(count);
    if (c->dropout > 0) OP(dropout)(g, g, t->drop);
    OP(pool_max_backward)(du, g, t->arg, t->pool);
    if (c->relu) OP(relu_backward)(du, du, t->v, count);
    norm_backward(out, c, j, du);
    free(g), free(du);
}

static void block(double *const out[], const nl_verify_case *c) {
    const int64_t count = c->in_count[NL_IN_BLOCK_Z], outs = c->out_count[NL_OUT_BLOCK_Y];
    uint32_t *images = nl_alloc((size_t)c->n, sizeof *images, "verify");
    for (int i = 0; i < c->n; i++) images[i] = nl_verify_image(i);
    const tail t = {
        .pool = {c->n, c->c, c->h, c->w, c->pool ? c->pool : 1},
        .drop = {c->dropout, NL_V_SEED, NL_V_EPOCH, NL_V_LAYER, images, c->n, outs / c->n},
        .v = buffer(count),
        .arg = nl_alloc((size_t)outs, sizeof *t.arg, "verify")};
    real *running[2] = {c->eval ? input(c, NL_IN_BLOCK_RUNNING_MEAN) : buffer(c->c),
                        c->eval ? input(c, NL_IN_BLOCK_RUNNING_VAR) : buffer(c->c)};
    const norm_job j = norm_forward(c, running);
    tail_forward(out, c, &t, j.y);
    if (!c->eval) backward(out, c, &t, &j);
    give(out, c, NL_OUT_BLOCK_MEAN, running[0]);
    give(out, c, NL_OUT_BLOCK_VAR, running[1]);
    void *rest[] = {images, t.v,    t.arg,           (real *)j.x,   j.y,
                    j.mean, j.rstd, (real *)j.gamma, (real *)j.beta};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) free(rest[i]);
}

/* ---- the others --------------------------------------------------------------------------------
 */

static void conv(double *const out[], const nl_verify_case *c) {
    real *x = input(c, NL_IN_CONV_X), *w = input(c, NL_IN_CONV_W), *dy = input(c, NL_IN_CONV_DY),
         *zero = buffer(c->conv.o);
    real *y = buffer(c->out_count[NL_OUT_CONV_Y]), *dx = buffer(c->in_count[NL_IN_CONV_X]),
         *dw = buffer(c->out_count[NL_OUT_CONV_DW]);
    OP(conv_forward)(y, x, w, zero, c->conv);
    OP(conv_backward_data)(dx, dy, w, c->conv);
    OP(conv_backward_filter)(dw, zero, dy, x, c->conv);
    give(out, c, NL_OUT_CONV_Y, y);
    give(out, c, NL_OUT_CONV_DX, dx);
    give(out, c, NL_OUT_CONV_DW, dw);
    free(x), free(w), free(dy), free(zero);
}

static void loss(double *const out[], const nl_verify_case *c) {
    const int hw = c->h * c->w;
    const int64_t logits_count = (int64_t)c->n * c->c;
    real *z = input(c, NL_IN_LOSS_Z), *logits = buffer(logits_count),
         *dlogits = buffer(logits_count);
    real *dz = buffer(c->out_count[NL_OUT_LOSS_DZ]), *dbias = buffer(c->c);
    uint8_t *labels = nl_alloc((size_t)c->n, 1, "verify");
    uint32_t hits = 0;
    for (int i = 0; i < c->n; i++) labels[i] = nl_verify_label(i, c->c);
    for (int64_t i = 0; i < c->in_count[NL_IN_LOSS_Z]; i++)
        z[i] += (real)c->in[NL_IN_LOSS_BIAS][i / hw % c->c];
    OP(pool_avg_forward)(logits, z, c->n, c->c, hw);
    const double sum = OP(softmax_loss)(NULL, dlogits, NULL, &hits, logits, labels, c->n, c->c);
    OP(pool_avg_backward)(dz, dlogits, c->n, c->c, hw);
    for (int64_t i = 0; i < logits_count; i++) dbias[i % c->c] += dlogits[i];
    out[NL_OUT_LOSS_LOSS][0] = sum;
    out[NL_OUT_LOSS_HITS][0] = hits;
    give(out, c, NL_OUT_LOSS_DZ, dz);
    give(out, c, NL_OUT_LOSS_DBIAS, dbias);
    free(z), free(logits), free(dlogits), free(labels);
}

static void update(double *const out[], const nl_verify_case *c) {
    real *w = input(c, NL_IN_UPDATE_W), *v = input(c, NL_IN_UPDATE_V),
         *dw = input(c, NL_IN_UPDATE_DW);
    out[NL_OUT_UPDATE_PENALTY][0] =
        nl_verify_rule().l1 * OP(sum_abs)(w, c->in_count[NL_IN_UPDATE_W]);
    OP(sgd_update)(w, v, dw, c->in_count[NL_IN_UPDATE_W], nl_verify_rule());
    give(out, c, NL_OUT_UPDATE_W, w);
    give(out, c, NL_OUT_UPDATE_V, v);
    free(dw);
}

int OP(verify_plain)(double *const out[], const nl_verify_case *c, void *context, nl_error *err) {
    static void (*const runs[NL_V_OPS])(double *const[], const nl_verify_case *) = {
        [NL_V_BLOCK] = block, [NL_V_CONV] = conv, [NL_V_LOSS] = loss, [NL_V_UPDATE] = update};
    (void)context;
    (void)err;
    const unsigned mode = nl_subnormals(REAL_SUBNORMALS);
    runs[c->op](out, c);
    nl_subnormals_restore(mode);
    return NL_OK;
}
