/* Convolution of one image, float, in the layout of simd.h.
 *
 * With taps t = (ky, kx, ci) and P the input padded by `pad`:
 *     z[y,x][o]  = bias[o] + sum_t P[y + ky, x + kx][ci] * w[t][o]
 *     dw[t][o]   = sum_{y,x} P[y + ky, x + kx][ci] * dz[y,x][o]
 *     dx[y,x][c] = sum_{(ky,kx,o)} D[y + ky, x + kx][o] * w[(k-1-ky, k-1-kx, c)][o]
 * where D is dz padded by k - 1 - pad (cut, where that is negative). So the first and the third are
 * the same loop over other tables, no patch matrix is ever made, and the second sums over pixels
 * instead of taps. */
#include "simd.h"

#include <stdlib.h> // free
#include <string.h> // memcpy, memset

#include "normlab/error.h" // nl_alloc, NL_ASSERT
#include "tile.h"          // register tiles

extern const nl_conv_ops NL_SIMD(conv);

/* Floats of output gradient and input that stay in the first-level cache while a filter gradient's
 * tiles pass. */
enum { L1_FLOATS = 5120 };

/* Pixels that are summed by themselves before their sum joins the others'. */
enum { RUN = 64 };

/* ---- Tables ---- */

static int *make_taps(int k, int channels, int cp, int width) {
    int *tap = nl_alloc((size_t)(k * k * channels), sizeof *tap, "convolution taps");
    for (int i = 0, ky = 0; ky < k; ky++)
        for (int kx = 0; kx < k; kx++)
            for (int c = 0; c < channels; c++) tap[i++] = (ky * width + kx) * cp + c;
    return tap;
}

static void conv_init(nl_conv_fast *conv, nl_conv_shape s, bool first) {
    const int cpi = first ? s.c : nl_pad8(s.c), cpo = nl_pad8(s.o);
    *conv = (nl_conv_fast){.ci = s.c,
                           .cpi = cpi,
                           .h = s.h,
                           .w = s.w,
                           .co = s.o,
                           .cpo = cpo,
                           .oh = nl_conv_out(s.h, s.k, s.pad),
                           .ow = nl_conv_out(s.w, s.k, s.pad),
                           .k = s.k,
                           .pad = s.pad};
    NL_ASSERT(conv->oh > 0 && conv->ow > 0);
    const size_t kk = (size_t)(s.k * s.k);
    conv->tap = make_taps(s.k, s.c, cpi, s.w + 2 * s.pad);
    conv->filter = nl_alloc(kk * (size_t)(s.c * cpo), sizeof(float), "packed filter");
    conv->bias = nl_alloc((size_t)cpo, sizeof(float), "packed bias");
    if (first) return;
    conv->tap_back = make_taps(s.k, s.o, cpo, s.w + s.k - 1);
    conv->filter_back = nl_alloc(kk * (size_t)(s.o * cpi), sizeof(float), "packed filter");
}

static void conv_free(nl_conv_fast *conv) {
    free(conv->tap);
    free(conv->tap_back);
    free(conv->filter);
    free(conv->filter_back);
    free(conv->bias);
    memset(conv, 0, sizeof *conv);
}

static int64_t conv_scratch(const nl_conv_fast *conv) {
    const int64_t in = (int64_t)(conv->h + 2 * conv->pad) * (conv->w + 2 * conv->pad) * conv->cpi;
    const int64_t out = (int64_t)(conv->h + conv->k - 1) * (conv->w + conv->k - 1) * conv->cpo;
    return in > out ? in : out;
}

/* Columns are packed tile by tile: all taps of the first tile's columns, then of the next. */
static void pack_columns(float *packed, int taps, int columns, const float *filter,
                         const nl_conv_fast *v, bool back) {
    const int kk = v->k * v->k;
    for (int first = 0, wide; first < columns; first += wide) {
        wide = columns_of(next_columns(columns - first));
        for (int t = 0; t < taps; t++) {
            const int place = back ? kk - 1 - t / v->co : t / v->ci;
            for (int j = 0; j < wide; j++, packed++) {
                const int o = back ? t % v->co : first + j, c = back ? first + j : t % v->ci;
                *packed = o < v->co && c < v->ci ? filter[(o * v->ci + c) * kk + place] : 0;
            }
        }
    }
}

static void conv_pack(nl_conv_fast *conv, const float *filter, const float *bias) {
    const int kk = conv->k * conv->k;
    pack_columns(conv->filter, kk * conv->ci, conv->cpo, filter, conv, false);
    if (conv->filter_back)
        pack_columns(conv->filter_back, kk * conv->co, conv->cpi, filter, conv, true);
    memcpy(conv->bias, bias, (size_t)conv->co * sizeof *bias);
}

/* ---- Loops ---- */

