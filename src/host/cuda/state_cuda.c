/* What the host writes into the device's memory: any bytes, and the state of a run. */
#include "engine_cuda.h"

int nl_cuda_upload(nl_engine *e, void *to, const void *from, size_t size, const char *what,
                   nl_error *err) {
    cudaError_t status = cudaMemcpyAsync(to, from, size, cudaMemcpyHostToDevice, e->net.stream);
    if (!status) status = cudaStreamSynchronize(e->net.stream);
    return nl_cuda_check(status, what, err);
}

int nl_cuda_write_state(nl_engine *e, const nl_k_state *state, size_t offset, size_t size,
                        nl_error *err) {
    return nl_cuda_upload(e, (char *)e->state + offset, (const char *)state + offset, size, "state",
                          err);
}

int nl_cuda_clear_state(nl_engine *e, nl_error *err) {
    return nl_cuda_check(cudaMemsetAsync(e->state, 0, sizeof *e->state, e->net.stream), "state",
                         err);
}
