/* Dropout: the mask is the generator's, by image number; 0 is the identity; NaN passes where kept.
 */
#include <math.h> // NAN

#include "normlab/ops.h"
#include "normlab/rng.h"
#include "support/compare.h"
#include "support/random.h"

static nl_dropout_spec spec(double p, const uint32_t *images, int n, int64_t count) {
    return (nl_dropout_spec){
        .p = p, .seed = 11, .epoch = 3, .layer = 2, .images = images, .n = n, .count = count};
}

Test(dropout, mask_is_the_generators) {
    const uint32_t images[] = {59999, 7, 0};
    for (int64_t count = 1; count <= 37; count++) {
        double *x = random_f64(3 * count, 1, 0, 1), *y = guarded_f64(3 * count);
        double *want = guarded_f64(3 * count);
        for (int64_t i = 0; i < 3 * count; i++) {
            const uint32_t element = (uint32_t)(i % count);
            const nl_philox words =
                nl_philox4x32(element / 4, 2, images[i / count], 3, 11, NL_STREAM_DROPOUT);
            want[i] = words.v[element % 4] >= 0x40000000u ? x[i] / 0.75 : 0; /* p = 1/4 */
        }
        nl_dropout_f64(y, x, spec(0.25, images, 3, count));
        CHECK_CLOSE(y, want, 3 * count, 0, 1e-15);
        float *x32 = to_f32(x, 3 * count);
        nl_dropout_f32(x32, x32, spec(0.25, images, 3, count)); /* in place */
        CHECK_CLOSE(x32, want, 3 * count, 0, 1.2e-7);
        double *all[] = {x, y, want};
        for (int i = 0; i < 3; i++) guarded_free(all[i]);
        guarded_free(x32);
    }
}

Test(dropout, zero_is_the_identity) {
    const uint32_t images[] = {5};
    double *x = random_f64(1000, 1, 0, 1), *y = guarded_f64(1000);
    nl_dropout_f64(y, x, spec(0, images, 1, 1000));
    CHECK_EQUAL(y, x, 1000);
    guarded_free(x);
    guarded_free(y);
}

Test(dropout, keeps_the_expected_share_and_the_mean) {
    enum { COUNT = 100000 };
    const uint32_t images[] = {5};
    double *x = random_f64(COUNT, 1, 1, 0), *y = guarded_f64(COUNT);
    nl_dropout_f64(y, x, spec(0.05, images, 1, COUNT));
    double sum = 0;
    int kept = 0;
    for (int i = 0; i < COUNT; i++) sum += y[i], kept += y[i] != 0;
    /* standard deviation of the share: sqrt(0.05 * 0.95 / COUNT) = 0.0007 */
    cr_assert(fabs((double)kept / COUNT - 0.95) <= 0.003);
    cr_assert(fabs(sum / COUNT - 1) <= 0.003);
    guarded_free(x);
    guarded_free(y);
}

Test(dropout, slot_in_the_batch_does_not_matter_but_image_epoch_layer_and_seed_do) {
    const uint32_t images[] = {4, 9}, swapped[] = {9, 4};
    double *x = random_f64(200, 1, 1, 0), *a = guarded_f64(200), *b = guarded_f64(200);
    nl_dropout_f64(a, x, spec(0.5, images, 2, 100));
    nl_dropout_f64(b, x, spec(0.5, swapped, 2, 100));
    CHECK_EQUAL(a, b + 100, 100);
    CHECK_EQUAL(a + 100, b, 100);
    cr_assert(memcmp(a, a + 100, 100 * sizeof *a) != 0);
    for (int change = 0; change < 3; change++) {
        nl_dropout_spec other = spec(0.5, images, 2, 100);
        *(uint32_t *[]){&other.seed, &other.epoch, &other.layer}[change] += 1;
        nl_dropout_f64(b, x, other);
        cr_assert(memcmp(a, b, 200 * sizeof *a) != 0, "change %d", change);
    }
    double *all[] = {x, a, b};
    for (int i = 0; i < 3; i++) guarded_free(all[i]);
}

Test(dropout, nan_passes_where_kept_and_nowhere_else) {
    const uint32_t images[] = {4};
    double *x = random_f64(64, 1, 1, 0), *kept = guarded_f64(64), *y = guarded_f64(64);
    nl_dropout_f64(kept, x, spec(0.5, images, 1, 64));
    for (int i = 0; i < 64; i++) x[i] = NAN;
    nl_dropout_f64(y, x, spec(0.5, images, 1, 64));
    for (int i = 0; i < 64; i++) cr_assert_eq(isnan(y[i]) != 0, kept[i] != 0);
    double *all[] = {x, kept, y};
    for (int i = 0; i < 3; i++) guarded_free(all[i]);
}
