/* Which of a problem's candidates a run takes. Private to conv. */
#pragma once

#include "conv_run.h"  // nl_conv_plan
#include "conv_tune.h" // nl_conv_buffers

/* Opens a plan and runs it, by itself and inside a graph, as the steps will; with `seconds` also
 * times it. */
int nl_conv_try(nl_conv_plan *plan, nl_conv_lanes *lanes, nl_conv_problem problem, const char *tag,
                const nl_conv_buffers *buffers, double *seconds, nl_error *err);

/* After a plan that failed: an error that stays, which no other plan would get round. */
int nl_conv_check_device(const nl_conv_lanes *lanes, nl_error *err);

/* The fastest candidate or, not timed, the first that works. A candidate that fails drops out,
 * unless the device itself has failed; where all do, the first one's reason is told. */
int nl_conv_choose(char tag[NL_TAG], nl_conv_lanes *lanes, nl_conv_problem problem, bool tf32,
                   bool timed, const nl_conv_buffers *buffers, nl_error *err);
