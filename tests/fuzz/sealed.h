/* safetensors files that are sealed anew, so that an input whose bytes were changed comes past the
 * hash to what reads the tensors and the other entries.
 */
#pragma once

#include <stddef.h> // size_t
#include <stdint.h> // uint8_t

/* Writes the input as a file of that name, its sha256, where it has one in the place and of the
 * length that normlab gives it, made right. Returns the path. */
const char *fuzz_sealed_file(const char *name, const uint8_t *data, size_t size);
