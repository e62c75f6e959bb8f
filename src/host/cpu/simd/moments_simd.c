/* Patch moments; see first.h.
 *
 * M by lags. Taps t and t + lag of all positions multiply the same pairs of pixels, but for a few
 * at the edges: the product plane Q(u) = P(u) P(u + lag) is summed over the window of positions
 * shifted by t. The window at the next t is the last one with a row (column) less and one more. So
 * 5 x 5 taps take 41 planes and not 325 sums over all positions. All of it in double. */
#include <string.h> // memset

#include "doubles.h"
#include "first.h"

extern const nl_moment_ops NL_SIMD(moments);

/* Columns of the planes come in multiples of so many. */
enum { STEP = 8 };

/* ---- One image ---- */

/* Columns of a plane, and what lies before and behind the planes: a lag looks past the ends. */
static int stride_of(const nl_patches *p) {
    return (p->columns + STEP - 1) / STEP * STEP;
}

static int margin_of(const nl_patches *p) {
    return (p->k + STEP - 1) / STEP * STEP;
}

static int64_t moments_scratch(const nl_patches *p) {
    return 2 * margin_of(p) + (int64_t)(p->c * p->rows + 1) * stride_of(p);
}

/* In lanes, so that the sums need not wait for each other. Of equal values exactly their product
 * with the count. */
NL_INLINE double mean_of(const float *x, int count, int step) {
    double sum[8] = {0}, rest = 0;
    int i = 0;
    for (; i + 8 <= count; i += 8)
        for (int j = 0; j < 8; j++) sum[j] += (double)x[(int64_t)(i + j) * step];
    for (; i < count; i++) rest += (double)x[(int64_t)i * step];
    for (int j = 0; j < 8; j++) rest += sum[j];
    return rest / count;
}

static double image_mean(const float *x, const nl_patches *p) {
    return p->c == 1 ? mean_of(x, p->h * p->w, 1) : mean_of(x, p->h * p->w, p->c);
}

/* The padded, centred planes of an image. */
static void make_planes(double *planes, nl_patch_moments *m, const float *x, const nl_patches *p) {
    const int stride = stride_of(p);
    double *to = planes;
    for (int c = 0; c < p->c; c++) {
        const double centre = m->centre[c] = (double)(float)image_mean(x + c, p);
        for (int y = 0; y < p->rows; y++, to += stride) {
            const int row = y - p->pad;
            const bool inside = row >= 0 && row < p->h;
            for (int i = 0; i < stride; i++) to[i] = i < p->columns ? -centre : 0;
            const float *from = x + (int64_t)row * p->w * p->c + c;
            for (int i = 0; i < p->w && inside; i++)
                to[p->pad + i] = (double)from[i * p->c] - centre;
        }
    }
}

/* Every tap t of `a` for which t + lag is a tap of `b`. */
typedef struct lag {
    int a, b, dy, dx;
} lag;

static int low(int d) {
    return d < 0 ? -d : 0;
}

static int high(int k, int d) {
    return k - 1 - (d > 0 ? d : 0);
}

/* sums[x] = sum over rows of a[x] * b[x], for `block` columns, which stay in registers. */
NL_INLINE void sum_products(double *sums, const double *a, const double *b, int rows, int stride,
                            int block) {
    vecd sum[32 / DOUBLES];
    for (int j = 0; j < block / DOUBLES; j++) sum[j] = (vecd){0};
    for (int y = 0; y < rows; y++, a += stride, b += stride)
        for (int j = 0; j < block / DOUBLES; j++)
            sum[j] = fma_d(load_d(a + j * DOUBLES), load_d(b + j * DOUBLES), sum[j]);
    for (int j = 0; j < block / DOUBLES; j++) store_d(sums + j * DOUBLES, sum[j]);
}

static void sum_columns(double *sums, const double *a, const double *b, int rows, int stride) {
    int x = 0;
    for (; x + 32 <= stride; x += 32) sum_products(sums + x, a + x, b + x, rows, stride, 32);
    for (; x < stride; x += 8) sum_products(sums + x, a + x, b + x, rows, stride, 8);
}

static double sum_of(const double *x, int count) {
    double sum[4] = {0};
    int i = 0;
    for (; i + 4 <= count; i += 4)
        for (int j = 0; j < 4; j++) sum[j] += x[i + j];
    for (; i < count; i++) sum[0] += x[i];
    return sum[0] + sum[1] + (sum[2] + sum[3]);
}

