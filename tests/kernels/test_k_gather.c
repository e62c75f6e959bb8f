/* Making a batch on the device, against the plain gather: bit for bit. */
#include <math.h>   // isnan
#include <stdio.h>  // snprintf
#include <stdlib.h> // malloc

#include "normlab/ops.h"     // nl_gather_f32
#include "support/compare.h" // cr_assert
#include "support/random.h"  // random_fill
#include "support_device.h"

enum { COUNT = 40, MOST = 33, BYTES = NL_MAX_CHANNELS * NL_MAX_SIDE * NL_MAX_SIDE };

typedef struct set {
    nl_image_shape shape;
    uint8_t images[COUNT * BYTES], labels[COUNT];
    uint32_t order[COUNT];
    nl_rotation rotations[COUNT];
    nl_pixel_table table;
} set;

static set *make(nl_image_shape shape) {
    set *d = malloc(sizeof *d);
    const int size = nl_image_bytes(shape);
    static double noise[BYTES];
    d->shape = shape;
    for (int i = 0; i < COUNT; i++) {
        random_fill(noise, size, (uint64_t)i, 128, 70);
        for (int p = 0; p < size; p++) d->images[i * size + p] = (uint8_t)noise[p];
        d->labels[i] = (uint8_t)(i % 10);
        d->order[i] = (uint32_t)(i * 17 % COUNT);
        d->rotations[i] = nl_rotation_make(i * 9.7 - 180, shape);
    }
    for (int c = 0; c < NL_MAX_CHANNELS; c++)
        for (int i = 0; i < 256; i++) d->table.of[c][i] = (float)(i + 300 * c) / 255 - 0.1F;
    return d;
}

/* Step `step` of batches of `batch`, n images in it. */
static void check(const set *d, int n, int batch, uint32_t step, bool ordered, bool rotated,
                  int shift) {
    const int size = nl_image_bytes(d->shape);
    char name[128];
    snprintf(name, sizeof name, "%d x %d x %d: %d of %d step %u order %d rotation %d shift %d",
             d->shape.channels, d->shape.height, d->shape.width, n, batch, step, ordered, rotated,
             shift);
    covered("gather", name);
    float *want = guarded_f32(n * size), *got = guarded_f32(n * size);
    uint32_t slots[MOST], places[MOST];
    uint8_t picked[MOST];
    for (int i = 0; i < n; i++) {
        const uint32_t place = step * (uint32_t)batch + (uint32_t)i;
        places[i] = ordered ? d->order[place] : place;
    }
    nl_gather_f32(want, d->images, d->shape, places, rotated ? d->rotations : NULL, &d->table, n);
    for (unsigned s = 0; s < schedules(); s++) {
        schedule(s);
        const nl_k_state state = {.step = step};
        float *x = device_copy(NULL, n * size, sizeof *x, shift);
        uint32_t *at = device_copy(NULL, n, sizeof *at, 0);
        uint8_t *labels = device_copy(NULL, n, 1, 0);
        void *in[] = {device_copy(d->images, COUNT, (size_t)size, 0),
                      device_copy(d->labels, COUNT, 1, 0),
                      ordered ? device_copy(d->order, COUNT, sizeof *d->order, 0) : NULL,
                      rotated ? device_copy(d->rotations, COUNT, sizeof *d->rotations, 0) : NULL,
                      device_copy(&d->table, 1, sizeof d->table, 0),
                      device_copy(&state, 1, sizeof state, 0)};
        const nl_k_input k = {.x = x,
                              .slots = at,
                              .picked = labels,
                              .images = in[0],
                              .labels = in[1],
                              .shape = d->shape,
                              .order = in[2],
                              .rotations = in[3],
                              .table = in[4],
                              .state = in[5],
                              .n = n,
                              .batch = batch};
        cr_assert(nl_k_gather(&k, NULL) == 0);
        same_bits(got, x, n * size, sizeof *x, s, name);
        same_bits(slots, at, n, sizeof *at, s, name);
        same_bits(picked, labels, n, 1, s, name);
        for (size_t i = 0; i < sizeof in / sizeof *in; i++) device_free(in[i]);
        device_free(x), device_free(at), device_free(labels);
    }
    for (int i = 0; i < n * size; i++) cr_assert(got[i] == want[i], "%s: element %d", name, i);
    for (int i = 0; i < n; i++) {
        cr_assert(slots[i] == places[i], "%s: slot %d", name, i);
        cr_assert(picked[i] == d->labels[places[i]], "%s: label %d", name, i);
    }
    guarded_free(want);
    guarded_free(got);
}

Test(k_gather, equals_the_plain_gather) {
    set *d = make((nl_image_shape){1, 28, 28});
    check(d, 1, 1, 0, true, true, 0);
    check(d, 1, 1, COUNT - 1, true, true, 0);
    check(d, 16, 16, 1, true, true, 0);
    check(d, 7, 11, 3, true, true, 0);
    check(d, 33, 33, 0, false, true, 1);
    check(d, 8, 16, 2, false, false, 0);
    check(d, 16, 16, 0, true, false, 1);
    free(d);
}

/* Squares and not, whole and no multiples of 4, one pixel, and more than a block has threads. */
Test(k_gather, equals_the_plain_gather_in_every_shape) {
    static const nl_image_shape shapes[] = {{3, 32, 32}, {1, 8, 8},  {1, 20, 32}, {2, 9, 11},
                                            {3, 7, 7},   {4, 8, 64}, {1, 1, 1},   {4, 64, 64},
                                            {1, 28, 29}, {2, 28, 28}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        set *d = make(shapes[i]);
        check(d, 5, 7, 1, true, true, 0);
        check(d, 3, 3, 2, true, false, 0);
        check(d, 2, 2, 0, false, true, 1);
        free(d);
    }
}
