/* normlab verify [--device D] [--seed N]: every operation of a device against the double reference;
 * and whole random networks. */
#include <stdio.h>  // printf
#include <stdlib.h> // strtoul, free
#include <string.h> // strcmp

#include "commands.h"
#include "normlab/backend.h"    // nl_backend_select
#include "normlab/random_net.h" // nl_random_net_check
#include "normlab/verify.h"     // nl_verify
#include "options.h"

typedef struct verify_options {
    const char *device;
    uint32_t seed; /* of the random network */
    nl_error err;
} verify_options;

enum { MACS = 150000 }; /* of the network, an image */

static int parse_seed(verify_options *o, const char *text) {
    char *end;
    const unsigned long long seed = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || seed > UINT32_MAX)
        return nl_fail(&o->err, NL_EUSAGE, "--seed", "'%s' is not a whole number, 0 to %u", text,
                       UINT32_MAX);
    o->seed = (uint32_t)seed;
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
    verify_options *o = state->input;
    switch (key) {
    case 'd':
        o->device = arg;
        return 0;
    case 's':
        return parse_seed(o, arg);
    case ARGP_KEY_ARG:
        return nl_fail(&o->err, NL_EUSAGE, "verify", "takes no argument, got '%s'", arg);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option option_list[] = {
    {"device", 'd', "D", 0, "auto, cpu, cuda or cuda:N (default: auto)", 0},
    {"seed", 's', "N", 0, "of the random networks that are trained (default: 1)", 0},
    {0}};

static const struct argp argp = {
    .options = option_list,
    .parser = parse,
    .doc = "Runs every operation, forward and backward, over a table of shapes and hard inputs and "
           "compares it with the plain operations in double precision; also losses and gradients "
           "of random networks. Exits 1 if one is too far off."};

#ifdef NORMLAB_WITH_CUDA
/* A small network of each norm whose first block goes by its own kernels. */
static int verify_first_blocks(int device, uint32_t seed, nl_error *err) {
    static const nl_norm norms[] = {NL_NORM_BATCH,    NL_NORM_LAYER, NL_NORM_GROUP,
                                    NL_NORM_INSTANCE, NL_NORM_RMS,   NL_NORM_NONE};
    int code = NL_OK;
    puts("");
    for (size_t i = 0; i < sizeof norms / sizeof *norms && !code; i++) {
        nl_random_net net;
        nl_random_outcome outcome;
        while (!nl_random_net_first_block(&net, seed, MACS, norms[i])) seed++;
        net.device = device;
        code = nl_random_net_check(&net, &nl_backend_cuda, &outcome, err);
        printf("first block's own kernels, %s, network of seed %u: ", nl_norm_words[norms[i]],
               seed);
        if (code == NL_EDEVICE && strcmp(err->where, NL_FIRST_BLOCK) == 0) {
            printf("%s\n", err->what);
            code = NL_OK;
        } else if (code)
            puts("NOT as it should be");
        else
            printf("the first loss differs by %.2g, its gradients are within %.2f of what they may "
                   "be off, %d ties: as it should be\n",
                   outcome.loss, outcome.step, outcome.ties);
    }
    return code;
}

static int verify_gpu(int device, uint32_t seed, nl_error *err) {
    nl_verify_gpu *gpu;
    int code = nl_verify_gpu_open(&gpu, device, err);
    if (code) return code;
    code = nl_verify("The CUDA kernels and convolutions", nl_verify_cuda, gpu, err);
    nl_verify_gpu_close(gpu);
    return code ? code : verify_first_blocks(device, seed, err);
}
#else
/* nl_backend_select has given another backend, or failed. */
static int verify_gpu(int device, uint32_t seed, nl_error *err) {
    (void)seed;
    return nl_fail(err, NL_EINTERNAL, "verify", "no CUDA in this program for device %d", device);
}
#endif

static int verify_network(uint32_t seed, nl_error *err) {
    nl_random_net net;
    nl_random_outcome outcome;
    nl_random_net_draw(&net, seed, MACS);
    char *sets, *text = nl_random_net_text(&net, &sets);
    const int code = nl_random_net_check(&net, &nl_backend_cpu, &outcome, err);
    if (!code)
        printf(
            "\nrandom network, seed %u: %d layers, %d steps; the first loss differs by %.2g, its "
            "gradients are within %.2f of what they may be off: as it should be\n",
            seed, net.n_layers, outcome.steps, outcome.loss, outcome.step);
    else
        printf("\nrandom network, seed %u: NOT as it should be\n%s%s", seed, text, sets);
    free(text);
    free(sets);
    return code;
}

static int verify(const verify_options *o, nl_error *err) {
    const nl_backend *backend;
    int device;
    int code = nl_backend_select(&backend, &device, o->device, err);
    if (code) return code;
    if (!strcmp(backend->name, "cuda")) return verify_gpu(device, o->seed, err);
    if (backend == &nl_backend_cpu) {
        code = nl_verify("The CPU's fused operations", nl_verify_cpu, NULL, err);
        return code ? code : verify_network(o->seed, err);
    }
    nl_fail(err, NL_EUSAGE, "--device", "%s is the reference itself", o->device);
    return nl_hint(err, "auto, cpu, cuda or cuda:N");
}

int nl_cmd_verify(int argc, char **argv) {
    verify_options o = {.device = "auto", .seed = 1};
    int code = nl_options_parse(&argp, argc, argv, &o, &o.err);
    if (!code) code = verify(&o, &o.err);
    if (code) nl_error_print(&o.err);
    return code;
}
