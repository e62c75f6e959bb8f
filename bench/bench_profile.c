/* Where a training step's time goes on the CPU, operation by operation and layer by layer.
 *
 *     bench_profile [--data DIR] [--batch N] [--width N] [--set KEY=VALUE] [--steps N] CONFIG...
 *
 * The engine is the one that trains, on one thread. The engine is given a table of operations
 * (cpu/simd/simd.h) that stop the time of the true ones; around the few functions that stand in no
 * table the linker puts a stopwatch (the names in profile_wraps.txt; a call of f reaches __wrap_f,
 * here, and __real_f is f), so that the engine's source knows nothing of it. For each config one
 * line of JSON: the step with and without stopwatches running, and rows of operation, layer,
 * microseconds a step (the median of the steps) and floating-point operations a step, 0 where they
 * do not count. */
#include <jansson.h> // json_pack
#include <stdio.h>   // snprintf
#include <string.h>  // strcmp

#include "cpu/simd/first.h"  // the first two layers
#include "cpu/fast/fast.h"   // the norms
#include "cpu/fast/isa.h"    // nl_isa_choose
#include "support/measure.h" // bench_seconds
#include "support/run.h"     // bench_run

enum { MAX_ROWS = 96, MAX_STEPS = 64 };

/* One operation on one layer. Layers are told apart by their sizes. */
typedef struct row {
    const char *op;
    char layer[32];
    int size[3];
    double flops;              /* a step */
    double seconds[MAX_STEPS]; /* of each step */
} row;

static row rows[MAX_ROWS];
static int n_rows, step;

static row *find_row(const char *op, int a, int b, int c) {
    for (int i = 0; i < n_rows; i++) {
        row *r = &rows[i];
        if (r->op == op && r->size[0] == a && r->size[1] == b && r->size[2] == c) return r;
    }
    NL_ASSERT(n_rows < MAX_ROWS);
    rows[n_rows] = (row){.op = op, .size = {a, b, c}};
    return &rows[n_rows++];
}

/* ---- stopwatches ---- */

/* WATCH(function to call, name, operation, the sizes that tell the layer, parameters, arguments) */
#define WATCH(function, name, op, a, b, c, parameters, arguments)                                  \
    static void name parameters {                                                                  \
        static const char watched[] = op;                                                          \
        const double start = bench_seconds();                                                      \
        function arguments;                                                                        \
        find_row(watched, a, b, c)->seconds[step] += bench_seconds() - start;                      \
    }

/* A function of the engine that is no operation of the table: the linker puts ours in its place. */
#define WATCH_WRAPPED(name, op, a, b, c, parameters, arguments)                                    \
    void __real_##name parameters;                                                                 \
    void __wrap_##name parameters;                                                                 \
    WATCH(__real_##name, watch_##name, op, a, b, c, parameters, arguments)                         \
    void __wrap_##name parameters {                                                                \
        watch_##name arguments;                                                                    \
    }

/* Operations of a convolution: also counts two floating-point operations a multiply-add. */
#define WATCH_CONV(name, op, parameters, arguments)                                                \
    static void conv_##name parameters {                                                           \
        static const char watched[] = op;                                                          \
        const double start = bench_seconds();                                                      \
        real->conv->name arguments;                                                                \
        row *const r = find_row(watched, conv->ci, conv->co, conv->k);                             \
        r->seconds[step] += bench_seconds() - start;                                               \
        if (step == 0)                                                                             \
            r->flops += 2.0 * conv->oh * conv->ow * conv->co * conv->ci * conv->k * conv->k;       \
    }

static const nl_simd *real; /* the table whose operations are timed */

WATCH_CONV(forward, "convolution",
           (float *z, const float *x, const nl_conv_fast *conv, float *scratch),
           (z, x, conv, scratch))
WATCH_CONV(backward_data, "data gradient",
           (float *dx, const float *dz, const nl_conv_fast *conv, float *scratch),
           (dx, dz, conv, scratch))
