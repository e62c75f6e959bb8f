/* The first two layers as one loop; see first.h. */
#include "first.h"

#include <stdlib.h> // free
#include <string.h> // memset

#include "normlab/error.h" // nl_alloc
#include "vector.h"        // load_8

extern const nl_conv_ops NL_SIMD(conv);
extern const nl_patch_ops NL_SIMD(patches);
extern const nl_first_ops NL_SIMD(first);

/* Positions of a piece are lines that fit the first-level cache with their gradient. */
enum { PIECE = 64 };

/* Positions that are summed in float before their sum joins the others'. */
enum { RUN = 16 };

static nl_patches patches_of(nl_conv_shape s) {
    const nl_patches p = {.c = s.c,
                          .h = s.h,
                          .w = s.w,
                          .k = s.k,
                          .pad = s.pad,
                          .taps = s.k * s.k * s.c,
                          .rows = s.h + 2 * s.pad,
                          .columns = s.w + 2 * s.pad,
                          .oh = s.h + 2 * s.pad - s.k + 1,
                          .ow = s.w + 2 * s.pad - s.k + 1,
                          .cp = nl_pad8(s.o)};
    NL_ASSERT(s.c <= NL_PATCH_CHANNELS && p.taps <= NL_PATCH_TAPS);
    return p;
}

static void first_init(nl_first_fast *f, nl_conv_shape shape) {
    f->patches = patches_of(shape);
    const size_t cp = (size_t)f->patches.cp, taps = (size_t)f->patches.taps;
    f->filter.w = nl_alloc(taps * cp, sizeof *f->filter.w, "first filter");
    f->filter.bias = nl_alloc(cp, sizeof *f->filter.bias, "first bias");
    f->filter.sum = nl_alloc((size_t)shape.c * cp, sizeof *f->filter.sum, "first filter");
}

static void first_free(nl_first_fast *f) {
    free(f->filter.w);
    free(f->filter.bias);
    free(f->filter.sum);
}

static void first_pack(nl_first_fast *f, const float *filter, const float *bias, int channels) {
    const nl_patches *p = &f->patches;
    const int kk = p->k * p->k;
    memset(f->filter.sum, 0, sizeof *f->filter.sum * (size_t)(p->c * p->cp));
    for (int o = 0; o < channels; o++)
        for (int t = 0; t < p->taps; t++) {
            const int c = t % p->c;
            const float w = filter[(o * p->c + c) * kk + t / p->c];
            f->filter.w[t * p->cp + o] = w;
            f->filter.sum[c * p->cp + o] += (double)w;
        }
    memcpy(f->filter.bias, bias, sizeof *bias * (size_t)channels);
}

#define LANES 8
#include "first_lanes.h"
#if NL_MOST_LANES == 16
#define LANES 16
#include "first_lanes.h"
#endif

/* Calls PASS(lanes, first channel) over all channels: the widest vectors, and one of 8 where that
 * is left over. */
#define FOR_CHANNELS(cp, PASS)                                                                     \
    for (int first_ = 0; first_ < (cp); first_ += NL_MOST_LANES) {                                 \
        if ((cp)-first_ >= NL_MOST_LANES)                                                          \
            PASS(NL_MOST_LANES, first_);                                                           \
        else                                                                                       \
            PASS(8, first_);                                                                       \
    }

/* g where y is above 0 (or NaN); its sums over the positions join s1. */
static void mask(float *g, double *s1, const float *y, int positions, int cp, bool relu) {
#define PASS(lanes, first) NL_JOINED(mask, lanes)(g, s1, y, positions, cp, relu, first)
    FOR_CHANNELS(cp, PASS)
#undef PASS
}

/* ---- Scratch ---- */

typedef struct room {
    float *image;          /* padded and centred */
    float *scale, *offset; /* (cp) */
    float *piece, *again;  /* (positions of a piece, cp) */
} room;

static int lines_of(const nl_patches *p) {
    return p->ow < PIECE ? PIECE / p->ow : 1;
}

static int64_t rounded(int64_t count) {
    return (count + 15) / 16 * 16;
}

static int64_t image_floats(const nl_patches *p) {
    return rounded((int64_t)p->rows * p->columns * p->c);
}

static int64_t piece_floats(const nl_patches *p) {
    return rounded((int64_t)lines_of(p) * p->ow * p->cp);
}

static int64_t first_scratch(const nl_first_fast *f) {
    const nl_patches *p = &f->patches;
    return image_floats(p) + 2 * rounded(p->cp) + 2 * piece_floats(p);
}

