/* Convolution as networks use it (a cross-correlation), stride 1, zero padding; in the notation of
 * Dumoulin, Visin, A guide to convolution arithmetic for deep learning, 2016, chapter 2, with p for
 * the padding:
 *     y[n][o][i][j] = bias[o] + sum over c, u, v of w[o][c][u][v] * x[n][c][i + u - p][j + v - p]
 *
 * Gradients: every product w * x of that sum is linear in both factors, so each takes dy times the
 * other one (the transposed convolution, chapter 4 there):
 *     dx[n][c][a][b] = sum over o, u, v of w[o][c][u][v] * dy[n][o][a - u + p][b - v + p]
 *     dw[o][c][u][v] = sum over n, i, j of dy[n][o][i][j] * x[n][c][i + u - p][j + v - p]
 *     dbias[o]       = sum over n, i, j of dy[n][o][i][j]
 *
 * All three walk the same pairs of a plane of y and a plane of x under one filter tap; the
 * innermost loop runs along a row of both, clipped to where the padded input is not zero by
 * definition. */
#include <string.h> // memset

#include "sums.h"

/* Where one tap's row and column shifts stay inside the input: rows [top, bottom) and columns
 * [left, right) of y, and the shifts themselves. */
typedef struct tap {
    int top, bottom, left, right, down, across;
} tap;

static tap tap_at(int u, int v, nl_conv_shape s) {
    tap t = {.down = u - s.pad,
             .across = v - s.pad,
             .bottom = nl_conv_out(s.h, s.k, s.pad),
             .right = nl_conv_out(s.w, s.k, s.pad)};
    if (t.down < 0) t.top = -t.down;
    if (t.across < 0) t.left = -t.across;
    if (t.bottom + t.down > s.h) t.bottom = s.h - t.down;
    if (t.right + t.across > s.w) t.right = s.w - t.across;
    if (t.right <= t.left) t.bottom = t.top; /* the tap meets padding only */
    return t;
}

/* to += w * from along a row */
static void add_row(real *restrict to, const real *restrict from, real w, int width) {
    for (int j = 0; j < width; j++) to[j] += w * from[j];
}

void OP(conv_forward)(real *y, const real *x, const real *w, const real *bias, nl_conv_shape s) {
    const int oh = nl_conv_out(s.h, s.k, s.pad), ow = nl_conv_out(s.w, s.k, s.pad);
    for (int64_t no = 0; no < (int64_t)s.n * s.o; no++) {
        const int64_t n = no / s.o, o = no % s.o;
        real *plane = y + no * oh * ow;
        for (int64_t i = 0; i < (int64_t)oh * ow; i++) plane[i] = bias[o];
        for (int64_t c = 0; c < s.c; c++) {
            const real *in = x + (n * s.c + c) * s.h * s.w;
            const real *filter = w + (o * s.c + c) * s.k * s.k;
            for (int uv = 0; uv < s.k * s.k; uv++) {
                const tap t = tap_at(uv / s.k, uv % s.k, s);
                for (int i = t.top; i < t.bottom; i++)
                    add_row(plane + i * ow + t.left, in + (i + t.down) * s.w + t.left + t.across,
                            filter[uv], t.right - t.left);
            }
        }
    }
}

void OP(conv_backward_data)(real *dx, const real *dy, const real *w, nl_conv_shape s) {
    const int oh = nl_conv_out(s.h, s.k, s.pad), ow = nl_conv_out(s.w, s.k, s.pad);
    for (int64_t nc = 0; nc < (int64_t)s.n * s.c; nc++) {
        const int64_t n = nc / s.c, c = nc % s.c;
        real *plane = dx + nc * s.h * s.w;
        memset(plane, 0, (size_t)s.h * (size_t)s.w * sizeof *plane);
        for (int64_t o = 0; o < s.o; o++) {
            const real *out = dy + (n * s.o + o) * oh * ow;
            const real *filter = w + (o * s.c + c) * s.k * s.k;
            for (int uv = 0; uv < s.k * s.k; uv++) {
                const tap t = tap_at(uv / s.k, uv % s.k, s);
                for (int i = t.top; i < t.bottom; i++)
                    add_row(plane + (i + t.down) * s.w + t.left + t.across, out + i * ow + t.left,
                            filter[uv], t.right - t.left);
            }
        }
    }
}

/* sum of out * in over the plane under one tap */
static real dot_plane(const real *out, const real *in, int ow, int w, tap t) {
    real sum[LANES] = {0};
    for (int i = t.top; i < t.bottom; i++) {
        const real *a = out + i * ow + t.left;
        const real *b = in + (i + t.down) * w + t.left + t.across;
        const int width = t.right - t.left;
        int j = 0;
        for (; j + LANES <= width; j += LANES)
            for (int l = 0; l < LANES; l++) sum[l] += a[j + l] * b[j + l];
        for (int l = 0; j + l < width; l++) sum[l] += a[j + l] * b[j + l];
    }
    real total = 0;
    for (int l = 0; l < LANES; l++) total += sum[l];
    return total;
}

void OP(conv_backward_filter)(real *dw, real *dbias, const real *dy, const real *x,
                              nl_conv_shape s) {
    const int oh = nl_conv_out(s.h, s.k, s.pad), ow = nl_conv_out(s.w, s.k, s.pad);
    const int taps = s.k * s.k;
    memset(dw, 0, (size_t)s.o * (size_t)s.c * (size_t)taps * sizeof *dw);
    memset(dbias, 0, (size_t)s.o * sizeof *dbias);
    for (int64_t no = 0; no < (int64_t)s.n * s.o; no++) {
        const int64_t n = no / s.o, o = no % s.o;
        const real *out = dy + no * oh * ow;
        dbias[o] += sum_centred(out, (int64_t)oh * ow, 0).a;
        for (int64_t c = 0; c < s.c; c++) {
            const real *in = x + (n * s.c + c) * s.h * s.w;
            real *filter = dw + (o * s.c + c) * taps;
            for (int uv = 0; uv < taps; uv++)
                filter[uv] += dot_plane(out, in, ow, s.w, tap_at(uv / s.k, uv % s.k, s));
        }
    }
}
