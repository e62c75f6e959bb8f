/* Random networks from the language of the config, and the check that an engine trains one as the
 * double-precision engine does. `normlab verify` checks one, tests/test_any_network.c many.
 *
 *     nl_random_net net;
 *     nl_random_net_draw(&net, seed, 100000);
 *     code = nl_random_net_check(&net, &nl_backend_cpu, &outcome, &err);
 *
 * The same seed and budget give the same network, data and comparison on every machine.
 */
#pragma once

#include "normlab/backend.h" // nl_backend

enum { NL_RANDOM_LAYERS = 9, NL_RANDOM_KEYS = NL_MAX_KEYS, NL_RANDOM_IMAGES = 100 };

/* A network with its run: layers, the text of keys, and what no key says. Any field may be changed
 * (to make it smaller, say); nl_random_net_load tells whether it is still valid. */
typedef struct nl_random_net {
    uint32_t seed; /* of this network's draws; its images are drawn from it too */
    nl_layer_spec layers[NL_RANDOM_LAYERS];
    int n_layers;
    char values[NL_RANDOM_KEYS][24]; /* by row of nl_random_key; empty: the default */
    bool by_set[NL_RANDOM_KEYS];     /* given with --set, not in the file */
    uint32_t images, tests;          /* of the data set */
    uint32_t steps;                  /* of each epoch */
    int threads, device;
    nl_first_block first_block;
} nl_random_net;

/* The name of row `i` of the table of keys that are drawn, or NULL behind the last. */
const char *nl_random_key(int i);

/* The row of a key. */
int nl_random_row(const char *key);

/* `macs` bounds the multiply-adds of an image, roughly. Not quite half of them see MNIST's picture,
 * the others one of 1 to 4 channels, 8 to 64 pixels high and wide, and 2 to 256 classes. */
void nl_random_net_draw(nl_random_net *net, uint32_t seed, int64_t macs);

/* Draws a network, and makes of its first layers a convolution with a kernel of 3 or 5, that norm, and
 * a 1 x 1 convolution, to be trained by a GPU's own kernels for such a block. False: this seed's is
 * not to be changed so. */
bool nl_random_net_first_block(nl_random_net *net, uint32_t seed, int64_t macs, nl_norm norm);

/* The config file and, in `sets`, the --set assignments (one a line). The caller frees both. */
char *nl_random_net_text(const nl_random_net *net, char **sets);

/* Reads that text with the config's reader. Errors: NL_EUSAGE as for any config. */
int nl_random_net_load(nl_config *config, nl_model *model, const nl_random_net *net, nl_error *err);

/* Images of the config's shape, by number: strokes, noise, saturated pixels, constant ones.
 * nl_dataset_free. */
void nl_random_net_data(nl_dataset *data, const nl_random_net *net, const nl_picture *picture);

/* What a check has seen, for a report. */
typedef struct nl_random_outcome {
    int steps;         /* trained, in all epochs */
    int ties;          /* places where the engine took a tie another way than double precision */
    double loss, step; /* the first: relative difference; share of the bound, worst tensor */
} nl_random_outcome;

/* Trains two epochs on the backend and in double precision, and compares
 *   - the first loss within 1e-5, later ones within 3e-2, penalties, hits;
 *   - after the first step every tensor of gradients and running values, each within 4 times the
 *     error of the plain operations in float and 4 ulp of the tensor's largest value;
 *   - the evaluation of its own weights, and the logits of given ones.
 * A ReLU or a max pool at a tie, which rounding decides, is recognised by its values: the gradient
 * has to be that of one of the two decisions.
 * Errors: NL_EINTERNAL for a difference; what the backend returned. */
int nl_random_net_check(const nl_random_net *net, const nl_backend *backend,
                        nl_random_outcome *outcome, nl_error *err);
