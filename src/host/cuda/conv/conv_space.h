/* The workspaces of the convolutions, one for each lane. */
#pragma once

#include "conv_plan.h" // NL_CONV_LANES

typedef struct nl_conv_space {
    void *lanes[NL_CONV_LANES]; /* (lane_size) bytes each */
    int64_t lane_size;
    void **blocks; /* all that there ever were: plans made earlier keep theirs */
    int n_blocks;
} nl_conv_space;

/* At least so many bytes on every lane from now on. What was there stays, since captured graphs
 * keep its address. Where the memory does not suffice nothing changes. */
int nl_conv_space_reserve(nl_conv_space *space, int64_t bytes, nl_error *err);
void nl_conv_space_close(nl_conv_space *space);
