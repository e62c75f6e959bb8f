/* The fused float norms of the CPU engine under the same checks as the plain ones: same truth, same
 * bounds, same hard inputs. They work on one image in [pixel][channel]; here they are put together
 * to the plain operations' signature. */
#include <math.h>   // isnan
#include <stdlib.h> // free
#include <string.h> // memset

#include "cpu/fast/fast.h"
#include "support/isa.h"
#include "normlab/error.h" // nl_alloc
#include "support/compare.h"
#include "support/norm_ops.h"
#include "support/random.h"

/* ---- Whole batches out of images ---- */

/* A batch in the fast layout with its statistics. */
static const nl_simd *simd; /* whose operations are tested */

typedef struct batch {
    nl_norm_shape s;
    int cp;
    float *x, *dy, *y; /* (n, hw, cp) */
    nl_cells *cells;   /* (n) */
    nl_norm_map *maps; /* (n); a batch norm uses the first alone */
    float *memory;
    float *gamma, *beta;
} batch;

static float *take(batch *b, int count) {
    float *at = b->memory;
    b->memory += count;
    return at;
}

static batch open_batch(nl_norm_shape s, const float *gamma, const float *beta) {
    batch b = {.s = s, .cp = nl_pad8(s.c)};
    const size_t image = (size_t)(s.hw * b.cp), n = (size_t)s.n;
    b.memory = nl_alloc(3 * n * image + (12 * n + 2) * (size_t)b.cp, sizeof(float), "batch");
    b.cells = nl_alloc(n, sizeof *b.cells, "cells");
    b.maps = nl_alloc(n, sizeof *b.maps, "maps");
    b.x = take(&b, s.n * (int)image);
    b.dy = take(&b, s.n * (int)image);
    b.y = take(&b, s.n * (int)image);
    b.gamma = take(&b, b.cp);
    b.beta = take(&b, b.cp);
    for (int i = 0; i < s.n; i++) {
        b.cells[i] = (nl_cells){take(&b, b.cp), take(&b, b.cp), take(&b, b.cp), take(&b, b.cp),
                                take(&b, b.cp)};
        b.maps[i] = (nl_norm_map){take(&b, b.cp), take(&b, b.cp), take(&b, b.cp), take(&b, b.cp),
                                  take(&b, b.cp), take(&b, b.cp), take(&b, b.cp)};
    }
    memcpy(b.gamma, gamma, (size_t)s.c * sizeof *gamma);
    if (beta) memcpy(b.beta, beta, (size_t)s.c * sizeof *beta);
    return b;
}

static void close_batch(batch *b) {
    free(b->x); /* the beginning of the memory */
    free(b->cells);
    free(b->maps);
}

static void pack(float *to, const float *from, const batch *b) {
    for (int i = 0; i < b->s.n; i++)
        for (int c = 0; c < b->s.c; c++)
            for (int p = 0; p < b->s.hw; p++)
                to[(i * b->s.hw + p) * b->cp + c] = from[(i * b->s.c + c) * b->s.hw + p];
}

static void unpack(float *to, const float *from, const batch *b) {
    for (int i = 0; i < b->s.n; i++)
        for (int c = 0; c < b->s.c; c++)
            for (int p = 0; p < b->s.hw; p++)
                to[(i * b->s.c + c) * b->s.hw + p] = from[(i * b->s.hw + p) * b->cp + c];
}

static nl_norm_map *map_of(const batch *b, int image) {
    return &b->maps[b->s.groups ? image : 0];
}

static void take_statistics(batch *b, const float *x) {
    const nl_norm_shape s = b->s;
    float running[2][64] = {{0}};
    pack(b->x, x, b);
    for (int i = 0; i < s.n; i++) {
        simd->norm->cells(&b->cells[i], b->x + i * s.hw * b->cp, s.hw, b->cp);
        if (s.groups)
            nl_norm_group_fast_forward(&b->maps[i], &b->cells[i], b->gamma, b->beta, s.c, s.groups,
                                       s.hw, NORM_EPS);
    }
    cr_assert(s.c <= 64);
    if (!s.groups)
        nl_norm_batch_fast_forward(&b->maps[0], running[0], running[1], b->cells, b->gamma, b->beta,
                                   s.n, s.c, s.hw, NORM_EPS, 0.1);
}

