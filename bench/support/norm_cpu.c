/* The CPU engine's norms under the signature of norm_room.h: cells, pooling, map and passes are
 * called as the engine calls them (src/host/cpu/fast/step_fast.c), without the convolutions around
 * them.
 */
#include <stdlib.h> // exit, free

#include "cpu/fast/fast.h"     // nl_norm_group_fast_forward
#include "cpu/fast/isa.h"      // nl_isa_choose
#include "cpu/fast/net_fast.h" // nl_threads
#include "support/measure.h"   // bench_seconds
#include "support/norm_room.h"

static const double EPS = 1e-5, MOMENTUM = 0.1;
static int n_threads;
static nl_threads *threads;
static const nl_simd *simd;

struct norm_work {
    nl_verify_case shape;
    int hw, cp;
    float *x, *y, *dy, *dx; /* (n, hw, cp) */
    float *dbias;           /* (n, cp) */
    float *gamma, *beta, *dgamma, *dbeta, *running_mean, *running_var;
    float *statistics; /* what cells and maps point into */
    nl_cells *cells;   /* (n) */
    nl_norm_map *maps; /* (n), or one for a batch norm */
};

/* ---- layout ---- */

static float *to_cells(const norm_work *w, const float *x) {
    const size_t c = (size_t)w->shape.c, hw = (size_t)w->hw, cp = (size_t)w->cp;
    float *to = nl_alloc((size_t)w->shape.n * hw * cp, sizeof *to, "tensor");
    for (size_t i = 0; x && i < (size_t)w->shape.n * c; i++)
        for (size_t p = 0; p < hw; p++) to[(i / c * hw + p) * cp + i % c] = x[i * hw + p];
    return to;
}

static void from_cells(const norm_work *w, double *to, const float *x) {
    const size_t c = (size_t)w->shape.c, hw = (size_t)w->hw, cp = (size_t)w->cp;
    for (size_t i = 0; i < (size_t)w->shape.n * c; i++)
        for (size_t p = 0; p < hw; p++) to[i * hw + p] = (double)x[(i / c * hw + p) * cp + i % c];
}

/* Seven vectors of a map, five of cells, each of a padded number of channels. */
static void place_statistics(norm_work *w) {
    const int n = w->shape.n, n_maps = w->shape.groups ? n : 1;
    w->statistics = nl_alloc((size_t)(5 * n + 7 * n_maps) * (size_t)w->cp, sizeof(float), "cells");
    w->cells = nl_alloc((size_t)n, sizeof *w->cells, "cells");
    w->maps = nl_alloc((size_t)n_maps, sizeof *w->maps, "maps");
    float *at = w->statistics;
    const ptrdiff_t cp = w->cp;
    for (int i = 0; i < n; i++, at += 5 * cp)
        w->cells[i] = (nl_cells){at, at + cp, at + 2 * cp, at + 3 * cp, at + 4 * cp};
    for (int i = 0; i < n_maps; i++, at += 7 * cp)
        w->maps[i] = (nl_norm_map){at,          at + cp,     at + 2 * cp, at + 3 * cp,
                                   at + 4 * cp, at + 5 * cp, at + 6 * cp};
}

static float *copied(const float *values, int count) {
    float *to = nl_alloc((size_t)count, sizeof *to, "values of channels");
    for (int i = 0; values && i < count; i++) to[i] = values[i];
    return to;
}

static norm_work *open(const nl_verify_case *c) {
    norm_work *w = nl_alloc(1, sizeof *w, "case");
    *w = (norm_work){.shape = *c, .hw = c->h * c->w, .cp = nl_pad8(c->c)};
    w->x = to_cells(w, c->in[NL_IN_BLOCK_Z]);
    w->dy = to_cells(w, c->in[NL_IN_BLOCK_DY]);
    w->y = to_cells(w, NULL);
    w->dx = to_cells(w, NULL);
    w->dbias = copied(NULL, c->n * w->cp);
    w->gamma = copied(c->in[NL_IN_BLOCK_GAMMA], c->c);
    w->beta = copied(c->in[NL_IN_BLOCK_BETA], c->c);
    w->dgamma = copied(NULL, c->c);
    w->dbeta = copied(NULL, c->c);
    w->running_mean = copied(NULL, c->c);
    w->running_var = copied(NULL, c->c);
    place_statistics(w);
    return w;
}

