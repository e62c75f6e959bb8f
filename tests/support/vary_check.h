/* train.vary on one engine: the toy study trained with two seeds. */
#pragma once

#include "normlab/backend.h" // nl_backend

/* Of each stream: where it alone follows the seed, two seeds give other weights, and with what the
 * stream decides switched off the same ones, to the bit: no other stream follows the seed. */
void vary_check_streams(const nl_backend *backend);

/* The losses of the steps are those of double precision with the same seeds of all streams. */
void vary_check_losses(const nl_backend *backend);
