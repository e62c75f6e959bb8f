/* Part of tile.h, included once for each LANES. */

/* out[r][.] = init[.] + sum over k of in[r * step + tap[k]] * columns[k][.], finished: sum * scale
 * + offset of each column, and ReLU. finish NULL: not. */
NL_INLINE void V(tile_gemm)(float *out, ptrdiff_t ldo, const float *in, ptrdiff_t step,
                            const int *tap, int count, const float *columns, const float *init,
                            const nl_finish *finish, int first, int rows, int vecs) {
    VEC sum[28][3];
    NL_UNROLL for (int r = 0; r < rows; r++) {
        NL_UNROLL for (int j = 0; j < vecs; j++) sum[r][j] =
            init ? V(load)(init + LANES * j) : (VEC){0};
    }
    for (int k = 0; k < count; k++) {
        const float *at = in + tap[k];
        VEC column[3];
        NL_UNROLL for (int j = 0; j < vecs; j++) column[j] =
            V(load)(columns + ((ptrdiff_t)k * vecs + j) * LANES);
        NL_UNROLL for (int r = 0; r < rows; r++) {
            NL_UNROLL for (int j = 0; j < vecs; j++) sum[r][j] =
                V(fma)(V(splat)(at[r * step]), column[j], sum[r][j]);
        }
    }
    if (finish) {
        NL_UNROLL for (int j = 0; j < vecs; j++) {
            const VEC scale = V(load)(finish->scale + first + LANES * j);
            const VEC offset = V(load)(finish->offset + first + LANES * j);
            NL_UNROLL for (int r = 0; r < rows; r++) {
                const VEC y = V(fma)(sum[r][j], scale, offset);
                sum[r][j] = finish->relu ? V(zero_where_negative)(y) : y;
            }
        }
    }
    NL_UNROLL for (int r = 0; r < rows; r++) {
        NL_UNROLL for (int j = 0; j < vecs; j++) V(store)(out + r * ldo + LANES * j, sum[r][j]);
    }
}

/* out[r][.] += sum over lines y and pixels x of in[y * line + x * step + tap[r]] * columns[y *
 * width + x][.] */
NL_INLINE void V(tile_outer)(float *out, ptrdiff_t ldo, const float *in, ptrdiff_t line,
                             ptrdiff_t step, const int *tap, int lines, int width,
                             const float *columns, ptrdiff_t ldc, int rows, int vecs) {
    VEC sum[28][3];
    const float *at[28];
    NL_UNROLL for (int r = 0; r < rows; r++) {
        at[r] = in + tap[r];
        NL_UNROLL for (int j = 0; j < vecs; j++) sum[r][j] = (VEC){0};
    }
    for (int y = 0; y < lines; y++) {
        ptrdiff_t offset = y * line;
        for (int x = 0; x < width; x++, offset += step, columns += ldc) {
            VEC column[3];
            NL_UNROLL for (int j = 0; j < vecs; j++) column[j] = V(load)(columns + LANES * j);
            NL_UNROLL for (int r = 0; r < rows; r++) {
                NL_UNROLL for (int j = 0; j < vecs; j++) sum[r][j] =
                    V(fma)(V(splat)(at[r][offset]), column[j], sum[r][j]);
            }
        }
    }
    /* the piece by itself, then added: one running sum over a whole image loses more digits */
    NL_UNROLL for (int r = 0; r < rows; r++) {
        NL_UNROLL for (int j = 0; j < vecs; j++) {
            float *to = out + r * ldo + LANES * j;
            V(store)(to, V(load)(to) + sum[r][j]);
        }
    }
}
#undef LANES
