/* Making a batch: bytes to reals through the table of each channel, rotated on the way.
 *
 * The rotation is a choice of source pixels in integers (rotation.h), the same in every channel;
 * what falls outside is the pixel 0, not the number 0. */
#include "real.h"

static void rotate(real *out, const uint8_t *bytes, const float table[256], nl_image_shape s,
                   nl_rotation r) {
    for (int y = 0; y < s.height; y++)
        for (int x = 0; x < s.width; x++) {
            const int source = nl_rotation_source(r, x, y, s.height, s.width);
            *out++ = (real)table[source < 0 ? 0 : bytes[source]];
        }
}

void OP(gather)(real *x, const uint8_t *images, nl_image_shape s, const uint32_t *order,
                const nl_rotation *rotations, const nl_pixel_table *table, int n) {
    const int pixels = nl_image_pixels(s);
    for (int i = 0; i < n; i++) {
        for (int c = 0; c < s.channels; c++) {
            const uint8_t *bytes = images + ((int64_t)order[i] * s.channels + c) * pixels;
            real *out = x + ((int64_t)i * s.channels + c) * pixels;
            if (rotations)
                rotate(out, bytes, table->of[c], s, rotations[order[i]]);
            else
                for (int p = 0; p < pixels; p++) out[p] = (real)table->of[c][bytes[p]];
        }
    }
}
