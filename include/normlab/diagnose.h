/* Where a training step stopped being finite, in words, for the error that ends such a run. */
#pragma once

#include "normlab/backend.h" // nl_engine_spec, nl_state, nl_epoch

/* Runs the forward pass of one step again with the plain operations, on the state at which it
 * failed (as get_state gives it; elements of real_size bytes), and names the first tensor or layer
 * with a value that is not finite: "conv2.weight is not finite (element 17 is nan)", "the output of
 * conv2 is not finite (image 4711, element 17 is inf)". If nothing is found - another device rounds
 * otherwise - the text says so. */
void nl_diagnose(char *text, size_t size, const nl_engine_spec *spec, const nl_state *state,
                 int real_size, const nl_epoch *epoch, uint32_t step);
