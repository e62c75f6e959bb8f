/* random.h: Sebastiano Vigna's splitmix64 as a counter. */
#include "random.h"

#include <math.h> // sqrt

#include "compare.h" // guarded_f64

static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void random_fill(double *x, int64_t count, uint64_t seed, double mean, double sigma) {
    for (int64_t i = 0; i < count; i++) {
        const uint64_t word = mix(mix(seed) + (uint64_t)i * 0x9e3779b97f4a7c15u);
        const double uniform = (double)(word >> 11) * 0x1p-53; /* [0, 1): variance 1/12 */
        x[i] = mean + sigma * sqrt(12) * (uniform - 0.5);
    }
}

double *random_f64(int64_t count, uint64_t seed, double mean, double sigma) {
    double *x = guarded_f64(count);
    random_fill(x, count, seed, mean, sigma);
    for (int64_t i = 0; i < count; i++) x[i] = (double)(float)x[i];
    return x;
}

float *to_f32(const double *x, int64_t count) {
    float *y = guarded_f32(count);
    for (int64_t i = 0; i < count; i++) y[i] = (float)x[i];
    return y;
}