static void close_work(norm_work *w) {
    void *all[] = {w->x,           w->y,          w->dy,     w->dx,    w->dbias,
                   w->gamma,       w->beta,       w->dgamma, w->dbeta, w->running_mean,
                   w->running_var, w->statistics, w->cells,  w->maps,  w};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* ---- passes of one image ---- */

static float *image(const norm_work *w, float *tensor, int i) {
    return tensor + (ptrdiff_t)i * w->hw * w->cp;
}

static void statistics(void *context, int i, int worker) {
    (void)worker;
    norm_work *w = context;
    simd->norm->cells(&w->cells[i], image(w, w->x, i), w->hw, w->cp);
}

static void apply(void *context, int i, int worker) {
    (void)worker;
    norm_work *w = context;
    simd->norm->apply(image(w, w->y, i), image(w, w->x, i), &w->maps[w->shape.groups ? i : 0],
                      w->hw, w->cp, true);
}

static void whole_forward(void *context, int i, int worker) {
    norm_work *w = context;
    statistics(w, i, worker);
    nl_norm_group_fast_forward(&w->maps[i], &w->cells[i], w->gamma, w->beta, w->shape.c,
                               w->shape.groups, w->hw, EPS);
    apply(w, i, worker);
}

static void sums(void *context, int i, int worker) {
    (void)worker;
    norm_work *w = context;
    simd->norm->cells_backward(&w->cells[i], image(w, w->dy, i), image(w, w->x, i),
                               &w->maps[w->shape.groups ? i : 0], w->hw, w->cp, true);
}

static void gradient(void *context, int i, int worker) {
    (void)worker;
    norm_work *w = context;
    simd->norm->apply_backward(image(w, w->dx, i), w->dbias + (ptrdiff_t)i * w->cp,
                               image(w, w->dy, i), image(w, w->x, i),
                               &w->maps[w->shape.groups ? i : 0], w->hw, w->cp, true);
}

static void whole_backward(void *context, int i, int worker) {
    norm_work *w = context;
    sums(w, i, worker);
    nl_norm_group_fast_backward(&w->maps[i], &w->cells[i], w->gamma, w->shape.c, w->shape.groups,
                                w->hw);
    gradient(w, i, worker);
}

/* ---- passes ---- */

static void forward(norm_work *w) {
    const int n = w->shape.n;
    if (w->shape.groups) {
        nl_threads_run(threads, whole_forward, w, n);
        return;
    }
    nl_threads_run(threads, statistics, w, n);
    nl_norm_batch_fast_forward(w->maps, w->running_mean, w->running_var, w->cells, w->gamma,
                               w->beta, n, w->shape.c, w->hw, EPS, MOMENTUM);
    nl_threads_run(threads, apply, w, n);
}

static void backward(norm_work *w) {
    const int n = w->shape.n;
    if (w->shape.groups) {
        nl_threads_run(threads, whole_backward, w, n);
    } else {
        nl_threads_run(threads, sums, w, n);
        nl_norm_batch_fast_backward(w->maps, w->cells, w->gamma, n, w->shape.c, w->hw);
        nl_threads_run(threads, gradient, w, n);
    }
    nl_norm_fast_affine(w->dgamma, w->dbeta, w->cells, w->maps, n, w->shape.groups ? 1 : 0,
                        w->shape.c);
}

static double time_pass(norm_work *w, bool back, bool cold, int repeats) {
    double *times = nl_alloc((size_t)repeats, sizeof *times, "times");
    for (int i = 0; i < repeats; i++) {
        if (cold) bench_flush_cache();
        const double start = bench_seconds();
        if (back)
            backward(w);
        else
            forward(w);
        times[i] = bench_seconds() - start;
    }
    const double median = bench_median(times, repeats);
    free(times);
    return median;
}

static void read(norm_work *w, double *const out[]) {
    from_cells(w, out[NL_OUT_BLOCK_Y], w->y);
    from_cells(w, out[NL_OUT_BLOCK_DZ], w->dx);
    for (int i = 0; i < w->shape.c; i++) {
        out[NL_OUT_BLOCK_DGAMMA][i] = (double)w->dgamma[i];
        out[NL_OUT_BLOCK_DBETA][i] = (double)w->dbeta[i];
    }
}

static double copy_gb_s(void) {
    return bench_copy_bandwidth(n_threads, 5);
}

const norm_room *norm_room_cpu(int count) {
    static const norm_room room = {.name = "cpu",
                                   .cache = bench_cache_bytes,
                                   .copy_gb_s = copy_gb_s,
                                   .open = open,
                                   .close = close_work,
                                   .time = time_pass,
                                   .read = read};
    nl_error err;
    if (nl_isa_choose(&simd, &err)) {
        nl_error_print(&err);
        exit(err.code);
    }
    threads = nl_threads_open(count); /* until the program ends */
    n_threads = nl_threads_count(threads);
    return &room;
}
