/* Rotation of an image of bytes about its centre, nearest neighbour, 0 outside, in 16.16
 * fixed point: no floating point on the device, equal to Pillow's nearest rotation to the pixel.
 */
#pragma once

#include <stdint.h> // int32_t

#include "normlab/philox.h"  // NL_HD
#include "normlab/picture.h" // nl_image_shape

#ifdef __cplusplus
extern "C" {
#endif

/* out[y][x] = in[(y0 + b x + a y) >> 16][(x0 + a x - b y) >> 16] */
typedef struct nl_rotation {
    int32_t a, b, x0, y0;
} nl_rotation;

/* For 0 degrees the result is exactly the identity. */
nl_rotation nl_rotation_make(double degrees, nl_image_shape shape);

/* The index of the source pixel of (x, y) in a channel, or -1 outside. */
NL_HD static inline int nl_rotation_source(nl_rotation r, int x, int y, int height, int width) {
    const int sx = (r.x0 + r.a * x - r.b * y) >> 16;
    const int sy = (r.y0 + r.b * x + r.a * y) >> 16;
    const int inside = sx >= 0 && sx < width && sy >= 0 && sy < height;
    return inside ? sy * width + sx : -1;
}

#ifdef __cplusplus
}
#endif
