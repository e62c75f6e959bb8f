/* Vectors of 8 floats and, where the instruction set has such registers, of 16. What is written for
 * both stands in a file that is included once for each, with LANES defined: there VEC is the vector
 * and V(name) the function for it. */
#pragma once

#ifdef __x86_64__
#include <immintrin.h> // _mm256_fmadd_ps
#endif
#include <stddef.h> // ptrdiff_t
#include <stdint.h> // int32_t

#define NL_INLINE static inline __attribute__((always_inline))

/* Before a loop whose count is known once it is inlined: GCC keeps an array in registers only if
 * every loop over it is unrolled. */
#ifdef __clang__
#define NL_UNROLL
#else
#define NL_UNROLL _Pragma("GCC unroll 32")
#endif

#ifdef __AVX512F__
#define NL_MOST_LANES 16
#else
#define NL_MOST_LANES 8
#endif

#define NL_JOIN(a, b) a##_##b
#define NL_JOINED(a, b) NL_JOIN(a, b)
#define V(name) NL_JOINED(name, LANES)
#define VEC V(vec)
#define INTS V(ints)

typedef float vec_8 __attribute__((vector_size(32)));
typedef int32_t ints_8 __attribute__((vector_size(32)));

/* a * b + c, rounded once. Never left to the compiler, whose choice would decide the bits. */
NL_INLINE vec_8 fma_8(vec_8 a, vec_8 b, vec_8 c) {
#ifdef __FMA__
    return _mm256_fmadd_ps(a, b, c);
#else
    for (int i = 0; i < 8; i++) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
#endif
}

NL_INLINE vec_8 splat_8(float x) {
    return (vec_8){x, x, x, x, x, x, x, x};
}

/* v, but 0 in the lanes where a comparison came out true; with NaN it never does, so NaN passes. */
NL_INLINE vec_8 zero_where_negative_8(vec_8 v) {
    return (vec_8)((ints_8)v & ~(v < 0));
}

NL_INLINE vec_8 zero_where_not_above_8(vec_8 v, vec_8 gate) {
    return (vec_8)((ints_8)v & ~(gate <= 0));
}

NL_INLINE vec_8 zero_where_zero_8(vec_8 v, vec_8 factor) {
    return (vec_8)((ints_8)v & ~(factor == 0));
}

NL_INLINE vec_8 zero_where_not_8(vec_8 v, ints_8 which, int i) {
    return (vec_8)((ints_8)v & (which == i));
}

/* Takes `other`, number i, where it is larger than *best or the first NaN. */
NL_INLINE void take_larger_8(vec_8 *best, ints_8 *which, vec_8 other, int i) {
    const ints_8 wins = ~(other <= *best) & (*best == *best);
    *best = (vec_8)(((ints_8)other & wins) | ((ints_8)*best & ~wins));
    *which = (*which & ~wins) | (wins & i);
}

#ifdef __AVX512F__
typedef float vec_16 __attribute__((vector_size(64)));
typedef int32_t ints_16 __attribute__((vector_size(64)));

NL_INLINE vec_16 fma_16(vec_16 a, vec_16 b, vec_16 c) {
    return _mm512_fmadd_ps(a, b, c);
}

NL_INLINE vec_16 splat_16(float x) {
    return _mm512_set1_ps(x);
}

/* Comparisons by the inverse predicate, which NaN fulfils (_UQ). */
NL_INLINE vec_16 zero_where_negative_16(vec_16 v) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NLT_UQ), v);
}

NL_INLINE vec_16 zero_where_not_above_16(vec_16 v, vec_16 gate) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(gate, _mm512_setzero_ps(), _CMP_NLE_UQ), v);
}

NL_INLINE vec_16 zero_where_zero_16(vec_16 v, vec_16 factor) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(factor, _mm512_setzero_ps(), _CMP_NEQ_UQ), v);
}

NL_INLINE vec_16 zero_where_not_16(vec_16 v, ints_16 which, int i) {
    return _mm512_maskz_mov_ps(_mm512_cmpeq_epi32_mask((__m512i)which, _mm512_set1_epi32(i)), v);
}

NL_INLINE void take_larger_16(vec_16 *best, ints_16 *which, vec_16 other, int i) {
    const __mmask16 wins = _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(*best, *best, _CMP_EQ_OQ),
                                                   other, *best, _CMP_NLE_UQ);
    *best = _mm512_mask_mov_ps(*best, wins, other);
    *which = (ints_16)_mm512_mask_mov_epi32((__m512i)*which, wins, _mm512_set1_epi32(i));
}
#endif

#define LANES 8
#include "vector_lanes.h"
#if NL_MOST_LANES == 16
#define LANES 16
#include "vector_lanes.h"
#endif
