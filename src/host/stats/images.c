/* Seeds and images are both samples: what a mean over the two is worth. */
#include "normlab/stats.h"

#include <math.h>   // sqrt
#include <stdlib.h> // free

#include "normlab/error.h" // nl_alloc

typedef struct squares {
    double seed, image, rest; /* mean squares of the two-way layout */
} squares;

static double mean_of(const double *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    return sum / n;
}

static squares mean_squares(const double *x, const double *by_seed, const double *by_image,
                            double mean, int seeds, int images) {
    squares s = {0, 0, 0};
    for (int i = 0; i < seeds; i++) s.seed += (by_seed[i] - mean) * (by_seed[i] - mean);
    for (int j = 0; j < images; j++) s.image += (by_image[j] - mean) * (by_image[j] - mean);
    for (int i = 0; i < seeds; i++)
        for (int j = 0; j < images; j++) {
            const double rest = x[(long)i * images + j] - by_seed[i] - by_image[j] + mean;
            s.rest += rest * rest;
        }
    s.seed *= (double)images / (seeds - 1);
    s.image *= (double)seeds / (images - 1);
    s.rest /= (double)(seeds - 1) * (images - 1);
    return s;
}

static void interval(nl_two_way *r, double variance) {
    if (!(variance > 0) || !(r->df > 0)) return;
    const double half = nl_stats_t_quantile(0.975, r->df) * sqrt(variance);
    r->low = r->mean - half;
    r->high = r->mean + half;
}

nl_two_way nl_stats_two_way(const double *x, int seeds, int images) {
    nl_two_way r = {NAN, NAN, NAN, NAN, false};
    if (seeds < 1 || images < 1) return r;
    double *by_seed = nl_alloc((size_t)seeds, sizeof *by_seed, "means of seeds");
    double *by_image = nl_alloc((size_t)images, sizeof *by_image, "means of images");
    for (int i = 0; i < seeds; i++) {
        by_seed[i] = mean_of(x + (long)i * images, images);
        for (int j = 0; j < images; j++) by_image[j] += x[(long)i * images + j] / seeds;
    }
    r.mean = mean_of(by_seed, seeds);
    if (seeds > 1 && images > 1) {
        const squares s = mean_squares(x, by_seed, by_image, r.mean, seeds, images);
        const double n = (double)seeds * images, total = s.seed + s.image - s.rest;
        const double spread = s.seed * s.seed / (seeds - 1) + s.image * s.image / (images - 1) +
                              s.rest * s.rest / ((double)(seeds - 1) * (images - 1));
        r.one_way = !(total > 0);
        r.df = r.one_way ? seeds - 1 : total * total / spread;
        interval(&r, (r.one_way ? s.seed : total) / n);
    }
    free(by_seed);
    free(by_image);
    return r;
}

double nl_stats_chance_spread(const uint32_t *right, uint32_t images, int n) {
    if (n < 2 || images == 0) return NAN;
    double sum = 0;
    for (uint32_t i = 0; i < images; i++) {
        const double p = (double)right[i] / n;
        sum += p * (1 - p);
    }
    return 100 * sqrt((double)n / (n - 1) * sum) / images;
}
