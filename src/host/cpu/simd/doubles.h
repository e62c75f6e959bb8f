/* Vectors of doubles, as wide as the instruction set has them. Whatever is written with these works
 * lane by lane, so that the width does not show in a result. */
#pragma once

#include "vector.h" // NL_INLINE

#ifdef __AVX512F__
typedef double vecd __attribute__((vector_size(64)));
#else
typedef double vecd __attribute__((vector_size(32)));
#endif
enum { DOUBLES = sizeof(vecd) / sizeof(double) };
typedef float vecf __attribute__((vector_size(sizeof(vecd) / 2)));

NL_INLINE vecd load_d(const double *p) {
    vecd v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

NL_INLINE void store_d(double *p, vecd v) {
    __builtin_memcpy(p, &v, sizeof v);
}

/* From floats, and to floats, rounded. */
NL_INLINE vecd widen_d(const float *p) {
    vecf v;
    __builtin_memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, vecd);
}

NL_INLINE void narrow_d(float *p, vecd v) {
    const vecf narrow = __builtin_convertvector(v, vecf);
    __builtin_memcpy(p, &narrow, sizeof narrow);
}

NL_INLINE vecd splat_d(double x) {
    return x - (vecd){0};
}

/* a * b + c, rounded once. */
NL_INLINE vecd fma_d(vecd a, vecd b, vecd c) {
#if defined __AVX512F__
    return _mm512_fmadd_pd(a, b, c);
#elif defined __FMA__
    return _mm256_fmadd_pd(a, b, c);
#else
    for (int i = 0; i < DOUBLES; i++) c[i] = __builtin_fma(a[i], b[i], c[i]);
    return c;
#endif
}