/* x with a border of zeros (or, where pad is negative, without its border) in scratch; x itself
 * where pad is 0. */
static const float *padded(float *scratch, const float *x, int h, int w, int cp, int pad) {
    if (pad == 0) return x;
    const int ph = h + 2 * pad, pw = w + 2 * pad;
    for (int y = 0; y < ph; y++) {
        float *line = scratch + (ptrdiff_t)y * pw * cp;
        const int sy = y - pad;
        if (sy < 0 || sy >= h) {
            memset(line, 0, sizeof *line * (size_t)(pw * cp));
            continue;
        }
        const int left = pad > 0 ? pad : 0, skip = pad < 0 ? -pad : 0;
        const size_t inner = (size_t)((w - 2 * skip) * cp);
        memset(line, 0, sizeof *line * (size_t)(left * cp));
        memcpy(line + left * cp, x + ((ptrdiff_t)sy * w + skip) * cp, sizeof *line * inner);
        memset(line + left * cp + inner, 0, sizeof *line * (size_t)(left * cp));
    }
    return scratch;
}

/* Rows that every tile of so many columns may have. */
static int rows_of_all(int columns) {
    int least = most_rows(1);
    for (int first = 0; first < columns;) {
        const tile_columns tile = next_columns(columns - first);
        if (most_rows(tile.vecs) < least) least = most_rows(tile.vecs);
        first += columns_of(tile);
    }
    return least;
}

/* One run of `width` output pixels that follow each other in the input: all columns of a pixel
 * before the next ones, so that output is written in whole cache lines. */
static void gemm_line(float *out, int columns, const float *in, int step, const int *tap, int taps,
                      const float *packed, const float *init, const nl_finish *finish, int width) {
    const int most = rows_of_all(columns);
    const int tiles = (width + most - 1) / most, even = (width + tiles - 1) / tiles;
    for (int x = 0; x < width; x += even) {
        const int rows = width - x < even ? width - x : even;
        const float *at = in + (ptrdiff_t)x * step, *block = packed;
        for (int first = 0; first < columns;) {
            const tile_columns tile = next_columns(columns - first);
            float *to = out + (ptrdiff_t)x * columns + first;
            const float *start = init ? init + first : NULL;
#define CASE(lanes, v, r)                                                                          \
    NL_TILE_CASE(lanes, v, r)                                                                      \
        : tile_gemm_##lanes(to, columns, at, step, tap, taps, block, start, finish, first, r, v);  \
    break;
            NL_TILE_DISPATCH(tile, rows, CASE)
#undef CASE
            block += (ptrdiff_t)taps * columns_of(tile);
            first += columns_of(tile);
        }
    }
}

static void gemm_image(float *out, int oh, int ow, int columns, const float *in, int step,
                       int in_width, const int *tap, int taps, const float *packed,
                       const float *init) {
    if (in_width == ow) { /* the lines follow each other: one long line */
        ow *= oh;
        oh = 1;
    }
    for (int y = 0; y < oh; y++)
        gemm_line(out + (ptrdiff_t)y * ow * columns, columns, in + (ptrdiff_t)y * in_width * step,
                  step, tap, taps, packed, init, NULL, ow);
}

static void conv_forward(float *z, const float *x, const nl_conv_fast *v, float *scratch) {
    const float *in = padded(scratch, x, v->h, v->w, v->cpi, v->pad);
    gemm_image(z, v->oh, v->ow, v->cpo, in, v->cpi, v->w + 2 * v->pad, v->tap, v->k * v->k * v->ci,
               v->filter, v->bias);
}

static void conv_forward_run(float *z, const float *in, const nl_conv_fast *v, const float *init,
                             const nl_finish *finish, int pixels) {
    gemm_line(z, v->cpo, in, v->cpi, v->tap, v->k * v->k * v->ci, v->filter, init, finish, pixels);
}

static void conv_backward_data_run(float *dx, const float *dz, const nl_conv_fast *v, int pixels) {
    NL_ASSERT(v->k == 1 && v->pad == 0);
    gemm_line(dx, v->cpi, dz, v->cpo, v->tap_back, v->co, v->filter_back, NULL, NULL, pixels);
}

static void conv_backward_data(float *dx, const float *dz, const nl_conv_fast *v, float *scratch) {
    const float *in = padded(scratch, dz, v->oh, v->ow, v->cpo, v->k - 1 - v->pad);
    gemm_image(dx, v->h, v->w, v->cpi, in, v->cpo, v->w + v->k - 1, v->tap_back,
               v->k * v->k * v->co, v->filter_back, NULL);
}

/* Rows of a filter gradient's tile: such that no thin tile is left over where that can be had. */
static int outer_rows(int taps, int vecs) {
    const int most = most_rows(vecs);
    if (taps % most == 0) return most;
    for (int rows = most; rows > most / 2; rows--)
        if (taps % rows == 0) return rows;
    return most;
}

