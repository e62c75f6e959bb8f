/* Which random number is drawn where: the layout of key and counter.
 *
 * The key is (seed, stream); which seed a stream of a run has says nl_config_seed. The counter says
 * what the number is for, never where it happens to lie: not the slot in a batch, not a tensor's place
 * in a table, not the thread. So CPU and GPU, one thread or many, one run or a resumed one see the
 * same batches, angles and masks, bit for bit.
 *
 *   stream       c0            c1         c2               c3       word used
 *   INIT         element / 4   ordinal    0 weight 1 bias  0        element % 4
 *   ORDER        image         epoch      0                0        v[0], v[1]: a 64-bit sort key
 *   ROTATION     image         epoch      0                0        v[0]
 *   DROPOUT      element / 4   layer      image            epoch    element % 4
 *
 * ordinal: of the convolution, from 1. layer: of the dropout, from 1, in network order. image: its
 * number in the data set. element: c * H * W + y * W + x within the one image (or, for INIT, the
 * row-major index within the one tensor).
 */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint32_t

#include "normlab/philox.h" // nl_philox4x32, NL_HD

#ifdef __cplusplus
extern "C" {
#endif

enum nl_stream {
    NL_STREAM_INIT = 1,
    NL_STREAM_ORDER = 2,
    NL_STREAM_ROTATION = 3,
    NL_STREAM_DROPOUT = 4
};

/* The four words of dropout elements 4 * quad .. 4 * quad + 3 of one image in one dropout layer. */
NL_HD static inline nl_philox nl_dropout_words(uint32_t seed, uint32_t epoch, uint32_t image,
                                               uint32_t layer, uint32_t quad) {
    return nl_philox4x32(quad, layer, image, epoch, seed, NL_STREAM_DROPOUT);
}

/* An element is kept where its word is >= this; kept values are multiplied by nl_dropout_scale. */
uint32_t nl_dropout_threshold(double p); /* (uint32)(p * 2^32), p in [0, 1) */
float nl_dropout_scale(double p);        /* 1 / (1 - p), computed in double, rounded once */

/* Fills w with uniform numbers in +-1/sqrt(fan_in): (2 (r + 0.5) / 2^32 - 1) / sqrt(fan_in) in
 * double, rounded once. */
void nl_init_uniform(float *w, int64_t count, int64_t fan_in, uint32_t seed, uint32_t ordinal,
                     bool is_bias);

/* order[i]: the image at place i of this epoch. Images sorted by their 64-bit draw, ties by number;
 * without shuffle the file's order. */
void nl_epoch_order(uint32_t *order /* (n) */, uint32_t n, uint32_t seed, uint32_t epoch,
                    bool shuffle);

/* The rotation's angle in degrees of one image in one epoch: max_degrees (2 r / 2^32 - 1). */
double nl_rotation_degrees(uint32_t seed, uint32_t epoch, uint32_t image, double max_degrees);

#ifdef __cplusplus
}
#endif
