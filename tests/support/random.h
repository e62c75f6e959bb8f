/* Numbers for tests: the same on every machine, of no statistical ambition, and unrelated to the
 * generator under test. */
#pragma once

#include <stdint.h> // int64_t, uint64_t

/* Uniform with this mean and standard deviation. */
void random_fill(double *x, int64_t count, uint64_t seed, double mean, double sigma);

/* A guarded buffer of such numbers, each of which a float can hold. */
double *random_f64(int64_t count, uint64_t seed, double mean, double sigma);

/* The same numbers as floats: a guarded buffer. */
float *to_f32(const double *x, int64_t count);
