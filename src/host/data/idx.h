/* One IDX file: a big-endian header (magic number, then one 32-bit size per dimension), then bytes.
 */
#pragma once

#include <stdint.h> // uint8_t, uint32_t

#include "normlab/error.h"   // nl_error
#include "normlab/picture.h" // nl_image_shape

/* More than ten times the largest known set. */
enum { NL_MAX_IMAGES = 1000000 };

/* Reads `path`, or `path`.gz where the former does not exist: images of this shape - (n, h, w), or
 * (n, c, h, w) - or labels (NULL). The caller frees *bytes (without the header). Errors: NL_EDATA
 * naming the file really read. */
int nl_idx_read(uint8_t **bytes, uint32_t *count, char sha256[65], const char *path,
                const nl_image_shape *images, nl_error *err);
