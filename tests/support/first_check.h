/* The first two layers done as one operation, by whatever does it, against the plain operations one
 * after another: over hard inputs, within the bounds of all fast operations. */
#pragma once

#include "support/first_layers.h"

/* What makes a drawn problem a hard one. */
typedef struct first_input {
    const char *name;
    void (*make)(problem *p);
} first_input;
extern const first_input first_inputs[];
extern const int n_first_inputs;

void first_zero_filter(problem *p); /* of channel 1 */

/* run does the problem; where rounding decides what the ReLU does the problem's dz2 becomes 0. */
void first_check(problem *p, const char *what, void (*run)(outputs *got, const problem *p));
