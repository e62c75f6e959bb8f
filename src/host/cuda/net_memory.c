/* Memory that the network owns; see cuda_net.h. */
#include "cuda/runtime/device.h" // nl_device_alloc
#include "cuda_net.h"

int nl_cuda_net_alloc(void **memory, nl_cuda_net *net, int64_t count, size_t size, const char *what,
                      nl_error *err) {
    NL_ASSERT(net->n_owned < NL_CUDA_BLOCKS_MAX);
    const int code = nl_device_alloc(memory, (size_t)count * size, what, err);
    if (!code) net->owned[net->n_owned++] = *memory;
    return code;
}