WATCH_CONV(backward_filter, "filter gradient",
           (float *dw, const float *dz, const float *x, const nl_conv_fast *conv, float *scratch),
           (dw, dz, x, conv, scratch))

WATCH(real->norm->cells, norm_cells, "norm: statistics", hw, cp, 0,
      (nl_cells * cells, const float *x, int hw, int cp), (cells, x, hw, cp))
WATCH(real->norm->apply, norm_apply, "norm: apply, ReLU", hw, cp, 0,
      (float *y, const float *x, const nl_norm_map *map, int hw, int cp, bool relu),
      (y, x, map, hw, cp, relu))
WATCH(real->norm->cells_backward, norm_cells_backward, "norm: gradient's sums", hw, cp, 0,
      (nl_cells * cells, const float *g, const float *x, const nl_norm_map *map, int hw, int cp,
       bool relu),
      (cells, g, x, map, hw, cp, relu))
WATCH(real->norm->apply_backward, norm_apply_backward, "norm: gradient", hw, cp, 0,
      (float *dz, float *dbias, const float *g, const float *x, const nl_norm_map *map, int hw,
       int cp, bool relu),
      (dz, dbias, g, x, map, hw, cp, relu))
WATCH(real->norm->bias_backward, norm_bias_backward, "ReLU's gradient, bias", hw, cp, 0,
      (float *g, float *dbias, const float *y, int hw, int cp, bool relu),
      (g, dbias, y, hw, cp, relu))
WATCH_WRAPPED(nl_norm_batch_fast_forward, "norm: pooling of cells", hw, nl_pad8(c), 0,
              (nl_norm_map * map, float *mean, float *var, const nl_cells *cells,
               const float *gamma, const float *beta, int n, int c, int hw, double eps,
               double momentum),
              (map, mean, var, cells, gamma, beta, n, c, hw, eps, momentum))
WATCH_WRAPPED(nl_norm_batch_fast_backward, "norm: pooling of cells, back", hw, nl_pad8(c), 0,
              (nl_norm_map * map, const nl_cells *cells, const float *gamma, int n, int c, int hw),
              (map, cells, gamma, n, c, hw))
WATCH_WRAPPED(nl_norm_group_fast_forward, "norm: pooling of cells", hw, nl_pad8(c), 0,
              (nl_norm_map * map, const nl_cells *cells, const float *gamma, const float *beta,
               int c, int groups, int hw, double eps),
              (map, cells, gamma, beta, c, groups, hw, eps))
WATCH_WRAPPED(nl_norm_group_fast_backward, "norm: pooling of cells, back", hw, nl_pad8(c), 0,
              (nl_norm_map * map, const nl_cells *cells, const float *gamma, int c, int groups,
               int hw),
              (map, cells, gamma, c, groups, hw))
WATCH_WRAPPED(nl_norm_fast_affine, "norm: gamma, beta", 0, 0, 0,
              (float *dgamma, float *dbeta, const nl_cells *cells, const nl_norm_map *maps, int n,
               int stride, int c),
              (dgamma, dbeta, cells, maps, n, stride, c))

WATCH(real->pool->forward, pool_forward, "max pool", h / k * (w / k), cp, 0,
      (float *y, int32_t *arg, const float *x, const float *factor, int h, int w, int cp, int k),
      (y, arg, x, factor, h, w, cp, k))
WATCH(real->pool->backward, pool_backward, "max pool, back", h / k * (w / k), cp, 0,
      (float *dx, const float *dy, const int32_t *arg, const float *factor, int h, int w, int cp,
       int k),
      (dx, dy, arg, factor, h, w, cp, k))
WATCH(real->pool->dropout, pool_dropout, "dropout's mask", hw, cp, 0,
      (float *factor, nl_dropout_spec d, uint32_t image, int c, int hw, int cp),
      (factor, d, image, c, hw, cp))

