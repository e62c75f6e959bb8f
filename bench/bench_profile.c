/* Where a training step's time goes on the CPU, operation by operation and layer by layer.
 *
 *     bench_profile [--data DIR] [--batch N] [--width N] [--set KEY=VALUE] [--steps N] CONFIG...
 *
 * The engine is the one that trains, on one thread. The linker puts a stopwatch around each of its
 * operations (the names in profile_wraps.txt; a call of f reaches __wrap_f, here, and __real_f is
 * f), so that the engine's source knows nothing of it. For each config one line of JSON: the step
 * with and without stopwatches running, and rows of operation, layer, microseconds a step (the
 * median of the steps) and floating-point operations a step, 0 where they do not count. */
#include <jansson.h> // json_pack
#include <stdio.h>   // snprintf
#include <string.h>  // strcmp

#include "cpu/fast/fast.h"   // the operations
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

/* WATCH(name, operation, the sizes that tell the layer, parameters, arguments) */
#define WATCH(name, op, a, b, c, parameters, arguments)                                            \
    void __real_##name parameters;                                                                 \
    void __wrap_##name parameters;                                                                 \
    void __wrap_##name parameters {                                                                \
        static const char watched[] = op;                                                          \
        const double start = bench_seconds();                                                      \
        __real_##name arguments;                                                                   \
        find_row(watched, a, b, c)->seconds[step] += bench_seconds() - start;                      \
    }

/* Operations of a convolution: also counts two floating-point operations a multiply-add. */
#define WATCH_CONV(name, op, parameters, arguments)                                                \
    void __real_##name parameters;                                                                 \
    void __wrap_##name parameters;                                                                 \
    void __wrap_##name parameters {                                                                \
        static const char watched[] = op;                                                          \
        const double start = bench_seconds();                                                      \
        __real_##name arguments;                                                                   \
        row *const r = find_row(watched, conv->ci, conv->co, conv->k);                             \
        r->seconds[step] += bench_seconds() - start;                                               \
        if (step == 0)                                                                             \
            r->flops += 2.0 * conv->oh * conv->ow * conv->co * conv->ci * conv->k * conv->k;       \
    }

WATCH_CONV(nl_conv_fast_forward, "convolution",
           (float *z, const float *x, const nl_conv_fast *conv, float *scratch),
           (z, x, conv, scratch))
WATCH_CONV(nl_conv_fast_backward_data, "data gradient",
           (float *dx, const float *dz, const nl_conv_fast *conv, float *scratch),
           (dx, dz, conv, scratch))
WATCH_CONV(nl_conv_fast_backward_filter, "filter gradient",
           (float *dw, const float *dz, const float *x, const nl_conv_fast *conv, float *scratch),
           (dw, dz, x, conv, scratch))

WATCH(nl_cells_forward, "norm: statistics", hw, cp, 0,
      (nl_cells * cells, const float *x, int hw, int cp), (cells, x, hw, cp))
WATCH(nl_norm_apply, "norm: apply, ReLU", hw, cp, 0,
      (float *y, const float *x, const nl_norm_map *map, int hw, int cp, bool relu),
      (y, x, map, hw, cp, relu))
WATCH(nl_cells_backward, "norm: gradient's sums", hw, cp, 0,
      (nl_cells * cells, const float *g, const float *x, const nl_norm_map *map, int hw, int cp,
       bool relu),
      (cells, g, x, map, hw, cp, relu))
WATCH(nl_norm_apply_backward, "norm: gradient", hw, cp, 0,
      (float *dz, float *dbias, const float *g, const float *x, const nl_norm_map *map, int hw,
       int cp, bool relu),
      (dz, dbias, g, x, map, hw, cp, relu))
WATCH(nl_relu_bias_backward, "ReLU's gradient, bias", hw, cp, 0,
      (float *g, float *dbias, const float *y, int hw, int cp, bool relu),
      (g, dbias, y, hw, cp, relu))
WATCH(nl_norm_batch_fast_forward, "norm: pooling of cells", hw, nl_pad8(c), 0,
      (nl_norm_map * map, float *mean, float *var, const nl_cells *cells, const float *gamma,
       const float *beta, int n, int c, int hw, double eps, double momentum),
      (map, mean, var, cells, gamma, beta, n, c, hw, eps, momentum))
WATCH(nl_norm_batch_fast_backward, "norm: pooling of cells, back", hw, nl_pad8(c), 0,
      (nl_norm_map * map, const nl_cells *cells, const float *gamma, int n, int c, int hw),
      (map, cells, gamma, n, c, hw))
WATCH(nl_norm_group_fast_forward, "norm: pooling of cells", hw, nl_pad8(c), 0,
      (nl_norm_map * map, const nl_cells *cells, const float *gamma, const float *beta, int c,
       int groups, int hw, double eps),
      (map, cells, gamma, beta, c, groups, hw, eps))
WATCH(nl_norm_group_fast_backward, "norm: pooling of cells, back", hw, nl_pad8(c), 0,
      (nl_norm_map * map, const nl_cells *cells, const float *gamma, int c, int groups, int hw),
      (map, cells, gamma, c, groups, hw))
WATCH(nl_norm_fast_affine, "norm: gamma, beta", 0, 0, 0,
      (float *dgamma, float *dbeta, const nl_cells *cells, const nl_norm_map *maps, int n,
       int stride, int c),
      (dgamma, dbeta, cells, maps, n, stride, c))

WATCH(nl_pool_max_fast_forward, "max pool", h / k * (w / k), cp, 0,
      (float *y, int32_t *arg, const float *x, const float *factor, int h, int w, int cp, int k),
      (y, arg, x, factor, h, w, cp, k))
WATCH(nl_pool_max_fast_backward, "max pool, back", h / k * (w / k), cp, 0,
      (float *dx, const float *dy, const int32_t *arg, const float *factor, int h, int w, int cp,
       int k),
      (dx, dy, arg, factor, h, w, cp, k))
WATCH(nl_dropout_fast_factors, "dropout's mask", hw, cp, 0,
      (float *factor, nl_dropout_spec d, uint32_t image, int c, int hw, int cp),
      (factor, d, image, c, hw, cp))

WATCH(nl_gather_f32, "gather, rotation", 0, 0, 0,
      (float *x, const uint8_t *images, nl_image_shape shape, const uint32_t *order,
       const nl_rotation *rotations, const nl_pixel_table *table, int n),
      (x, images, shape, order, rotations, table, n))
WATCH(nl_conv_fast_pack, "packing of filters", 0, 0, 0,
      (nl_conv_fast * conv, const float *filter, const float *bias), (conv, filter, bias))
WATCH(nl_conv_fast_sum_filter, "filter gradient's sum", 0, 0, 0,
      (float *gradient, const float *dw, int64_t stride, int parts, const nl_conv_fast *conv),
      (gradient, dw, stride, parts, conv))
WATCH(nl_sgd_update_f32, "update", 0, 0, 0,
      (float *w, float *v, const float *dw, int64_t count, nl_sgd s), (w, v, dw, count, s))

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
    for (row *r = rows; r < rows + n_rows; r++)
        json_array_append_new(list,
                              json_pack("{ss ss sf sf}", "op", r->op, "layer", r->layer, "us",
                                        1e6 * bench_median(r->seconds, steps), "flops", r->flops));
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
