/* The register tile of all convolutions: ROWS x VECS vectors of 8 floats are kept in registers
 * while one dimension is summed over. With 16 vector registers, 12 sums + VECS columns + one
 * broadcast fit; 12 independent sums also hide the latency of two FMA units. */
#pragma once

#ifdef __FMA__
#include <immintrin.h> // _mm256_fmadd_ps
#endif
#include <stddef.h> // ptrdiff_t

#include "fast.h" // v8

#define NL_INLINE static inline __attribute__((always_inline))

/* The most rows of a tile of so many vectors. */
static inline int nl_tile_rows(int vecs) {
    return vecs == 1 ? 12 : vecs == 2 ? 6 : 4;
}

/* The vectors of the next tile when so many columns (a multiple of 8) are left. */
static inline int nl_tile_vecs(int columns) {
    if (columns == 32) return 2;
    return columns >= 24 ? 3 : columns / 8;
}

NL_INLINE v8 nl_load(const float *p) {
    v8 v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

NL_INLINE void nl_store(float *p, v8 v) {
    __builtin_memcpy(p, &v, sizeof v);
}

NL_INLINE v8 nl_splat(float x) {
    return (v8){x, x, x, x, x, x, x, x};
}

/* a * b + c, rounded once. Never left to the compiler, whose choice would decide the bits. */
NL_INLINE v8 nl_fma(v8 a, v8 b, v8 c) {
#ifdef __FMA__
    return _mm256_fmadd_ps(a, b, c);
#else
    for (int i = 0; i < 8; i++) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
#endif
}

/* v, but 0 in the lanes where a comparison came out true; with NaN it never does, so NaN passes. */
NL_INLINE v8 nl_zero_where(v8i mask, v8 v) {
    return (v8)((v8i)v & ~mask);
}

/* out[r][.] = init[.] + sum over k of in[r * step + tap[k]] * columns[k][.] */
NL_INLINE void nl_tile_gemm(float *out, ptrdiff_t ldo, const float *in, ptrdiff_t step,
                            const int *tap, int count, const float *columns, const float *init,
                            int rows, int vecs) {
    v8 sum[12][3];
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < vecs; j++) sum[r][j] = init ? nl_load(init + 8 * j) : (v8){0};
    for (int k = 0; k < count; k++) {
        const float *at = in + tap[k];
        v8 column[3];
        for (int j = 0; j < vecs; j++) column[j] = nl_load(columns + ((ptrdiff_t)k * vecs + j) * 8);
        for (int r = 0; r < rows; r++)
            for (int j = 0; j < vecs; j++)
                sum[r][j] = nl_fma(nl_splat(at[r * step]), column[j], sum[r][j]);
    }
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < vecs; j++) nl_store(out + r * ldo + 8 * j, sum[r][j]);
}

/* out[r][.] += sum over lines y and pixels x of in[y * line + x * step + tap[r]] * columns[y *
 * width + x][.] */
NL_INLINE void nl_tile_outer(float *out, ptrdiff_t ldo, const float *in, ptrdiff_t line,
                             ptrdiff_t step, const int *tap, int lines, int width,
                             const float *columns, ptrdiff_t ldc, int rows, int vecs) {
    v8 sum[12][3];
    const float *at[12];
    for (int r = 0; r < rows; r++) {
        at[r] = in + tap[r];
        for (int j = 0; j < vecs; j++) sum[r][j] = (v8){0};
    }
    for (int y = 0; y < lines; y++) {
        ptrdiff_t offset = y * line;
        for (int x = 0; x < width; x++, offset += step, columns += ldc) {
            v8 column[3];
            for (int j = 0; j < vecs; j++) column[j] = nl_load(columns + 8 * j);
            for (int r = 0; r < rows; r++)
                for (int j = 0; j < vecs; j++)
                    sum[r][j] = nl_fma(nl_splat(at[r][offset]), column[j], sum[r][j]);
        }
    }
    /* the piece by itself, then added: one running sum over a whole image loses more digits */
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < vecs; j++) {
            float *to = out + r * ldo + 8 * j;
            nl_store(to, nl_load(to) + sum[r][j]);
        }
}

/* Calls TILE(rows, vecs) with both as constants, so that the sums stay in registers. */
#define NL_TILE_CASE(rows, vecs, TILE)                                                             \
    case (rows)*4 + (vecs):                                                                        \
        TILE(rows, vecs);                                                                          \
        break
#define NL_TILE_DISPATCH(rows, vecs, TILE)                                                         \
    switch ((rows)*4 + (vecs)) {                                                                   \
        NL_TILE_CASE(1, 1, TILE);                                                                  \
        NL_TILE_CASE(2, 1, TILE);                                                                  \
        NL_TILE_CASE(3, 1, TILE);                                                                  \
        NL_TILE_CASE(4, 1, TILE);                                                                  \
        NL_TILE_CASE(5, 1, TILE);                                                                  \
        NL_TILE_CASE(6, 1, TILE);                                                                  \
        NL_TILE_CASE(7, 1, TILE);                                                                  \
        NL_TILE_CASE(8, 1, TILE);                                                                  \
        NL_TILE_CASE(9, 1, TILE);                                                                  \
        NL_TILE_CASE(10, 1, TILE);                                                                 \
        NL_TILE_CASE(11, 1, TILE);                                                                 \
        NL_TILE_CASE(12, 1, TILE);                                                                 \
        NL_TILE_CASE(1, 2, TILE);                                                                  \
        NL_TILE_CASE(2, 2, TILE);                                                                  \
        NL_TILE_CASE(3, 2, TILE);                                                                  \
        NL_TILE_CASE(4, 2, TILE);                                                                  \
        NL_TILE_CASE(5, 2, TILE);                                                                  \
        NL_TILE_CASE(6, 2, TILE);                                                                  \
        NL_TILE_CASE(1, 3, TILE);                                                                  \
        NL_TILE_CASE(2, 3, TILE);                                                                  \
        NL_TILE_CASE(3, 3, TILE);                                                                  \
        NL_TILE_CASE(4, 3, TILE);                                                                  \
    default:                                                                                       \
        nl_abort("tile size", __FILE__, __LINE__);                                                 \
    }