WATCH_WRAPPED(nl_gather_f32, "gather, rotation", 0, 0, 0,
              (float *x, const uint8_t *images, nl_image_shape shape, const uint32_t *order,
               const nl_rotation *rotations, const nl_pixel_table *table, int n),
              (x, images, shape, order, rotations, table, n))
WATCH(real->conv->pack, conv_pack, "packing of filters", 0, 0, 0,
      (nl_conv_fast * conv, const float *filter, const float *bias), (conv, filter, bias))
WATCH(real->conv->sum_filter, conv_sum_filter, "filter gradient's sum", 0, 0, 0,
      (float *gradient, const float *dw, int64_t stride, int parts, const nl_conv_fast *conv),
      (gradient, dw, stride, parts, conv))
WATCH_WRAPPED(nl_sgd_update_f32, "update", 0, 0, 0,
              (float *w, float *v, const float *dw, int64_t count, nl_sgd s), (w, v, dw, count, s))

/* The first two layers in one. */
WATCH(real->moments->take, moments_take, "moments of patches", 0, 0, 0,
      (nl_patch_moments * m, const float *x, const nl_patches *p, double *scratch),
      (m, x, p, scratch))
WATCH(real->patches->cells, patches_cells, "norm: statistics from moments", 0, 0, 0,
      (nl_cells * cells, float *mw, const nl_patch_moments *m, const nl_patches *p,
       const nl_patch_filter *filter),
      (cells, mw, m, p, filter))
WATCH(real->patches->gradient, patches_gradient, "filter gradient from moments", 0, 0, 0,
      (float *dw, float *dbias, const float *g, const double *s1, const nl_cells *cells,
       const nl_norm_map *map, const float *mw, const nl_patch_moments *m, const nl_patches *p),
      (dw, dbias, g, s1, cells, map, mw, m, p))

#define WATCH_FIRST(name, op, convs, parameters, arguments)                                        \
    static void first_##name parameters {                                                          \
        static const char watched[] = op;                                                          \
        const double start = bench_seconds();                                                      \
        real->first->name arguments;                                                               \
        row *const r = find_row(watched, 0, 0, 0);                                                 \
        r->seconds[step] += bench_seconds() - start;                                               \
        const nl_patches *p = &first->patches;                                                     \
        if (step == 0) r->flops += 2.0 * p->oh * p->ow * conv1->co * (convs);                      \
    }

WATCH_FIRST(forward, "first two layers", p->taps + conv2->co,
            (float *z2, float *y, const float *x, const nl_first_fast *first,
             const nl_conv_fast *conv1, const nl_conv_fast *conv2, nl_first_map how,
             float *scratch),
            (z2, y, x, first, conv1, conv2, how, scratch))
/* y where it is made again, both filters' gradients, and the second's data gradient */
WATCH_FIRST(backward, "first two layers, back", (y ? 1 : 2) * p->taps + 2 * conv2->co,
            (float *dw2, float *sums, double *s1, const float *dz2, const float *y, const float *x,
             const nl_first_fast *first, const nl_conv_fast *conv1, const nl_conv_fast *conv2,
             nl_first_map how, float *scratch),
            (dw2, sums, s1, dz2, y, x, first, conv1, conv2, how, scratch))

/* The engine is given this table in place of the one that it would choose. */
int __real_nl_isa_choose(const nl_simd **simd, nl_error *err);
int __wrap_nl_isa_choose(const nl_simd **simd, nl_error *err);
int __wrap_nl_isa_choose(const nl_simd **simd, nl_error *err) {
    static nl_simd watched;
    static nl_conv_ops conv;
    static const nl_norm_passes norm = {.cells = norm_cells,
                                        .apply = norm_apply,
                                        .cells_backward = norm_cells_backward,
                                        .apply_backward = norm_apply_backward,
                                        .bias_backward = norm_bias_backward};
    static const nl_pool_ops pool = {
        .forward = pool_forward, .backward = pool_backward, .dropout = pool_dropout};
    const int code = __real_nl_isa_choose(&real, err);
    if (code) return code;
    conv = *real->conv;
    conv.pack = conv_pack;
    conv.forward = conv_forward;
    conv.backward_data = conv_backward_data;
    conv.backward_filter = conv_backward_filter;
    conv.sum_filter = conv_sum_filter;
    static nl_moment_ops moments;
    static nl_patch_ops patches;
    static nl_first_ops first;
    moments = *real->moments;
    moments.take = moments_take;
    patches = *real->patches;
    patches.cells = patches_cells;
    patches.gradient = patches_gradient;
    first = *real->first;
    first.forward = first_forward;
    first.backward = first_backward;
    watched = (nl_simd){real->name, real->lanes, &conv, &norm, &pool, &moments, &patches, &first};
    *simd = &watched;
    return NL_OK;
}