static room room_of(float *scratch, const nl_patches *p) {
    float *scale = scratch + image_floats(p), *offset = scale + rounded(p->cp);
    float *piece = offset + rounded(p->cp);
    return (room){scratch, scale, offset, piece, piece + piece_floats(p)};
}

/* The image with its border, the centre taken off everywhere. */
static void centre_image(float *to, const float *x, const double *centre, const nl_patches *p) {
    float border[NL_PATCH_CHANNELS];
    for (int c = 0; c < p->c; c++) border[c] = -(float)centre[c];
    const int side = p->pad * p->c, inner = p->w * p->c;
    for (int y = 0; y < p->rows; y++, to += inner + 2 * side) {
        const float *from = x + (int64_t)(y - p->pad) * inner;
        const bool inside = y >= p->pad && y < p->pad + p->h;
        for (int i = 0; i < side; i++) to[i] = to[side + inner + i] = border[i % p->c];
        if (p->c == 1) /* without a division for each pixel */
            for (int i = 0; i < inner; i++) to[side + i] = inside ? from[i] + border[0] : border[0];
        else
            for (int i = 0; i < inner; i++)
                to[side + i] = inside ? from[i] + border[i % p->c] : border[i % p->c];
    }
}

/* ---- Forward ---- */

/* y of so many lines from line i on. */
static void make_lines(float *y, const room *r, int i, int lines, const nl_first_fast *f,
                       const nl_conv_fast *conv1, bool relu) {
    const nl_patches *p = &f->patches;
    const nl_finish finish = {r->scale, r->offset, relu};
    for (int k = 0; k < lines; k++)
        NL_SIMD(conv).forward_run(y + (int64_t)k * p->ow * p->cp,
                                  r->image + (int64_t)(i + k) * p->columns * p->c, conv1, NULL,
                                  &finish, p->ow);
}

static void first_forward(float *z2, float *y, const float *x, const nl_first_fast *f,
                          const nl_conv_fast *conv1, const nl_conv_fast *conv2, nl_first_map how,
                          float *scratch) {
    const nl_patches *p = &f->patches;
    const int cp = p->cp;
    const room r = room_of(scratch, p);
    centre_image(r.image, x, how.centre, p);
    NL_SIMD(patches).offset(r.scale, r.offset, how.map, how.centre, p, &f->filter);
    for (int i = 0; i < p->oh; i++) {
        const int64_t at = (int64_t)i * p->ow;
        float *const to = y ? y + at * cp : r.piece;
        make_lines(to, &r, i, 1, f, conv1, how.relu);
        NL_SIMD(conv).forward_run(z2 + at * conv2->cpo, to, conv2, conv2->bias, NULL, p->ow);
    }
}

/* ---- Backward ---- */

static void first_backward(float *dw2, float *sums, double *s1, const float *dz2, const float *y,
                           const float *x, const nl_first_fast *f, const nl_conv_fast *conv1,
                           const nl_conv_fast *conv2, nl_first_map how, float *scratch) {
    const nl_patches *p = &f->patches;
    const int cp = p->cp, line = p->columns * p->c, most = lines_of(p);
    const room r = room_of(scratch, p);
    centre_image(r.image, x, how.centre, p);
    if (!y) NL_SIMD(patches).offset(r.scale, r.offset, how.map, how.centre, p, &f->filter);
    for (int i = 0; i < p->oh; i += most) {
        const int lines = p->oh - i < most ? p->oh - i : most, positions = lines * p->ow;
        const int64_t at = (int64_t)i * p->ow;
        const float *above = dz2 + at * conv2->cpo, *own = y ? y + at * cp : r.again;
        if (!y) make_lines(r.again, &r, i, lines, f, conv1, how.relu);
        NL_SIMD(conv).backward_filter_run(dw2, above, own, conv2, 1, positions);
        NL_SIMD(conv).backward_data_run(r.piece, above, conv2, positions);
        mask(r.piece, s1, own, positions, cp, how.relu);
        NL_SIMD(conv).backward_filter_run(sums, r.piece, r.image + (int64_t)i * line, conv1, lines,
                                          p->ow);
    }
}

const nl_first_ops NL_SIMD(first) = {.init = first_init,
                                     .free = first_free,
                                     .pack = first_pack,
                                     .scratch = first_scratch,
                                     .forward = first_forward,
                                     .backward = first_backward};
