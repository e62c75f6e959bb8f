/* The picture of a random network. */
#pragma once

#include "normlab/random_net.h" // nl_random_net

/* Draws the keys of it, and gives what they say. `macs` as of nl_random_net_draw: large pictures,
 * and many classes of large pictures, are drawn only where it allows them. */
void nl_random_picture(nl_random_net *net, nl_picture *picture, int64_t macs);
