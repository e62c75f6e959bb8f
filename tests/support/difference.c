/* difference.h */
#include "difference.h"

#include <math.h>   // sqrt, fabs
#include <stdlib.h> // malloc
#include <string.h> // memcpy

#include "compare.h" // cr_assert
#include "random.h"  // random_fill

double dot(const double *a, const double *b, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += a[i] * b[i];
    return sum;
}

static double loss_at(double *x, const double *origin, const double *u, double h, int64_t count,
                      difference_loss *loss, void *context) {
    for (int64_t i = 0; i < count; i++) x[i] = origin[i] + h * u[i];
    const double value = loss(context);
    memcpy(x, origin, (size_t)count * sizeof *x);
    return value;
}

void check_gradient(const char *what, double *x, const double *dx, int64_t count,
                    difference_loss *loss, void *context, double h, double tolerance) {
    double *origin = malloc((size_t)count * sizeof *origin), *u = malloc((size_t)count * sizeof *u);
    cr_assert(origin && u);
    memcpy(origin, x, (size_t)count * sizeof *x);
    for (uint64_t direction = 0; direction < 3; direction++) {
        random_fill(u, count, 7000 + direction, 0, 1);
        const double above = loss_at(x, origin, u, h, count, loss, context);
        const double below = loss_at(x, origin, u, -h, count, loss, context);
        const double quotient = (above - below) / (2 * h), claim = dot(dx, u, count);
        const double noise = 1e-14 * (1 + fabs(above) + fabs(below)) / h;
        const double allowed = tolerance * sqrt(dot(dx, dx, count)) + noise;
        cr_assert(fabs(quotient - claim) <= allowed,
                  "%s, direction %d: gradient says %.12g, differences say %.12g, allowed %.3g",
                  what, (int)direction, claim, quotient, allowed);
    }
    free(origin);
    free(u);
}
