/* The cases of `normlab verify` by the CPU's fused operations. They work on one image at a time,
 * with the channels of a pixel side by side and padded to a multiple of 8; here that layout is made
 * and undone.
 */
#include <stdlib.h> // free
#include <string.h> // memset

#include "fast.h"
#include "isa.h"      // nl_isa_choose
#include "net_fast.h" // NL_CHUNK
#include "normlab/verify.h"
#include "base/subnormals.h" // nl_subnormals

#define EPS (1.0 / (double)NL_V_EPS_INVERSE)

static float *buffer(int64_t count) {
    return nl_alloc((size_t)count, sizeof(float), "verify");
}

/* One image, (c, hw) to (hw, cp) and back; back with the addition of nothing. */
static void to_pixels(float *to, const float *from, int c, int hw, int cp) {
    for (int q = 0; q < hw; q++)
        for (int k = 0; k < cp; k++) to[q * cp + k] = k < c ? from[k * hw + q] : 0;
}

static void from_pixels(double *to, const float *from, int c, int hw, int cp) {
    for (int k = 0; k < c; k++)
        for (int q = 0; q < hw; q++) to[k * hw + q] = (double)from[q * cp + k];
}

/* ---- block -------------------------------------------------------------------------------------
 */

enum { CELL_ROWS = 5, MAP_ROWS = 7 };

typedef struct work {
    const nl_simd *simd;
    const nl_verify_case *c;
    double *const *out;
    int hw, cp, out_hw;
    nl_cells *cells;   /* (n) */
    nl_norm_map *maps; /* (n) */
    float *memory;     /* of both */
    float *x, *y;      /* (n, hw, cp): with bias; after norm and ReLU */
    float *dbias;      /* (cp) */
} work;

static bool cuts(const nl_verify_case *c) {
    return nl_norms_fast[c->norm->sets].cuts;
}

static nl_norm_map *map_of(const work *w, int image) {
    return &w->maps[cuts(w->c) ? 0 : image];
}

static work open_work(const nl_verify_case *c, double *const *out, const nl_simd *simd) {
    const int n = c->n, hw = c->h * c->w, cp = nl_pad8(c->c), k = c->pool ? c->pool : 1;
    work w = {
        .simd = simd, .c = c, .out = out, .hw = hw, .cp = cp, .out_hw = c->h / k * (c->w / k)};
    w.cells = nl_alloc((size_t)n, sizeof *w.cells, "verify");
    w.maps = nl_alloc((size_t)n, sizeof *w.maps, "verify");
    float *at = w.memory = buffer((int64_t)n * (CELL_ROWS + MAP_ROWS) * cp);
    for (int i = 0; i < n; i++, at += (CELL_ROWS + MAP_ROWS) * cp) {
        w.cells[i] = (nl_cells){at, at + cp, at + 2 * cp, at + 3 * cp, at + 4 * cp};
        float *m = at + CELL_ROWS * cp;
        w.maps[i] =
            (nl_norm_map){m, m + cp, m + 2 * cp, m + 3 * cp, m + 4 * cp, m + 5 * cp, m + 6 * cp};
    }
    w.x = buffer((int64_t)n * hw * cp);
    w.y = buffer((int64_t)n * hw * cp);
    w.dbias = buffer(cp);
    return w;
}

