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
#define WORDS V(words)

typedef float vec_8 __attribute__((vector_size(32)));
typedef int32_t ints_8 __attribute__((vector_size(32)));
typedef uint32_t words_8 __attribute__((vector_size(32)));

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

/* a * k: the upper and the lower half of each product. */
NL_INLINE void multiply_8(words_8 *high, words_8 *low, words_8 a, uint32_t k) {
#ifdef __AVX2__
    const __m256i by = _mm256_set1_epi32((int)k), odd_lanes = _mm256_srli_epi64((__m256i)a, 32);
    const __m256i even = _mm256_mul_epu32((__m256i)a, by), odd = _mm256_mul_epu32(odd_lanes, by);
    *low = (words_8)_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
    *high = (words_8)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
#else
    for (int i = 0; i < 8; i++) {
        const uint64_t product = (uint64_t)a[i] * k;
        (*high)[i] = (uint32_t)(product >> 32);
        (*low)[i] = (uint32_t)product;
    }
#endif
}

/* x where a word is at least the threshold, else 0. */
NL_INLINE vec_8 where_at_least_8(vec_8 x, words_8 words, uint32_t threshold) {
    const words_8 least = {threshold, threshold, threshold, threshold,
                           threshold, threshold, threshold, threshold};
    return (vec_8)((ints_8)x & (ints_8)(words >= least));
}

/* a, but b in the lanes where `which` is i. */
NL_INLINE words_8 mix_8(words_8 a, words_8 b, ints_8 which, int i) {
    const words_8 there = (words_8)(which == i);
    return (a & ~there) | (b & there);
}

#ifdef __AVX512F__
typedef float vec_16 __attribute__((vector_size(64)));
typedef int32_t ints_16 __attribute__((vector_size(64)));
typedef uint32_t words_16 __attribute__((vector_size(64)));

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

NL_INLINE void multiply_16(words_16 *high, words_16 *low, words_16 a, uint32_t k) {
    const __m512i by = _mm512_set1_epi32((int)k), odd_lanes = _mm512_srli_epi64((__m512i)a, 32);
    const __m512i even = _mm512_mul_epu32((__m512i)a, by), odd = _mm512_mul_epu32(odd_lanes, by);
    *low = (words_16)_mm512_mask_mov_epi32(even, 0xAAAA, _mm512_slli_epi64(odd, 32));
    *high = (words_16)_mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xAAAA, odd);
}

NL_INLINE vec_16 where_at_least_16(vec_16 x, words_16 words, uint32_t threshold) {
    const __m512i least = _mm512_set1_epi32((int)threshold);
    return _mm512_maskz_mov_ps(_mm512_cmpge_epu32_mask((__m512i)words, least), x);
}

NL_INLINE words_16 mix_16(words_16 a, words_16 b, ints_16 which, int i) {
    return (words_16)_mm512_mask_mov_epi32(
        (__m512i)a, _mm512_cmpeq_epi32_mask((__m512i)which, _mm512_set1_epi32(i)), (__m512i)b);
}
#endif

#define LANES 8
#include "vector_lanes.h"
#if NL_MOST_LANES == 16
#define LANES 16
#include "vector_lanes.h"
#endif