static void forward(float *y, float *mean, float *rstd, const float *x, const float *gamma,
                    const float *beta, nl_norm_shape s) {
    batch b = open_batch(s, gamma, beta);
    take_statistics(&b, x);
    for (int i = 0; i < s.n; i++) {
        const int at = i * s.hw * b.cp;
        simd->norm->apply(b.y + at, b.x + at, map_of(&b, i), s.hw, b.cp, false);
    }
    unpack(y, b.y, &b);
    const int sets = s.groups ? s.groups : s.c, rows = s.groups ? s.n : 1, size = s.c / sets;
    for (int i = 0; i < rows * sets; i++) {
        const nl_norm_map *map = &b.maps[i / sets];
        const int c = i % sets * size;
        mean[i] = map->m[c] + map->c[c];
        rstd[i] = map->rstd[c];
    }
    close_batch(&b);
}

static void backward(float *dx, float *dgamma, float *dbeta, const float *dy, const float *x,
                     const float *mean, const float *rstd, const float *gamma, nl_norm_shape s) {
    (void)mean; /* they are in the maps */
    (void)rstd;
    float dbias[64] = {0};
    batch b = open_batch(s, gamma, NULL);
    take_statistics(&b, x);
    pack(b.dy, dy, &b);
    for (int i = 0; i < s.n; i++) {
        const int at = i * s.hw * b.cp;
        simd->norm->cells_backward(&b.cells[i], b.dy + at, b.x + at, map_of(&b, i), s.hw, b.cp,
                                   false);
        if (s.groups)
            nl_norm_group_fast_backward(&b.maps[i], &b.cells[i], b.gamma, s.c, s.groups, s.hw);
    }
    if (!s.groups) nl_norm_batch_fast_backward(&b.maps[0], b.cells, b.gamma, s.n, s.c, s.hw);
    for (int i = 0; i < s.n; i++) {
        const int at = i * s.hw * b.cp;
        simd->norm->apply_backward(b.y + at, dbias, b.dy + at, b.x + at, map_of(&b, i), s.hw, b.cp,
                                   false);
    }
    unpack(dx, b.y, &b);
    nl_norm_fast_affine(dgamma, dbeta, b.cells, b.maps, s.n, s.groups ? 1 : 0, s.c);
    close_batch(&b);
}

/* ---- Against the plain double operations ---- */

/* A test in each instruction set. */
#define IN_EACH_SET(name)                                                                          \
    Test(norm_fast, name##_avx2) {                                                                 \
        simd = test_isa("avx2");                                                                   \
        name();                                                                                    \
    }                                                                                              \
    Test(norm_fast, name##_avx512) {                                                               \
        simd = test_isa("avx512");                                                                 \
        name();                                                                                    \
    }

static const nl_norm_shape groups[] = {{2, 4, 1, 2},   {1, 8, 1, 1},   {1, 4, 2, 4},
                                       {3, 6, 35, 2},  {2, 12, 33, 3}, {2, 4, 784, 1},
                                       {2, 40, 9, 10}, {1, 56, 5, 7}};
static const nl_norm_shape batches[] = {{2, 4, 1, 0},   {1, 8, 2, 0},   {33, 3, 1, 0},
                                        {3, 16, 35, 0}, {2, 24, 33, 0}, {4, 40, 784, 0}};
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static void truth_at_every_input(void) {
    const norm_ops batch_ops = norm_ops_beside(NL_NORM_BATCH, forward, backward);
    const norm_ops group_ops = norm_ops_beside(NL_NORM_GROUP, forward, backward);
    for (int k = 0; k < n_norm_inputs; k++) {
        for (int i = 0; i < COUNT(groups); i++)
            check_norm_truth(&group_ops, groups[i], norm_inputs[k]);
        for (int i = 0; i < COUNT(batches); i++)
            check_norm_truth(&batch_ops, batches[i], norm_inputs[k]);
    }
}
IN_EACH_SET(truth_at_every_input)

