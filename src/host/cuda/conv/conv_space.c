/* Workspaces that grow; see conv_space.h. */
#include "conv_space.h"

#include <stdlib.h> // free

#include "cuda/runtime/device.h" // nl_device_alloc
#include "base/grow.h"           // nl_grow

enum { FIRST_BLOCK = 8 << 20 };

int nl_conv_space_reserve(nl_conv_space *space, int64_t bytes, nl_error *err) {
    if (bytes <= space->lane_size) return NL_OK;
    const int64_t size = bytes < FIRST_BLOCK ? FIRST_BLOCK : bytes;
    void *fresh[NL_CONV_LANES];
    for (int lane = 0; lane < NL_CONV_LANES; lane++) {
        const int code = nl_device_alloc(&fresh[lane], (size_t)size, "convolution workspace", err);
        if (code) {
            while (lane-- > 0) cudaFree(fresh[lane]);
            return code;
        }
    }
    for (int lane = 0; lane < NL_CONV_LANES; lane++) {
        space->blocks = nl_grow(space->blocks, space->n_blocks, sizeof *space->blocks, "workspace");
        space->blocks[space->n_blocks++] = space->lanes[lane] = fresh[lane];
    }
    space->lane_size = size;
    return NL_OK;
}

void nl_conv_space_close(nl_conv_space *space) {
    for (int i = 0; i < space->n_blocks; i++) cudaFree(space->blocks[i]);
    free(space->blocks);
    *space = (nl_conv_space){0};
}
