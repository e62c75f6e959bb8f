/* The fixed-point map of rotation.h.
 *
 * Rotating by t about the centre (w/2, h/2) of w x h pixels, the centre of output pixel (x, y) lies
 * at (x + 1/2, y + 1/2) and comes from
 *     sx = w/2 + c (x + 1/2 - w/2) - s (y + 1/2 - h/2)
 *     sy = h/2 + s (x + 1/2 - w/2) + c (y + 1/2 - h/2),    c = cos t, s = sin t;
 * its floor is the nearest source pixel. Gathering what does not depend on x and y gives x0 and y0.
 * Cosine and sine are taken on the host alone, so that a device needs no floating point for this.
 */
#include "normlab/rotation.h"

#include <math.h> // cos, sin, floor

static int32_t fix(double v) {
    return (int32_t)floor(65536 * v + 0.5);
}

nl_rotation nl_rotation_make(double degrees, nl_image_shape shape) {
    const double t = degrees * (3.14159265358979323846 / 180);
    const double c = cos(t), s = sin(t);
    const double w = shape.width, h = shape.height, right = (w - 1) / 2, low = (h - 1) / 2;
    const nl_rotation r = {
        .a = fix(c),
        .b = fix(s),
        .x0 = fix(w / 2 - right * c + low * s),
        .y0 = fix(h / 2 - right * s - low * c),
    };
    return r;
}