static void take_lag(nl_patch_moments *m, const double *planes, lag l, double *sums,
                     const nl_patches *p) {
    const int stride = stride_of(p), k = p->k, size = p->rows * stride;
    const double *a = planes + (int64_t)l.a * size;
    const double *b = planes + (int64_t)l.b * size + l.dy * stride + l.dx;
    sum_columns(sums, a + low(l.dy) * stride, b + low(l.dy) * stride, p->oh, stride);
    for (int ty = low(l.dy);; ty++) {
        double sum = sum_of(sums + low(l.dx), p->ow);
        for (int tx = low(l.dx);; tx++) {
            const int t = (ty * k + tx) * p->c + l.a;
            const int u = ((ty + l.dy) * k + tx + l.dx) * p->c + l.b;
            m->m[t * p->taps + u] = m->m[u * p->taps + t] =
                sum - m->count * m->mean[t] * m->mean[u];
            if (tx == high(k, l.dx)) break;
            sum += sums[tx + p->ow] - sums[tx];
        }
        if (ty == high(k, l.dy)) return;
        const int out = ty * stride, in = (ty + p->oh) * stride;
        for (int x = 0; x < stride; x++) sums[x] += a[in + x] * b[in + x] - a[out + x] * b[out + x];
    }
}

static void take_means(nl_patch_moments *m, const double *plane, int c, double *sums,
                       const nl_patches *p) {
    const int stride = stride_of(p);
    memset(sums, 0, sizeof *sums * (size_t)stride);
    for (int y = 0; y < p->oh; y++)
        for (int x = 0; x < stride; x++) sums[x] += plane[y * stride + x];
    for (int ty = 0; ty < p->k; ty++) {
        for (int tx = 0; tx < p->k; tx++)
            m->mean[(ty * p->k + tx) * p->c + c] = sum_of(sums + tx, p->ow) / m->count;
        const double *out = plane + ty * stride, *in = out + p->oh * stride;
        for (int x = 0; x < stride && ty + 1 < p->k; x++) sums[x] += in[x] - out[x];
    }
}

static void moments_take(nl_patch_moments *m, const float *x, const nl_patches *p,
                         double *scratch) {
    const int margin = margin_of(p), stride = stride_of(p), size = p->rows * stride;
    double *planes = scratch + margin, *sums = planes + (int64_t)p->c * size + margin;
    for (int i = 0; i < margin; i++) scratch[i] = planes[p->c * size + i] = 0;
    m->count = (double)p->oh * p->ow;
    make_planes(planes, m, x, p);
    for (int c = 0; c < p->c; c++) take_means(m, planes + (int64_t)c * size, c, sums, p);
    for (int a = 0; a < p->c; a++)
        for (int b = a; b < p->c; b++)
            for (int dy = a == b ? 0 : 1 - p->k; dy < p->k; dy++)
                for (int dx = a == b && dy == 0 ? 0 : 1 - p->k; dx < p->k; dx++)
                    take_lag(m, planes, (lag){a, b, dy, dx}, sums, p);
}

/* ---- The batch ---- */

/* How far a tap's mean in an image is from the pooled one's centre. */
static double mean_about(const nl_patch_moments *image, const nl_patch_moments *all, int tap,
                         int channels) {
    const int c = tap % channels;
    return image->centre[c] - all->centre[c] + image->mean[tap];
}

static void moments_pool(nl_patch_moments *all, const nl_patch_moments *images, int n,
                         const nl_patches *p) {
    const int taps = p->taps;
    for (int c = 0; c < p->c; c++) {
        double sum = 0; /* of equal centres exactly 0 */
        for (int i = 0; i < n; i++) sum += images[i].centre[c] - images[0].centre[c];
        all->centre[c] = (double)(float)(images[0].centre[c] + sum / n);
    }
    all->count = 0;
    for (int i = 0; i < n; i++) all->count += images[i].count;
    for (int t = 0; t < taps; t++) {
        double sum = 0;
        for (int i = 0; i < n; i++) sum += mean_about(&images[i], all, t, p->c);
        all->mean[t] = sum / n;
    }
    memset(all->m, 0, sizeof *all->m * (size_t)(taps * taps));
    for (int i = 0; i < n; i++) {
        double d[NL_PATCH_TAPS];
        for (int t = 0; t < taps; t++) d[t] = mean_about(&images[i], all, t, p->c) - all->mean[t];
        for (int t = 0; t < taps; t++)
            for (int u = 0; u < taps; u++)
                all->m[t * taps + u] += images[i].m[t * taps + u] + images[i].count * d[t] * d[u];
    }
}

const nl_moment_ops NL_SIMD(moments) = {
    .scratch = moments_scratch, .take = moments_take, .pool = moments_pool};
