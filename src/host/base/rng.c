/* The streams of rng.h. Each number is a pure function of what it is for, so nothing here holds
 * state, and any part of a stream can be drawn at any time and in any order. */
#include "normlab/rng.h"

#include <math.h>   // sqrt
#include <stdlib.h> // qsort, free

#include "normlab/error.h" // NL_ASSERT, nl_alloc

static const double TWO_32 = 4294967296.0;

uint32_t nl_dropout_threshold(double p) {
    NL_ASSERT(p >= 0 && p < 1);
    return (uint32_t)(p * TWO_32);
}

float nl_dropout_scale(double p) {
    NL_ASSERT(p >= 0 && p < 1);
    return (float)(1 / (1 - p));
}

void nl_init_uniform(float *w, int64_t count, int64_t fan_in, uint32_t seed, uint32_t ordinal,
                     bool is_bias) {
    NL_ASSERT(fan_in > 0 && count >= 0 && count / 4 <= UINT32_MAX);
    const double bound = sqrt((double)fan_in);
    nl_philox words = {{0}};
    for (int64_t i = 0; i < count; i++) {
        if (i % 4 == 0) {
            words = nl_philox4x32((uint32_t)(i / 4), ordinal, is_bias, 0, seed, NL_STREAM_INIT);
        }
        w[i] = (float)((2 * (words.v[i % 4] + 0.5) / TWO_32 - 1) / bound);
    }
}

typedef struct order_entry {
    uint64_t key;
    uint32_t image;
} order_entry;

static int compare_entries(const void *left, const void *right) {
    const order_entry *a = left, *b = right;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return a->image < b->image ? -1 : a->image > b->image;
}

void nl_epoch_order(uint32_t *order, uint32_t n, uint32_t seed, uint32_t epoch, bool shuffle) {
    if (!shuffle) {
        for (uint32_t i = 0; i < n; i++) order[i] = i;
        return;
    }
    order_entry *entries = nl_alloc(n, sizeof *entries, "order of an epoch");
    for (uint32_t i = 0; i < n; i++) {
        const nl_philox words = nl_philox4x32(i, epoch, 0, 0, seed, NL_STREAM_ORDER);
        entries[i].key = (uint64_t)words.v[0] << 32 | words.v[1];
        entries[i].image = i;
    }
    qsort(entries, n, sizeof *entries, compare_entries);
    for (uint32_t i = 0; i < n; i++) order[i] = entries[i].image;
    free(entries);
}

double nl_rotation_degrees(uint32_t seed, uint32_t epoch, uint32_t image, double max_degrees) {
    const nl_philox words = nl_philox4x32(image, epoch, 0, 0, seed, NL_STREAM_ROTATION);
    return max_degrees * (2 * (double)words.v[0] / TWO_32 - 1);
}
