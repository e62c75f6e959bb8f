/* A drawn network whose first block has kernels of its own on a GPU; see normlab/random_net.h. */
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // memmove

#include "normlab/random_net.h"

static void set_value(nl_random_net *net, const char *key, const char *value) {
    snprintf(net->values[nl_random_row(key)], sizeof *net->values, "%s", value);
}

/* Another kernel whose output is as large. */
static bool give_kernel(nl_layer_spec *l, int kernel) {
    const int pad = l->pad + (kernel - l->kernel) / 2;
    if ((kernel - l->kernel) % 2 || pad < 0) return false;
    l->kernel = kernel;
    l->pad = pad;
    return true;
}

static bool load(nl_config *config, const nl_random_net *net) {
    nl_model *model = nl_alloc(1, sizeof *model, "model");
    const bool valid = nl_random_net_load(config, model, net, NULL) == NL_OK;
    free(model);
    return valid;
}

bool nl_random_net_first_block(nl_random_net *net, uint32_t seed, int64_t macs, nl_norm norm) {
    nl_config config;
    nl_random_net_draw(net, seed, macs);
    set_value(net, "model.norm", nl_norm_words[norm]);
    set_value(net, "train.math", "fp32");
    nl_layer_spec *one = &net->layers[0];
    if (one->kind != NL_LAYER_CONV || net->n_layers == NL_RANDOM_LAYERS || !load(&config, net))
        return false;
    const int channels = config.data.picture.shape.channels;
    if ((channels != 1 && channels != 3) || one->out > 128) return false;
    if (!give_kernel(one, channels == 1 && seed % 2 ? 5 : 3)) return false;
    one->norm = norm == NL_NORM_NONE ? NL_NORM_NONE : NL_NORM_OF_MODEL;
    memmove(one + 2, one + 1, sizeof *one * (size_t)(net->n_layers++ - 1));
    one[1] = (nl_layer_spec){
        .kind = NL_LAYER_CONV, .out = one->out, .kernel = 1, .norm = one->norm, .relu = one->relu};
    net->first_block = NL_FIRST_OWN;
    return load(&config, net);
}
