/* Convolution: against its definition, finite differences, PyTorch, and float against double. */
#include <float.h>  // FLT_EPSILON
#include <math.h>   // fabs
#include <string.h> // memcmp

#include "normlab/ops.h"
#include "support/compare.h"
#include "support/difference.h"
#include "support/golden.h"
#include "support/random.h"

static const nl_conv_shape shapes[] = {
    /* n, c, h, w, o, k, pad: those of the network, then odd ones */
    {2, 1, 28, 28, 96, 5, 2}, {2, 96, 28, 28, 16, 1, 0}, {3, 16, 14, 14, 16, 3, 0},
    {3, 16, 12, 12, 8, 1, 0}, {5, 8, 6, 6, 16, 3, 0},    {5, 16, 4, 4, 10, 3, 0},
    {1, 1, 1, 1, 1, 1, 0},    {1, 1, 1, 1, 2, 5, 2},     {3, 2, 5, 7, 3, 3, 1},
    {2, 3, 4, 33, 1, 3, 0},   {1, 2, 9, 3, 2, 5, 2},     {33, 1, 3, 3, 1, 3, 1},
    {2, 2, 3, 2, 2, 2, 1},    {1, 1, 7, 31, 1, 4, 3},    {2, 1, 2, 2, 1, 1, 2}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct problem {
    nl_conv_shape s;
    int oh, ow;
    int64_t nx, ny, nw;
    double *x, *w, *bias, *dy, *y, *dx, *dw, *dbias;
} problem;

static problem make(nl_conv_shape s) {
    problem p = {.s = s, .oh = nl_conv_out(s.h, s.k, s.pad), .ow = nl_conv_out(s.w, s.k, s.pad)};
    p.nx = (int64_t)s.n * s.c * s.h * s.w;
    p.ny = (int64_t)s.n * s.o * p.oh * p.ow;
    p.nw = (int64_t)s.o * s.c * s.k * s.k;
    p.x = random_f64(p.nx, 1, 0.3, 1);
    p.w = random_f64(p.nw, 2, -0.1, 1);
    p.bias = random_f64(s.o, 3, 0, 1);
    p.dy = random_f64(p.ny, 4, 0.2, 1);
    p.y = guarded_f64(p.ny);
    p.dx = guarded_f64(p.nx);
    p.dw = guarded_f64(p.nw);
    p.dbias = guarded_f64(s.o);
    return p;
}

static void drop(problem *p) {
    double *all[] = {p->x, p->w, p->bias, p->dy, p->y, p->dx, p->dw, p->dbias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) guarded_free(all[i]);
}

static void run_f64(problem *p) {
    nl_conv_forward_f64(p->y, p->x, p->w, p->bias, p->s);
    nl_conv_backward_data_f64(p->dx, p->dy, p->w, p->s);
    nl_conv_backward_filter_f64(p->dw, p->dbias, p->dy, p->x, p->s);
}

// --- against the definition ---------------------------------------------------------------------

/* One element of y, straight from the formula. */
static double defined(const problem *p, int n, int o, int i, int j) {
    const nl_conv_shape s = p->s;
    double sum = p->bias[o];
    for (int c = 0; c < s.c; c++)
        for (int u = 0; u < s.k; u++)
            for (int v = 0; v < s.k; v++) {
                const int row = i + u - s.pad, column = j + v - s.pad;
                if (row < 0 || row >= s.h || column < 0 || column >= s.w) continue;
                sum += p->x[((n * s.c + c) * s.h + row) * s.w + column] *
                       p->w[((o * s.c + c) * s.k + u) * s.k + v];
            }
    return sum;
}

Test(conv, is_what_its_definition_says) {
    for (int i = 0; i < SHAPES; i++) {
        problem p = make(shapes[i]);
        nl_conv_forward_f64(p.y, p.x, p.w, p.bias, p.s);
        double *want = guarded_f64(p.ny);
        for (int64_t at = 0; at < p.ny; at++) {
            const int plane = p.oh * p.ow, no = (int)(at / plane), ij = (int)(at % plane);
            want[at] = defined(&p, no / p.s.o, no % p.s.o, ij / p.ow, ij % p.ow);
        }
        CHECK_CLOSE(p.y, want, p.ny, 1e-12, 0);
        guarded_free(want);
        drop(&p);
    }
}

// --- gradients ----------------------------------------------------------------------------------

static double loss(void *context) {
    const problem *p = context;
    nl_conv_forward_f64(p->y, p->x, p->w, p->bias, p->s);
    return dot(p->dy, p->y, p->ny);
}

Test(conv, gradients_are_those_of_finite_differences) {
    for (int i = 0; i < SHAPES; i++) {
        problem p = make(shapes[i]);
        run_f64(&p); /* linear in each input: any h will do, a large one rounds less */
        check_gradient("dx", p.x, p.dx, p.nx, loss, &p, 1e-2, 1e-9);
        check_gradient("dw", p.w, p.dw, p.nw, loss, &p, 1e-2, 1e-9);
        check_gradient("dbias", p.bias, p.dbias, p.s.o, loss, &p, 1e-2, 1e-9);
        drop(&p);
    }
}

Test(conv, equals_pytorch) {
    problem p = make((nl_conv_shape){2, 3, 5, 7, 4, 3, 1});
    double *inputs[] = {p.x, p.w, p.bias, p.dy};
    const char *names[] = {"conv.x", "conv.w", "conv.bias", "conv.dy"};
    const int64_t counts[] = {p.nx, p.nw, p.s.o, p.ny};
    for (int i = 0; i < 4; i++) {
        double *values = golden("ops.txt", names[i], counts[i]);
        memcpy(inputs[i], values, (size_t)counts[i] * sizeof *values);
        guarded_free(values);
    }
    run_f64(&p);
    double *y = golden("ops.txt", "conv.y", p.ny), *dx = golden("ops.txt", "conv.dx", p.nx);
    double *dw = golden("ops.txt", "conv.dw", p.nw);
    double *dbias = golden("ops.txt", "conv.dbias", p.s.o);
    CHECK_CLOSE(p.y, y, p.ny, 1e-12, 0);
    CHECK_CLOSE(p.dx, dx, p.nx, 1e-12, 0);
    CHECK_CLOSE(p.dw, dw, p.nw, 1e-12, 0);
    CHECK_CLOSE(p.dbias, dbias, p.s.o, 1e-12, 0);
    double *all[] = {y, dx, dw, dbias};
    for (int i = 0; i < 4; i++) guarded_free(all[i]);
    drop(&p);
}

// --- float --------------------------------------------------------------------------------------

static void magnitudes(double *x, int64_t count) {
    for (int64_t i = 0; i < count; i++) x[i] = fabs(x[i]);
}

static void scale(double *x, int64_t count, double factor) {
    for (int64_t i = 0; i < count; i++) x[i] *= factor;
}

/* A sum of products loses at most about its length in eps of the sum of magnitudes; in practice,
 * and with the partial sums used, a few eps. The bound is 4 eps of that sum, which is the same
 * operation on magnitudes. */
Test(conv, float_is_within_4_eps_of_the_sum_of_magnitudes) {
    for (int i = 0; i < SHAPES; i++) {
        problem p = make(shapes[i]), bound = make(shapes[i]);
        run_f64(&p);
        magnitudes(bound.x, p.nx);
        magnitudes(bound.w, p.nw);
        magnitudes(bound.bias, p.s.o);
        magnitudes(bound.dy, p.ny);
        run_f64(&bound);
        scale(bound.y, p.ny, 4 * FLT_EPSILON);
        scale(bound.dx, p.nx, 4 * FLT_EPSILON);
        scale(bound.dw, p.nw, 4 * FLT_EPSILON);
        scale(bound.dbias, p.s.o, 4 * FLT_EPSILON);
        float *x = to_f32(p.x, p.nx), *w = to_f32(p.w, p.nw), *bias = to_f32(p.bias, p.s.o);
        float *dy = to_f32(p.dy, p.ny), *y = guarded_f32(p.ny), *dx = guarded_f32(p.nx);
        float *dw = guarded_f32(p.nw), *dbias = guarded_f32(p.s.o);
        nl_conv_forward_f32(y, x, w, bias, p.s);
        nl_conv_backward_data_f32(dx, dy, w, p.s);
        nl_conv_backward_filter_f32(dw, dbias, dy, x, p.s);
        CHECK_BOUNDS(y, p.y, bound.y, p.ny);
        CHECK_BOUNDS(dx, p.dx, bound.dx, p.nx);
        CHECK_BOUNDS(dw, p.dw, bound.dw, p.nw);
        CHECK_BOUNDS(dbias, p.dbias, bound.dbias, p.s.o);
        float *all[] = {x, w, bias, dy, y, dx, dw, dbias};
        for (int a = 0; a < 8; a++) guarded_free(all[a]);
        drop(&p);
        drop(&bound);
    }
}

// --- images apart -------------------------------------------------------------------------------

Test(conv, an_image_does_not_depend_on_its_batch) {
    const nl_conv_shape s = {3, 2, 5, 7, 3, 3, 1};
    problem p = make(s), alone = make((nl_conv_shape){1, 2, 5, 7, 3, 3, 1});
    nl_conv_forward_f64(p.y, p.x, p.w, p.bias, s);
    nl_conv_forward_f64(alone.y, p.x + 2 * alone.nx, p.w, p.bias, alone.s);
    cr_assert_eq(memcmp(alone.y, p.y + 2 * alone.ny, (size_t)alone.ny * sizeof *p.y), 0);
    p.x[alone.nx + 5] = NAN;
    double *before = guarded_f64(p.ny);
    memcpy(before, p.y, (size_t)p.ny * sizeof *p.y);
    nl_conv_forward_f64(p.y, p.x, p.w, p.bias, s);
    CHECK_EQUAL(p.y, before, alone.ny);
    CHECK_EQUAL(p.y + 2 * alone.ny, before + 2 * alone.ny, alone.ny);
    cr_assert(isnan(p.y[alone.ny + 5]));
    guarded_free(before);
    drop(&p);
    drop(&alone);
}
