/* Tests of kernels, on the SIMT executor or on a real device: the same calls of the CUDA runtime.
 *
 *     float *x = device_copy(host, count, sizeof *x, 0);       // on the device
 *     for (unsigned s = 0; s < schedules(); s++) { schedule(s); ... launch, same_bits ... }
 *     device_free(x);
 *
 * The executor runs every kernel in several orders of blocks and threads; a device chooses its own,
 * so there the same runs twice.
 */
#pragma once

#include <stdbool.h> // bool
#include <stddef.h>  // size_t
#include <stdint.h>  // int64_t

#include "normlab/kernels.h" // nl_k_shape

/* A device buffer with these elements, or all bytes 0xff (NaN) where host is NULL. `shift` elements
 * lie before it, so that a shift of 1 makes it unaligned. */
void *device_copy(const void *host, int64_t count, size_t size, int shift);
void device_read(void *host, const void *device, int64_t count, size_t size);
void device_free(void *device);

unsigned schedules(void);
void schedule(unsigned s);

/* One shape that a test covered, for the summary: the launcher's name and the shape. */
void covered(const char *launcher, const char *shape);

/* Reads a result into `result`, or, from the second schedule on, demands the same bits. */
void same_bits(void *result, const void *device, int64_t count, size_t size, unsigned s,
               const char *what);

/* scratch and counters for these shapes; counters_free demands that they are zero again. */
void *scratch_make(size_t size);
uint32_t *counters_make(int count);
void counters_free(uint32_t *counters, int count);
