/* Which instruction set the CPU engine computes with. */
#pragma once

#include "cpu/simd/simd.h" // nl_simd

/* The widest that this processor and its system have, or what the environment's NORMLAB_ISA names:
 * NL_EUSAGE if that is no instruction set, NL_EDEVICE if it is missing here. */
int nl_isa_choose(const nl_simd **simd, nl_error *err);
