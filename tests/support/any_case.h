/* Drawn cases of normlab/verify.h: any operation, shape and values, some of them not finite.
 */
#pragma once

#include "normlab/verify.h" // nl_verify_case, nl_verify_run

/* Draws case `number`, the same for the same number; `small`: for kernels that run on a CPU.
 * any_case_free frees it. */
void any_case_draw(nl_verify_case *c, uint32_t number, bool small);
void any_case_free(nl_verify_case *c);

/* Draws so many cases, or as many as the environment's NORMLAB_DRAWS says, from its NORMLAB_SEED on
 * (default 1), and holds `run` against double precision in each. Asserts that none is too far off,
 * and that every operation, every norm, and inputs that are not finite were among them. */
void any_case_check(int draws, bool small, nl_verify_run run, void *context);
