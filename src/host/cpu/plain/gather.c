/* Making a batch: bytes to reals through the pixel table, rotated on the way.
 *
 * The rotation is a choice of source pixels in integers (rotation.h); what falls outside is the
 * pixel 0, not the number 0. */
#include "real.h"

void OP(gather)(real *x, const uint8_t *images, const uint32_t *order, const nl_rotation *rotations,
                const float table[256], int n) {
    for (int i = 0; i < n; i++) {
        const uint8_t *image = images + (int64_t)order[i] * NL_PIXELS;
        real *out = x + (int64_t)i * NL_PIXELS;
        if (!rotations) {
            for (int p = 0; p < NL_PIXELS; p++) out[p] = (real)table[image[p]];
            continue;
        }
        const nl_rotation r = rotations[order[i]];
        for (int p = 0; p < NL_PIXELS; p++) {
            const int source = nl_rotation_source(r, p % NL_SIDE, p / NL_SIDE);
            out[p] = (real)table[source < 0 ? 0 : image[source]];
        }
    }
}
