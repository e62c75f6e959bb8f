/* The fixed-point map of rotation.h.
 *
 * Rotating by t about the centre (14, 14) of the 28 x 28 square, the centre of output pixel (x, y)
 * lies at (x + 1/2, y + 1/2) and comes from
 *     sx = 14 + c (x + 1/2 - 14) - s (y + 1/2 - 14)
 *     sy = 14 + s (x + 1/2 - 14) + c (y + 1/2 - 14),    c = cos t, s = sin t;
 * its floor is the nearest source pixel. Gathering what does not depend on x and y gives x0 and y0.
 * Cosine and sine are taken on the host alone, so that a device needs no floating point for this.
 */
#include "normlab/rotation.h"

#include <math.h> // cos, sin, floor

static int32_t fix(double v) {
    return (int32_t)floor(65536 * v + 0.5);
}

nl_rotation nl_rotation_make(double degrees) {
    const double t = degrees * (3.14159265358979323846 / 180);
    const double c = cos(t), s = sin(t);
    const nl_rotation r = {
        .a = fix(c),
        .b = fix(s),
        .x0 = fix(14 - 13.5 * c + 13.5 * s),
        .y0 = fix(14 - 13.5 * s - 13.5 * c),
    };
    return r;
}
