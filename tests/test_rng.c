/* The generator against its published vectors, and each stream against what rng.h promises. */
#include <criterion/criterion.h>
#include <math.h>   // sqrt, fabs
#include <stdlib.h> // free
#include <string.h> // memcmp

#include "normlab/error.h" // nl_alloc
#include "normlab/rng.h"

/* ---- Philox --------------------------------------------------------------------------------- */

Test(rng, philox_gives_the_published_vectors) {
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint32_t *c = cases[i].counter, *k = cases[i].key;
        const nl_philox got = nl_philox4x32(c[0], c[1], c[2], c[3], k[0], k[1]);
        cr_assert(memcmp(got.v, cases[i].want, sizeof got.v) == 0, "vector %zu", i);
    }
}

/* ---- initial weights ------------------------------------------------------------------------ */

Test(rng, init_is_uniform_within_its_bound) {
    enum { N = 40000 };
    float *w = nl_alloc(N, sizeof *w, "test");
    nl_init_uniform(w, N, 25, 1, 1, false);
    double sum = 0, squares = 0, least = 1, most = -1;
    for (int i = 0; i < N; i++) {
        sum += w[i];
        squares += (double)w[i] * w[i];
        least = fmin(least, w[i]);
        most = fmax(most, w[i]);
    }
    const double bound = 0.2; /* 1 / sqrt(25) */
    cr_assert(least >= -bound && most <= (double)(float)bound);
    cr_assert(least < -0.999 * bound && most > 0.999 * bound, "%g to %g", least, most);
    /* Four standard errors: of a mean bound / sqrt(3 N), of a mean square about bound^2 * 0.3 /
     * sqrt(N). */
    cr_assert(fabs(sum / N) < 4 * bound / sqrt(3.0 * N));
    cr_assert(fabs(squares / N - bound * bound / 3) < 4 * 0.3 * bound * bound / sqrt(N));
    free(w);
}

Test(rng, init_draws_by_element_not_by_length) {
    float longer[23], shorter[7];
    nl_init_uniform(longer, 23, 9, 5, 3, true);
    nl_init_uniform(shorter, 7, 9, 5, 3, true);
    cr_assert(memcmp(longer, shorter, sizeof shorter) == 0);
    for (uint32_t i = 0; i < 23; i++) { /* the layout, word by word */
        const uint32_t word = nl_philox4x32(i / 4, 3, 1, 0, 5, NL_STREAM_INIT).v[i % 4];
        cr_assert(longer[i] == (float)((2 * (word + 0.5) / 4294967296.0 - 1) / 3), "element %u", i);
    }
}

Test(rng, init_differs_by_seed_ordinal_and_role) {
    float base[8], other[4][8];
    nl_init_uniform(base, 8, 9, 1, 1, false);
    nl_init_uniform(other[0], 8, 9, 2, 1, false);
    nl_init_uniform(other[1], 8, 9, 1, 2, false);
    nl_init_uniform(other[2], 8, 9, 1, 1, true);
    nl_init_uniform(other[3], 8, 16, 1, 1, false);
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < 8; i++) cr_assert(base[i] != other[k][i], "set %d, element %d", k, i);
    }
}

/* ---- order ---------------------------------------------------------------------------------- */

static uint32_t *order_of(uint32_t n, uint32_t seed, uint32_t epoch, bool shuffle) {
    uint32_t *order = nl_alloc(n, sizeof *order, "test");
    nl_epoch_order(order, n, seed, epoch, shuffle);
    return order;
}

/* Places that hold the same image in both. */
static uint32_t count_equal(const uint32_t *a, const uint32_t *b, uint32_t n) {
    uint32_t equal = 0;
    for (uint32_t i = 0; i < n; i++) equal += a[i] == b[i];
    return equal;
}

/* So many images that some share the first word of their draw: the second decides between them. */
Test(rng, order_is_a_permutation_sorted_by_draw) {
    enum { N = 300000 };
    uint32_t *order = order_of(N, 7, 2, true);
    uint8_t *seen = nl_alloc(N, 1, "test");
    uint64_t before = 0;
    int ties = 0;
    for (uint32_t i = 0; i < N; i++) {
        cr_assert(order[i] < N && !seen[order[i]], "place %u", i);
        seen[order[i]] = 1;
        const nl_philox words = nl_philox4x32(order[i], 2, 0, 0, 7, NL_STREAM_ORDER);
        const uint64_t key = (uint64_t)words.v[0] << 32 | words.v[1];
        cr_assert(key >= before, "place %u", i);
        ties += key >> 32 == before >> 32;
        before = key;
    }
    cr_assert(ties > 3, "%d", ties);
    free(order), free(seen);
}