/* 25 taps: 5 x 2 vectors of 8, or 5 x 3 of 16. */
static tile_columns next_outer_columns(int left, int taps) {
    tile_columns tile = next_columns(left);
    const bool fives = taps % 4 != 0 && taps % 5 == 0;
    if (fives && tile.lanes == 8 && tile.vecs == 3 && left % 16 == 0) tile.vecs = 2;
    if (fives && tile.lanes == 16 && left % 48 == 0) tile.vecs = 3;
    return tile;
}

/* Lines y0 .. y0 + lines - 1 of the image, for all taps and columns. */
static void outer_lines(float *dw, const float *dz, const float *in, const nl_conv_fast *v,
                        int line, int lines, int width) {
    const int taps = v->k * v->k * v->ci;
    for (int first = 0; first < v->cpo;) {
        const tile_columns tile = next_outer_columns(v->cpo - first, taps);
        const int rows = outer_rows(taps, tile.vecs);
        for (int t = 0; t < taps; t += rows) {
            const int some = taps - t < rows ? taps - t : rows;
            float *out = dw + (ptrdiff_t)t * v->cpo + first;
            const float *columns = dz + first;
#define CASE(wide, n, r)                                                                           \
    NL_TILE_CASE(wide, n, r)                                                                       \
        : tile_outer_##wide(out, v->cpo, in, line, v->cpi, v->tap + t, lines, width, columns,      \
                            v->cpo, r, n);                                                         \
    break;
            NL_TILE_DISPATCH(tile, some, CASE)
#undef CASE
        }
        first += columns_of(tile);
    }
}

static void conv_backward_filter_run(float *dw, const float *dz, const float *in,
                                     const nl_conv_fast *v, int lines, int width) {
    outer_lines(dw, dz, in, v, (v->w + 2 * v->pad) * v->cpi, lines, width);
}

static void conv_backward_filter(float *dw, const float *dz, const float *x, const nl_conv_fast *v,
                                 float *scratch) {
    const float *in = padded(scratch, x, v->h, v->w, v->cpi, v->pad);
    const int in_width = v->w + 2 * v->pad;
    const bool flat =
        in_width == v->ow; /* the lines follow each other: cut one long line into pieces */
    const int lines = flat ? v->oh * v->ow : v->oh, width = flat ? 1 : v->ow;
    const int in_line = flat ? v->cpi : in_width * v->cpi, floats = width * (v->cpo + v->cpi);
    const int piece = floats < L1_FLOATS ? L1_FLOATS / floats : 1, run = RUN / width;
    const int most = piece < run ? piece : run > 1 ? run : 1;
    for (int y = 0; y < lines; y += most) {
        const int some = lines - y < most ? lines - y : most;
        const float *columns = dz + (ptrdiff_t)y * width * v->cpo,
                    *at = in + (ptrdiff_t)y * in_line;
        if (flat)
            outer_lines(dw, columns, at, v, 0, 1, some);
        else
            outer_lines(dw, columns, at, v, in_line, some, width);
    }
}

/* So many channels of one tap at once, part after part: these lie beside each other, what they
 * become does not. */
enum { SUMMED = 16 };

static void conv_sum_filter(float *gradient, const float *dw, int64_t stride, int parts,
                            const nl_conv_fast *v) {
    const int kk = v->k * v->k;
    for (int t = 0; t < kk * v->ci; t++) {
        const int place = t / v->ci, c = t % v->ci;
        for (int first = 0; first < v->co; first += SUMMED) {
            const int some = v->cpo - first < SUMMED ? 8 : SUMMED;
            const float *part = dw + (ptrdiff_t)t * v->cpo + first;
            vec_8 sum[SUMMED / 8];
            for (int j = 0; j < some; j += 8) {
                sum[j / 8] = load_8(part + j);
                for (int i = 1; i < parts; i++) sum[j / 8] += load_8(part + i * stride + j);
            }
            for (int j = 0; j < some && first + j < v->co; j++)
                gradient[((first + j) * v->ci + c) * kk + place] = sum[j / 8][j % 8];
        }
    }
}

const nl_conv_ops NL_SIMD(conv) = {.init = conv_init,
                                   .free = conv_free,
                                   .scratch = conv_scratch,
                                   .pack = conv_pack,
                                   .forward = conv_forward,
                                   .backward_data = conv_backward_data,
                                   .backward_filter = conv_backward_filter,
                                   .forward_run = conv_forward_run,
                                   .backward_data_run = conv_backward_data_run,
                                   .backward_filter_run = conv_backward_filter_run,
                                   .sum_filter = conv_sum_filter};
