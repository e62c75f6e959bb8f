/* A gradient against central finite differences.
 *
 * With a fixed random dy, L(x) = sum(dy * y(x)) has the gradient dx that the backward pass claims.
 * sum(y) or sum(y^2) would be blind: a norm leaves both unchanged. Along a random direction u the
 * claim is one number: dx . u = (L(x + h u) - L(x - h u)) / (2 h) up to h^2 and rounding / h.
 */
#pragma once

#include <stdint.h> // int64_t

typedef double difference_loss(void *context);

/* sum of a * b */
double dot(const double *a, const double *b, int64_t count);

/* Fails the test if, along one of three random directions in x, the difference quotient of the loss
 * is not dx . u within tolerance * |dx| + noise / h. noise: what rounding does to the loss. x is
 * changed and restored. */
void check_gradient(const char *what, double *x, const double *dx, int64_t count,
                    difference_loss *loss, void *context, double h, double tolerance);
