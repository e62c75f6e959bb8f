/* A state's arenas: parameters, momentum, running values; see backend.h. */
#include <stdlib.h> // free
#include <string.h> // memcpy

#include "base/reals.h"      // nl_reals_copy
#include "normlab/backend.h" // nl_state

void nl_state_arenas(nl_arena arenas[NL_ARENAS], const nl_state *state, const nl_model *model) {
    const nl_arena all[NL_ARENAS] = {{"params", state->params, model->params_size},
                                     {"momentum", state->momentum, model->params_size},
                                     {"buffers", state->buffers, model->buffers_size}};
    memcpy(arenas, all, sizeof all);
}

nl_state nl_state_alloc(const nl_model *model, int real_size) {
    const size_t size = (size_t)real_size, params = (size_t)model->params_size;
    return (nl_state){.params = nl_alloc(params, size, "parameters"),
                      .momentum = nl_alloc(params, size, "momentum"),
                      .buffers = nl_alloc((size_t)model->buffers_size, size, "running values")};
}

void nl_state_free(nl_state *state) {
    free(state->params);
    free(state->momentum);
    free(state->buffers);
    *state = (nl_state){0};
}

void nl_state_convert(const nl_state *to, int to_size, const nl_state *from, int from_size,
                      const nl_model *model) {
    nl_arena out[NL_ARENAS], in[NL_ARENAS];
    nl_state_arenas(out, to, model);
    nl_state_arenas(in, from, model);
    for (int i = 0; i < NL_ARENAS; i++)
        nl_reals_copy(out[i].data, to_size, in[i].data, from_size, in[i].size);
}

void nl_state_copy(const nl_state *to, const nl_state *from, const nl_model *model, int real_size) {
    nl_state_convert(to, real_size, from, real_size, model);
}
