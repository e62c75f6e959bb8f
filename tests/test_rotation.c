/* The fixed-point rotation against Pillow (golden/rotation.txt, made by golden/make_rotation.py),
 * and gathering a batch through it. */
#include <criterion/criterion.h>
#include <inttypes.h> // SCNx64
#include <stdio.h>    // FILE
#include <string.h>   // memcmp

#include "normlab/ops.h" // nl_gather_f32
#include "normlab/rotation.h"

static const nl_image_shape mnist = {1, 28, 28}, shapes[] = {{1, 28, 28}, {1, 8, 8},  {1, 20, 32},
                                                             {3, 32, 32}, {2, 9, 64}, {4, 64, 8}};

enum {
    SHAPES = sizeof shapes / sizeof *shapes,
    MOST = NL_MAX_CHANNELS * NL_MAX_SIDE * NL_MAX_SIDE
};

/* One channel. */
static void draw(uint8_t *image, nl_image_shape s, int k) {
    for (int y = 0; y < s.height; y++)
        for (int x = 0; x < s.width; x++)
            *image++ = (uint8_t)(1 + (31 * x + 17 * y + 101 * k + 7 * x * y) % 255);
}

static void rotate(uint8_t *out, const uint8_t *in, nl_image_shape s, double degrees) {
    const nl_rotation r = nl_rotation_make(degrees, s);
    for (int p = 0; p < nl_image_pixels(s); p++) {
        const int source = nl_rotation_source(r, p % s.width, p / s.width, s.height, s.width);
        out[p] = source < 0 ? 0 : in[source];
    }
}

static uint64_t fnv1a(const uint8_t *bytes, size_t size) {
    uint64_t value = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++) value = (value ^ bytes[i]) * 0x100000001b3u;
    return value;
}

Test(rotation, zero_degrees_is_the_identity) {
    for (int i = 0; i < SHAPES; i++) {
        const nl_image_shape s = shapes[i];
        const nl_rotation r = nl_rotation_make(0, s);
        for (int p = 0; p < nl_image_pixels(s); p++)
            cr_assert(nl_rotation_source(r, p % s.width, p / s.width, s.height, s.width) == p,
                      "%d x %d, pixel %d", s.height, s.width, p);
    }
}

/* The lines of one size. */
static void check_golden(nl_image_shape s, int want_lines) {
    FILE *file = fopen(NL_SOURCE_DIR "/tests/golden/rotation.txt", "r");
    cr_assert(file);
    double degrees;
    int width, height, k, lines = 0;
    uint64_t want;
    while (fscanf(file, "%d %d %lf %d %" SCNx64, &width, &height, &degrees, &k, &want) == 5) {
        if (width != s.width || height != s.height) continue;
        uint8_t image[MOST], rotated[MOST];
        draw(image, s, k);
        rotate(rotated, image, s, degrees);
        cr_expect(fnv1a(rotated, (size_t)nl_image_pixels(s)) == want,
                  "%d x %d, %g degrees, image %d", width, height, degrees, k);
        lines++;
    }
    fclose(file);
    cr_assert(lines == want_lines, "%d x %d: %d lines", s.width, s.height, lines);
}

Test(rotation, equals_pillow_to_the_pixel) {
    check_golden(mnist, 66);
    check_golden((nl_image_shape){1, 8, 8}, 66);
    check_golden((nl_image_shape){1, 20, 32}, 66);
    check_golden((nl_image_shape){1, 33, 5}, 66);
}

Test(rotation, a_quarter_turn_moves_each_pixel_to_its_place) {
    static const int sides[] = {28, 8, 33};
    for (int i = 0; i < 3; i++) {
        const int side = sides[i];
        const nl_image_shape s = {1, side, side};
        uint8_t image[MOST], rotated[MOST];
        draw(image, s, 0);
        rotate(rotated, image, s, 90); /* counter-clockwise: the right edge becomes the top one */
        for (int y = 0; y < side; y++)
            for (int x = 0; x < side; x++)
                cr_assert(rotated[y * side + x] == image[x * side + side - 1 - y]);
    }
}

/* ---- gathering ---- */

enum { IMAGES = 3, SLOTS = 4 };

static const double degrees_of[IMAGES] = {0, -6.5, 40};
static const uint32_t order[SLOTS] = {2, 0, 1, 2};

/* A table of another scale for each channel. */
static nl_pixel_table make_table(void) {
    nl_picture picture = {0};
    nl_pixel_table table;
    for (int c = 0; c < NL_MAX_CHANNELS; c++) {
        picture.mean.of[c] = 0.1307 + 0.2 * c;
        picture.std.of[c] = 0.3081 + 0.1 * c;
    }
    nl_pixel_table_make(&table, &picture);
    return table;
}

static void check_gather(nl_image_shape s, bool turned) {
    const int pixels = nl_image_pixels(s), size = nl_image_bytes(s);
    static uint8_t images[IMAGES * MOST], want[MOST];
    static float x32[SLOTS * MOST];
    static double x64[SLOTS * MOST];
    const nl_pixel_table table = make_table();
    nl_rotation rotations[IMAGES];
    for (int k = 0; k < IMAGES; k++) {
        for (int c = 0; c < s.channels; c++) draw(images + k * size + c * pixels, s, k + 10 * c);
        rotations[k] = nl_rotation_make(degrees_of[k], s);
    }
    nl_gather_f32(x32, images, s, order, turned ? rotations : NULL, &table, SLOTS);
    nl_gather_f64(x64, images, s, order, turned ? rotations : NULL, &table, SLOTS);
    for (int slot = 0; slot < SLOTS; slot++)
        for (int c = 0; c < s.channels; c++) {
            const int image = (int)order[slot], at = slot * size + c * pixels;
            rotate(want, images + image * size + c * pixels, s, turned ? degrees_of[image] : 0);
            for (int p = 0; p < pixels; p++) {
                const float value = table.of[c][want[p]];
                cr_assert(x32[at + p] == value && x64[at + p] == (double)value,
                          "%d x %d, slot %d channel %d pixel %d", s.height, s.width, slot, c, p);
            }
        }
}

Test(rotation, gather_takes_images_by_order_and_angles_by_image) {
    for (int i = 0; i < SHAPES; i++) {
        check_gather(shapes[i], false);
        check_gather(shapes[i], true);
    }
}

Test(rotation, pixel_table_is_rounded_once_from_double) {
    nl_picture picture = {.mean = {.of = {0.1307, 0, 0.5, 0.25}}, .std = {.of = {0.3081, 1, 2, 4}}};
    nl_pixel_table table;
    nl_pixel_table_make(&table, &picture);
    cr_assert(table.of[0][0] == (float)(-0.1307 / 0.3081));
    cr_assert(table.of[0][255] == (float)((1 - 0.1307) / 0.3081));
    cr_assert(table.of[0][128] == (float)((128 / 255.0 - 0.1307) / 0.3081));
    cr_assert(table.of[1][51] == 0.2f);
    cr_assert(table.of[2][255] == 0.25f && table.of[3][0] == -0.0625f);
}
