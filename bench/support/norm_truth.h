/* What a norm with ReLU and max pool must give: the plain operations in double, and how far the
 * same operations in float are from that. */
#pragma once

#include <stdbool.h> // bool

#include "support/norm_room.h" // norm_case

/* The host's side of a case: inputs, and the truth with the error that each result may have. */
typedef struct norm_host {
    norm_case shape;
    long in, out;                 /* elements of x, of y */
    float *x, *dy, *gamma, *beta; /* inputs */
    double *y, *dx;               /* (out), (in) */
    double *dgamma, *dbeta;       /* (c) */
    double may[4];                /* the largest error of y, dx, dgamma, dbeta */
} norm_host;

/* Deterministic inputs, and their truth. An error may be 4 times that of the plain operations in
 * float, and 4 ulp of the largest value more. */
void norm_host_make(norm_host *host, const norm_case *c);
void norm_host_free(norm_host *host);

/* Whether the results lie within the bounds; says on standard error which does not. `worst` gets
 * the largest error as a part of what is allowed. Forward alone: dx is NULL. */
bool norm_host_check(const norm_host *host, const char *name, const float *y, const float *dx,
                     const float *dgamma, const float *dbeta, double *worst);