Test(rng, order_differs_between_epochs_and_seeds) {
    enum { N = 5000 };
    uint32_t *base = order_of(N, 1, 0, true), *again = order_of(N, 1, 0, true);
    uint32_t *epoch = order_of(N, 1, 1, true), *seed = order_of(N, 2, 0, true);
    cr_assert(count_equal(base, again, N) == N);
    cr_assert(count_equal(base, epoch, N) < 20); /* two random permutations share about one place */
    cr_assert(count_equal(base, seed, N) < 20);
    free(base), free(again), free(epoch), free(seed);
}

Test(rng, order_without_shuffle_is_the_file_order) {
    uint32_t *order = order_of(1000, 1, 3, false);
    for (uint32_t i = 0; i < 1000; i++) cr_assert(order[i] == i);
    free(order);
}

/* ---- rotation ------------------------------------------------------------------------------- */

Test(rng, angles_fill_their_range) {
    double least = 1000, most = -1000, sum = 0;
    for (uint32_t image = 0; image < 20000; image++) {
        const double t = nl_rotation_degrees(3, 1, image, 7);
        least = fmin(least, t);
        most = fmax(most, t);
        sum += t;
    }
    cr_assert(least >= -7 && least < -6.99 && most < 7 && most > 6.99, "%g to %g", least, most);
    cr_assert(fabs(sum / 20000) < 4 * 7 / sqrt(3 * 20000.0));
    cr_assert(nl_rotation_degrees(3, 1, 5, 0) == 0);
    cr_assert(nl_rotation_degrees(3, 1, 5, 7) != nl_rotation_degrees(3, 2, 5, 7));
    cr_assert(nl_rotation_degrees(3, 1, 5, 7) != nl_rotation_degrees(4, 1, 5, 7));
    const uint32_t word = nl_philox4x32(5, 1, 0, 0, 3, NL_STREAM_ROTATION).v[0];
    cr_assert(nl_rotation_degrees(3, 1, 5, 7) == 7 * (2 * (double)word / 4294967296.0 - 1));
}

/* ---- dropout -------------------------------------------------------------------------------- */

Test(rng, dropout_threshold_and_scale) {
    cr_assert(nl_dropout_threshold(0) == 0); /* every word is kept */
    cr_assert(nl_dropout_threshold(0.5) == 0x80000000u);
    cr_assert(nl_dropout_threshold(0.05) == 214748364u); /* 214748364.8 cut off */
    cr_assert(nl_dropout_scale(0) == 1.0f && nl_dropout_scale(0.5) == 2.0f);
    for (double p = 0.05; p < 1; p += 0.05) {
        cr_assert(nl_dropout_scale(p) == (float)(1 / (1 - p)), "rounded once at %g", p);
    }
}

Test(rng, dropout_keeps_the_right_share) {
    const uint32_t threshold = nl_dropout_threshold(0.05);
    uint32_t kept = 0, total = 0;
    for (uint32_t image = 0; image < 100; image++) {
        for (uint32_t quad = 0; quad < 784; quad++) {
            const nl_philox words = nl_dropout_words(1, 0, image, 1, quad);
            for (int i = 0; i < 4; i++, total++) kept += words.v[i] >= threshold;
        }
    }
    const double error = sqrt(0.05 * 0.95 / total);
    cr_assert(fabs((double)kept / total - 0.95) < 4 * error, "%u of %u kept", kept, total);
}

Test(rng, dropout_words_depend_on_each_coordinate) {
    const nl_philox base = nl_dropout_words(1, 2, 3, 4, 5);
    const nl_philox others[5] = {
        nl_dropout_words(2, 2, 3, 4, 5), nl_dropout_words(1, 3, 3, 4, 5),
        nl_dropout_words(1, 2, 4, 4, 5), nl_dropout_words(1, 2, 3, 5, 5),
        nl_dropout_words(1, 2, 3, 4, 6),
    };
    for (int k = 0; k < 5; k++) cr_assert(memcmp(&base, &others[k], sizeof base) != 0, "%d", k);
    const nl_philox layout = nl_philox4x32(5, 4, 3, 2, 1, NL_STREAM_DROPOUT);
    cr_assert(memcmp(&base, &layout, sizeof base) == 0);
}
