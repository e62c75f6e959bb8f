/* The fixed-point rotation against Pillow (golden/rotation.txt, made by golden/make_rotation.py),
 * and gathering a batch through it. */
#include <criterion/criterion.h>
#include <inttypes.h> // SCNx64
#include <stdio.h>    // FILE
#include <string.h>   // memcmp

#include "normlab/dataset.h" // nl_pixel_table
#include "normlab/ops.h"     // nl_gather_f32
#include "normlab/rotation.h"

static void draw(uint8_t image[NL_PIXELS], int k) {
    for (int y = 0; y < NL_SIDE; y++) {
        for (int x = 0; x < NL_SIDE; x++) {
            image[y * NL_SIDE + x] = (uint8_t)(1 + (31 * x + 17 * y + 101 * k + 7 * x * y) % 255);
        }
    }
}

static void rotate(uint8_t out[NL_PIXELS], const uint8_t in[NL_PIXELS], double degrees) {
    const nl_rotation r = nl_rotation_make(degrees);
    for (int p = 0; p < NL_PIXELS; p++) {
        const int source = nl_rotation_source(r, p % NL_SIDE, p / NL_SIDE);
        out[p] = source < 0 ? 0 : in[source];
    }
}

static uint64_t fnv1a(const uint8_t *bytes, size_t size) {
    uint64_t value = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++) value = (value ^ bytes[i]) * 0x100000001b3u;
    return value;
}

Test(rotation, zero_degrees_is_the_identity) {
    const nl_rotation r = nl_rotation_make(0);
    for (int p = 0; p < NL_PIXELS; p++) {
        cr_assert(nl_rotation_source(r, p % NL_SIDE, p / NL_SIDE) == p, "pixel %d", p);
    }
}

Test(rotation, equals_pillow_to_the_pixel) {
    FILE *file = fopen(NL_SOURCE_DIR "/tests/golden/rotation.txt", "r");
    cr_assert(file);
    double degrees;
    int k, lines = 0;
    uint64_t want;
    while (fscanf(file, "%lf %d %" SCNx64, &degrees, &k, &want) == 3) {
        uint8_t image[NL_PIXELS], rotated[NL_PIXELS];
        draw(image, k);
        rotate(rotated, image, degrees);
        cr_expect(fnv1a(rotated, NL_PIXELS) == want, "%g degrees, image %d", degrees, k);
        lines++;
    }
    fclose(file);
    cr_assert(lines == 66, "%d lines", lines);
}

Test(rotation, a_quarter_turn_moves_each_pixel_to_its_place) {
    uint8_t image[NL_PIXELS], rotated[NL_PIXELS];
    draw(image, 0);
    rotate(rotated, image, 90); /* counter-clockwise: the right edge becomes the top one */
    for (int y = 0; y < NL_SIDE; y++) {
        for (int x = 0; x < NL_SIDE; x++) {
            cr_assert(rotated[y * NL_SIDE + x] == image[x * NL_SIDE + NL_SIDE - 1 - y]);
        }
    }
}

Test(rotation, gather_takes_images_by_order_and_angles_by_image) {
    enum { IMAGES = 3, SLOTS = 4 };
    uint8_t images[IMAGES][NL_PIXELS], want[NL_PIXELS];
    const double degrees[IMAGES] = {0, -6.5, 40};
    nl_rotation rotations[IMAGES];
    for (int k = 0; k < IMAGES; k++) {
        draw(images[k], k);
        rotations[k] = nl_rotation_make(degrees[k]);
    }
    const uint32_t order[SLOTS] = {2, 0, 1, 2};
    float table[256], x32[SLOTS * NL_PIXELS];
    double x64[SLOTS * NL_PIXELS];
    nl_pixel_table(table, 0.1307, 0.3081);
    for (int turned = 0; turned < 2; turned++) {
        const nl_rotation *angles = turned ? rotations : NULL;
        nl_gather_f32(x32, images[0], order, angles, table, SLOTS);
        nl_gather_f64(x64, images[0], order, angles, table, SLOTS);
        for (int slot = 0; slot < SLOTS; slot++) {
            rotate(want, images[order[slot]], turned ? degrees[order[slot]] : 0);
            for (int p = 0; p < NL_PIXELS; p++) {
                cr_assert(x32[slot * NL_PIXELS + p] == table[want[p]], "slot %d pixel %d", slot, p);
                cr_assert(x64[slot * NL_PIXELS + p] == (double)table[want[p]]);
            }
        }
    }
}

Test(rotation, pixel_table_is_rounded_once_from_double) {
    float table[256];
    nl_pixel_table(table, 0.1307, 0.3081);
    cr_assert(table[0] == (float)(-0.1307 / 0.3081));
    cr_assert(table[255] == (float)((1 - 0.1307) / 0.3081));
    cr_assert(table[128] == (float)((128 / 255.0 - 0.1307) / 0.3081));
    nl_pixel_table(table, 0, 1);
    cr_assert(table[51] == 0.2f);
}