/* ---- a config ---- */

/* Names each row's layer by the sizes that its operation was called with. */
static void name_rows(const nl_model *m) {
    for (row *r = rows; r < rows + n_rows; r++) {
        const int *s = r->size;
        for (int i = 0; i < m->n_layers; i++) {
            const nl_layer *l = &m->layers[i];
            const bool conv = l->conv && l->in_c == s[0] && l->out_c == s[1] && l->kernel == s[2];
            const bool output = s[2] == 0 && l->out_h * l->out_w == s[0] &&
                                nl_pad8(l->out_c) == s[1] &&
                                (l->kind == NL_LAYER_MAX_POOL) ==
                                    (strstr(r->op, "pool") == r->op + 4 || *r->op == 'd');
            if (s[0] && (s[2] ? conv : output)) {
                snprintf(r->layer, sizeof r->layer, "%s", l->label);
                break;
            }
        }
    }
}

static json_t *rows_json(int steps) {
    json_t *list = json_array();
    for (row *r = rows; r < rows + n_rows; r++) {
        const double middle = bench_median(r->seconds, steps); /* sorts */
        json_array_append_new(list, json_pack("{ss ss sf sf sf}", "op", r->op, "layer", r->layer,
                                              "us", 1e6 * middle, "best_us", 1e6 * r->seconds[0],
                                              "flops", r->flops));
    }
    return list;
}

static int profile(const bench_options *o, int steps, const char *path, const nl_dataset *data,
                   nl_error *err) {
    static bench_run r;
    double seconds[MAX_STEPS];
    int code = bench_run_open(&r, o, path, data, err);
    step = 0;
    if (!code) code = bench_run_steps(&r, 1, NULL, err); /* warm up */
    n_rows = 0;
    for (step = 0; step < steps && !code; step++)
        code = bench_run_steps(&r, 1, &seconds[step], err);
    if (!code) {
        name_rows(&r.model);
        bench_print(json_pack("{ss ss ss si si si sf so}", "what", "profile", "program", "normlab",
                              "variant", r.config.name, "batch", r.config.data.batch, "threads", 1,
                              "width", o->width, "us", 1e6 * bench_median(seconds, steps), "rows",
                              rows_json(steps)));
    }
    bench_run_close(&r);
    return code;
}

int main(int argc, char **argv) {
    bench_options o;
    nl_dataset data = {0};
    nl_error err = {0};
    int steps = 20, i = 1;
    bench_options_init(&o);
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (!strcmp(argv[i], "--steps") && bench_number(argv[i], argv[i + 1]) <= MAX_STEPS)
            steps = bench_number(argv[i], argv[i + 1]);
        else if (!bench_option(&o, argv[i], argv[i + 1]))
            i = argc;
    }
    if (i >= argc) {
        fprintf(stderr, "usage: bench_profile %s [--steps N, at most %d] CONFIG...\n",
                bench_run_usage, MAX_STEPS);
        return NL_EUSAGE;
    }
    o.threads = 1;
    o.device = "cpu";
    int code = bench_load(&data, &o, &err);
    for (; i < argc && !code; i++) code = profile(&o, steps, argv[i], &data, &err);
    if (code) nl_error_print(&err);
    nl_dataset_free(&data);
    return code;
}
