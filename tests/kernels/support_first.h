/* The first block's kernels on a problem of support/first_layers.h. */
#pragma once

#include "normlab/kernels.h" // nl_k_first
#include "support/first_layers.h"

/* Of a problem on the device. */
typedef struct first_device {
    nl_k_first f;
    float *in[INPUTS], *out[OUTPUTS];
} first_device;

/* shift: elements before z2 and dz2, so that 1 makes them unaligned. running: the problem's MEAN and
 * VAR, in evaluation (NULL: training). */
first_device first_device_make(const problem *p, int shift, float *const running[2]);
void first_device_drop(first_device *d);

/* All launchers, in evaluation without the way back. */
void first_device_run(const first_device *d);

/* All of it under every schedule, with the same bits; for first_check. */
void first_run_kernels(outputs *got, const problem *p);
void first_run_kernels_unaligned(outputs *got, const problem *p);
