/* The first block on the device; see first_cuda.h. */
#include "first_cuda.h"

#include <assert.h> // static_assert

#include "cuda/runtime/device.h" // nl_cuda_check

bool nl_cuda_first_shape(nl_k_first *first, const nl_model *model, int n) {
    static const nl_k_sets sets[] = {
        [NL_SETS_BATCH] = NL_K_SETS_CHANNELS, [NL_SETS_GROUPS] = NL_K_SETS_GROUPS};
    static_assert(sizeof sets / sizeof *sets == NL_SETS, "a row for each kind of sets");
    const nl_layer *one = model->layers, *two = one + 1;
    *first = (nl_k_first){0};
    if (model->n_layers < 2 || one->kind != NL_LAYER_CONV || two->kind != NL_LAYER_CONV)
        return false;
    if (two->kernel != 1 || two->pad != 0) return false;
    *first = (nl_k_first){.stage = {.shape = {.n = n,
                                              .c = one->out_c,
                                              .h = one->out_h,
                                              .w = one->out_w,
                                              .groups = one->groups,
                                              .relu = one->relu}},
                          .sets = one->norm ? sets[one->norm->sets] : NL_K_SETS_NONE,
                          .channels = one->in_c,
                          .h = one->in_h,
                          .w = one->in_w,
                          .k = one->kernel,
                          .pad = one->pad,
                          .outputs = two->out_c};
    return nl_k_first_shared(first) > 0;
}

int nl_cuda_first_fits(bool *fits, const nl_k_first *first, int device, nl_error *err) {
    int most = 0;
    const cudaError_t status =
        cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    *fits = nl_k_first_shared(first) <= (size_t)most;
    return nl_cuda_check(status, "shared memory", err);
}

static float *at(float *arena, const nl_cuda_net *net, int tensor) {
    return arena + net->model->tensors[tensor].offset;
}

int nl_cuda_first_open(nl_cuda_net *net, nl_error *err) {
    nl_k_first *f = &net->first;
    NL_ASSERT(net->n_blocks > 1 && f->stage.shape.n == net->batch);
    const int64_t bytes = (int64_t)nl_k_first_keep(f);
    const int code = nl_cuda_net_alloc(&f->keep, net, bytes, 1, "what the first block keeps", err);
    if (code) return code;
    const nl_cuda_block *one = &net->blocks[0], *two = &net->blocks[1];
    f->x = net->x;
    f->filter1 = at(net->arenas.params, net, one->conv->weight);
    f->filter2 = at(net->arenas.params, net, two->conv->weight);
    f->dfilter1 = at(net->grads, net, one->conv->weight);
    f->dfilter2 = at(net->grads, net, two->conv->weight);
    f->z2 = two->z;
    f->dz2 = two->stage.dz;
    return NL_OK;
}

nl_k_first nl_cuda_first_of(const nl_cuda_net *net, const nl_k_stage *stage, bool train) {
    nl_k_first f = net->first;
    f.stage = *stage;
    f.running = !train && f.sets == NL_K_SETS_CHANNELS;
    return f;
}