static void constants_exact_data_and_poison(void) {
    const norm_ops batch_ops = norm_ops_beside(NL_NORM_BATCH, forward, backward);
    const norm_ops group_ops = norm_ops_beside(NL_NORM_GROUP, forward, backward);
    check_norm_constant(&group_ops, (nl_norm_shape){2, 12, 33, 3});
    check_norm_constant(&batch_ops, (nl_norm_shape){3, 5, 33, 0});
    check_norm_exact(&group_ops, (nl_norm_shape){3, 4, 6, 2});
    check_norm_exact(&batch_ops, (nl_norm_shape){3, 4, 6, 0});
    check_norm_poison(&group_ops, (nl_norm_shape){3, 4, 5, 2});
    check_norm_poison(&group_ops, (nl_norm_shape){3, 4, 5, 1});
    check_norm_poison(&batch_ops, (nl_norm_shape){3, 4, 5, 0});
}
IN_EACH_SET(constants_exact_data_and_poison)

/* A variance past the largest float must not become a rstd of 0. */
static void check_overflow(const norm_ops *ops, int n_groups) {
    const float x[8] = {3e30F, -3e30F, 1e30F, 2e30F, 3, -3, 1, 2}, ones[4] = {1, 1, 1, 1};
    float y[8], mean[4], rstd[4];
    const nl_norm_shape s = {1, 2, 4, n_groups};
    ops->forward_f32(y, mean, rstd, x, ones, ones, s);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(isnan(y[i]) != 0, i < 4, "y[%d] = %g", i, (double)y[i]);
}

static void a_variance_past_all_floats_is_not_hidden(void) {
    const norm_ops batch_ops = norm_ops_beside(NL_NORM_BATCH, forward, backward);
    const norm_ops group_ops = norm_ops_beside(NL_NORM_GROUP, forward, backward);
    check_overflow(&batch_ops, 0);
    check_overflow(&group_ops, 2);
    check_overflow(&plain_norms[NL_NORM_GROUP], 2);
}
IN_EACH_SET(a_variance_past_all_floats_is_not_hidden)

/* Sums over the pixels of an image, as exact as a float can say: what they lose is the same at
 * every pixel afterwards, and a gradient that cancels over the image shows it. Constants are the
 * worst case, since each addition of a run rounds alike. */
static void sums_over_pixels_lose_nothing(void) {
    enum { most = 64 * 64, cp = 8 };
    static const int pixels[] = {576, 676, 784, most};
    static float g[most * cp], x[most * cp], memory[12 * cp];
    nl_cells cells = {memory, memory + cp, memory + 2 * cp, memory + 3 * cp, memory + 4 * cp};
    nl_norm_map map = {memory + 5 * cp, memory + 6 * cp,  memory + 7 * cp, memory + 8 * cp,
                       memory + 9 * cp, memory + 10 * cp, memory + 11 * cp};
    for (int c = 0; c < cp; c++) map.scale[c] = map.beta[c] = 1;
    for (int k = 0; k < 4; k++) {
        const int hw = pixels[k];
        for (int i = 0; i < hw * cp; i++) {
            g[i] = 0.9f / (float)(hw + i % cp);
            x[i] = 1.1f + 0.3f * (float)(i % cp);
        }
        simd->norm->cells_backward(&cells, g, x, &map, hw, cp, false);
        for (int c = 0; c < cp; c++) {
            const double dy = (double)g[c] * hw, dy_xc = dy * x[c];
            cr_expect(fabs(cells.dy[c] - dy) <= 3e-7 * dy, "%d pixels: %.9g, not %.9g", hw,
                      cells.dy[c], dy);
            cr_expect(fabs(cells.dy_xc[c] - dy_xc) <= 3e-7 * dy_xc, "%d pixels: %.9g, not %.9g", hw,
                      cells.dy_xc[c], dy_xc);
        }
    }
}
IN_EACH_SET(sums_over_pixels_lose_nothing)
