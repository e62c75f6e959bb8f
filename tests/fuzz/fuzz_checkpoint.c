/* Checkpoints past their hash: the config in one, the network that it makes, and its tensors. */
#include "fuzz.h"

#include <stdlib.h> // free
#include <string.h> // memcmp

#include "normlab/checkpoint.h"
#include "sealed.h"

enum { MOST = 1 << 18 }; /* elements: a larger network only takes longer */

typedef struct weights {
    float *params, *buffers;
} weights;

static weights make(const nl_model *model) {
    return (weights){nl_alloc((size_t)model->params_size, sizeof(float), "params"),
                     nl_alloc((size_t)model->buffers_size, sizeof(float), "buffers")};
}

static void release(weights *w) {
    free(w->params);
    free(w->buffers);
}

static void check_weights(const char *path, const nl_config *config, const nl_model *model) {
    weights w = make(model), back = make(model);
    nl_config again;
    nl_error err;
    bool sealed;
    fuzz_no_error(&err);
    const int rc = nl_checkpoint_read(path, model, w.params, w.buffers, &sealed, &err);
    fuzz_count(!rc);
    if (fuzz_went_well(rc, NL_EDATA, &err)) {
        path = fuzz_path("b.safetensors");
        HOLDS(nl_checkpoint_write(path, config, model, w.params, w.buffers, &err) == NL_OK);
        HOLDS(nl_checkpoint_read(path, model, back.params, back.buffers, &sealed, &err) == NL_OK);
        HOLDS(sealed);
        const size_t size = sizeof(float);
        HOLDS(memcmp(w.params, back.params, (size_t)model->params_size * size) == 0);
        HOLDS(memcmp(w.buffers, back.buffers, (size_t)model->buffers_size * size) == 0);
        HOLDS(nl_checkpoint_config(path, &again, &err) == NL_OK);
    }
    release(&w);
    release(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static nl_config config;
    static nl_model model;
    nl_error err;
    fuzz_no_error(&err);
    const char *path = fuzz_sealed_file("a.safetensors", data, size);
    fuzz_hear();
    const int rc = nl_checkpoint_config(path, &config, &err);
    HOLDS(fuzz_heard() == 0);
    if (!fuzz_went_well(rc, NL_EDATA, &err)) {
        fuzz_count(false);
        return 0;
    }
    fuzz_check_config(&config);
    HOLDS(nl_model_build(&model, &config, 0, &err) == NL_OK);
    HOLDS(model.n_tensors >= 2 && model.n_tensors <= NL_MAX_TENSORS);
    HOLDS(model.params_size > 0 && model.params_size >= model.n_params);
    if (model.params_size <= MOST) check_weights(path, &config, &model);
    return 0;
}