static void close_work(work *w) {
    void *all[] = {w->cells, w->maps, w->memory, w->x, w->y, w->dbias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static float *pixels(float *base, const work *w, int image) {
    return base + (int64_t)image * w->hw * w->cp;
}

/* The maps of all images, from their cells; of the running values in evaluation. */
static void pool_all(work *w, bool backward) {
    const nl_verify_case *c = w->c;
    const bool running = c->eval && c->norm->runs;
    const int together = cuts(c) ? c->n : 1;
    float *mean = buffer(c->c), *var = buffer(c->c);
    const nl_norm_job job = {.gamma = c->in[NL_IN_BLOCK_GAMMA],
                             .beta = c->in[NL_IN_BLOCK_BETA],
                             .mean = running ? c->in[NL_IN_BLOCK_RUNNING_MEAN] : mean,
                             .var = running ? c->in[NL_IN_BLOCK_RUNNING_VAR] : var,
                             .n = together,
                             .c = c->c,
                             .groups = c->groups,
                             .hw = w->hw,
                             .eps = EPS,
                             .momentum = 1,
                             .centres = c->norm->centres};
    const nl_norm_over *over = &nl_norms_fast[c->norm->sets];
    nl_norm_pooling *pooling = backward ? over->backward : c->eval ? over->evaluate : over->forward;
    for (int i = 0; i < c->n; i += together) pooling(map_of(w, i), &w->cells[i], &job);
    for (int64_t k = 0; k < c->out_count[NL_OUT_BLOCK_MEAN] && !backward; k++) {
        w->out[NL_OUT_BLOCK_MEAN][k] = (double)mean[k];
        w->out[NL_OUT_BLOCK_VAR][k] = (double)var[k];
    }
    free(mean), free(var);
}

static void norm_all(work *w) {
    const nl_verify_case *c = w->c;
    for (int i = 0; i < c->n; i++) {
        float *x = pixels(w->x, w, i);
        to_pixels(x, c->in[NL_IN_BLOCK_Z] + (int64_t)i * c->c * w->hw, c->c, w->hw, w->cp);
        for (int q = 0; q < w->hw; q++)
            for (int k = 0; k < c->c && !c->bare; k++)
                x[q * w->cp + k] += c->in[NL_IN_BLOCK_BIAS][k];
        if (c->norm) w->simd->norm->cells(&w->cells[i], x, w->hw, w->cp);
    }
    if (c->norm) pool_all(w, false);
    for (int i = 0; i < c->n; i++) {
        float *x = pixels(w->x, w, i), *y = pixels(w->y, w, i);
        if (c->norm)
            w->simd->norm->apply(y, x, map_of(w, i), w->hw, w->cp, c->relu);
        else if (c->relu)
            nl_relu_forward_f32(y, x, (int64_t)w->hw * w->cp);
        else
            memcpy(y, x, sizeof *y * (size_t)(w->hw * w->cp));
    }
}

/* Pool and dropout of one image, forward and back: g is the gradient of y. */
static void pool_image(const work *w, int image, float *g) {
    const nl_verify_case *c = w->c;
    const int64_t size = (int64_t)w->out_hw * w->cp;
    float *p = buffer(size), *dp = buffer(size), *factor = NULL, *y = pixels(w->y, w, image);
    const int64_t at = (int64_t)image * c->c * w->out_hw;
    if (!c->eval) to_pixels(dp, c->in[NL_IN_BLOCK_DY] + at, c->c, w->out_hw, w->cp);
    if (c->pool) {
        int32_t *arg = nl_alloc((size_t)size, sizeof *arg, "verify");
        if (c->dropout > 0) {
            const nl_dropout_spec spec = {
                .p = c->dropout, .seed = NL_V_SEED, .epoch = NL_V_EPOCH, .layer = NL_V_LAYER};
            factor = buffer(size);
            w->simd->pool->dropout(factor, spec, nl_verify_image(image), c->c, w->out_hw, w->cp);
        }
        w->simd->pool->forward(p, arg, y, factor, c->h, c->w, w->cp, c->pool);
        w->simd->pool->backward(g, dp, arg, factor, c->h, c->w, w->cp, c->pool);
        from_pixels(w->out[NL_OUT_BLOCK_Y] + at, p, c->c, w->out_hw, w->cp);
        free(arg);
    } else {
        memcpy(g, dp, sizeof *g * (size_t)size);
        from_pixels(w->out[NL_OUT_BLOCK_Y] + at, y, c->c, w->out_hw, w->cp);
    }
    free(p), free(dp), free(factor);
}

static void give_channels(double *out, const float *values, int count) {
    for (int k = 0; k < count; k++) out[k] = (double)values[k];
}

static void backward_all(work *w, float *g) {
    const nl_verify_case *c = w->c;
    const bool relu = c->relu, norm = c->norm != NULL;
    for (int i = 0; i < c->n && norm; i++)
        w->simd->norm->cells_backward(&w->cells[i], pixels(g, w, i), pixels(w->x, w, i),
                                      map_of(w, i), w->hw, w->cp, relu);
    if (norm) pool_all(w, true);
    for (int i = 0; i < c->n; i++) {
        float *dz = pixels(g, w, i);
        if (norm)
            w->simd->norm->apply_backward(dz, w->dbias, dz, pixels(w->x, w, i), map_of(w, i), w->hw,
                                          w->cp, relu);
        else
            w->simd->norm->bias_backward(dz, w->dbias, pixels(w->y, w, i), w->hw, w->cp, relu);
        from_pixels(w->out[NL_OUT_BLOCK_DZ] + (int64_t)i * c->c * w->hw, dz, c->c, w->hw, w->cp);
    }
    give_channels(w->out[NL_OUT_BLOCK_DBIAS], w->dbias, (int)c->out_count[NL_OUT_BLOCK_DBIAS]);
    if (!norm) return;
    float *dgamma = buffer(c->c), *dbeta = buffer(c->c);
    nl_norm_fast_affine(dgamma, dbeta, w->cells, w->maps, c->n, !cuts(c), c->c);
    give_channels(w->out[NL_OUT_BLOCK_DGAMMA], dgamma, c->c);
    give_channels(w->out[NL_OUT_BLOCK_DBETA], dbeta, c->c);
    free(dgamma), free(dbeta);
}

static void block(double *const out[], const nl_verify_case *c, const nl_simd *simd) {
    work w = open_work(c, out, simd);
    norm_all(&w);
    float *g = buffer((int64_t)c->n * w.hw * w.cp);
    for (int i = 0; i < c->n; i++) pool_image(&w, i, pixels(g, &w, i));
    if (!c->eval) backward_all(&w, g);
    free(g);
    close_work(&w);
}

/* ---- convolution -------------------------------------------------------------------------------
 */

static void conv(double *const out[], const nl_verify_case *c, const nl_simd *simd) {
    const nl_conv_shape s = c->conv;
    const int oh = nl_conv_out(s.h, s.k, s.pad), ow = nl_conv_out(s.w, s.k, s.pad);
    const int hw = s.h * s.w, ohw = oh * ow, cpi = nl_verify_first(s) ? s.c : nl_pad8(s.c),
              cpo = nl_pad8(s.o);
    const int64_t taps = (int64_t)s.k * s.k * s.c;
    nl_conv_fast fast;
    simd->conv->init(&fast, s, nl_verify_first(s));
    float *x = buffer(hw * cpi), *dx = buffer(hw * cpi), *y = buffer(ohw * cpo);
    const int parts = (s.n + NL_CHUNK - 1) / NL_CHUNK; /* as the engine sums */
    float *dy = buffer(ohw * cpo), *zero = buffer(s.o), *dw = buffer(parts * taps * cpo);
    float *gradient = buffer(taps * s.o), *scratch = buffer(simd->conv->scratch(&fast));
    simd->conv->pack(&fast, c->in[NL_IN_CONV_W], zero);
    for (int i = 0; i < s.n; i++) {
        to_pixels(x, c->in[NL_IN_CONV_X] + (int64_t)i * s.c * hw, s.c, hw, cpi);
        to_pixels(dy, c->in[NL_IN_CONV_DY] + (int64_t)i * s.o * ohw, s.o, ohw, cpo);
        simd->conv->forward(y, x, &fast, scratch);
        from_pixels(out[NL_OUT_CONV_Y] + (int64_t)i * s.o * ohw, y, s.o, ohw, cpo);
        simd->conv->backward_filter(dw + i / NL_CHUNK * taps * cpo, dy, x, &fast, scratch);
        if (c->out_count[NL_OUT_CONV_DX] == 0) continue;
        simd->conv->backward_data(dx, dy, &fast, scratch);
        from_pixels(out[NL_OUT_CONV_DX] + (int64_t)i * s.c * hw, dx, s.c, hw, cpi);
    }
    simd->conv->sum_filter(gradient, dw, taps * cpo, parts, &fast);
    for (int64_t i = 0; i < taps * s.o; i++) out[NL_OUT_CONV_DW][i] = (double)gradient[i];
    float *all[] = {x, dx, y, dy, zero, dw, gradient, scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    simd->conv->free(&fast);
}

int nl_verify_cpu(double *const out[], const nl_verify_case *c, void *context, nl_error *err) {
    const nl_simd *simd;
    int code = nl_isa_choose(&simd, err);
    if (code) return code;
    const unsigned mode = nl_subnormals(NL_FLUSH);
    if (c->op == NL_V_BLOCK)
        block(out, c, simd);
    else if (c->op == NL_V_CONV)
        conv(out, c, simd);
    else
        code = nl_verify_plain_f32(out, c, context, err);
    nl_subnormals_restore(mode);
    return code;
}
