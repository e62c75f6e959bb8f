/* normlab verify [--device D]: every operation of a device against the double reference. */
#include <string.h> // strcmp

#include "commands.h"
#include "normlab/backend.h" // nl_backend_select
#include "normlab/verify.h"  // nl_verify
#include "options.h"

typedef struct verify_options {
    const char *device;
    nl_error err;
} verify_options;

static error_t parse(int key, char *arg, struct argp_state *state) {
    verify_options *o = state->input;
    switch (key) {
    case 'd':
        o->device = arg;
        return 0;
    case ARGP_KEY_ARG:
        return nl_fail(&o->err, NL_EUSAGE, "verify", "takes no argument, got '%s'", arg);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option option_list[] = {
    {"device", 'd', "D", 0, "auto, cpu, cuda or cuda:N (default: auto)", 0}, {0}};

static const struct argp argp = {
    .options = option_list,
    .parser = parse,
    .doc = "Runs every operation, forward and backward, over a table of shapes and hard inputs and "
           "compares it with the plain operations in double precision. Exits 1 if one is too far "
           "off."};

#ifdef NORMLAB_WITH_CUDA
static int verify_gpu(int device, nl_error *err) {
    nl_verify_gpu *gpu;
    int code = nl_verify_gpu_open(&gpu, device, err);
    if (code) return code;
    code = nl_verify("The CUDA kernels and convolutions", nl_verify_cuda, gpu, err);
    nl_verify_gpu_close(gpu);
    return code;
}
#else
/* nl_backend_select has given another backend, or failed. */
static int verify_gpu(int device, nl_error *err) {
    return nl_fail(err, NL_EINTERNAL, "verify", "no CUDA in this program for device %d", device);
}
#endif

static int verify(const char *name, nl_error *err) {
    const nl_backend *backend;
    int device;
    const int code = nl_backend_select(&backend, &device, name, err);
    if (code) return code;
    if (!strcmp(backend->name, "cuda")) return verify_gpu(device, err);
    if (backend == &nl_backend_cpu)
        return nl_verify("The CPU's fused operations", nl_verify_cpu, NULL, err);
    nl_fail(err, NL_EUSAGE, "--device", "%s is the reference itself", name);
    return nl_hint(err, "auto, cpu, cuda or cuda:N");
}

int nl_cmd_verify(int argc, char **argv) {
    verify_options o = {.device = "auto"};
    int code = nl_options_parse(&argp, argc, argv, &o, &o.err);
    if (!code) code = verify(o.device, &o.err);
    if (code) nl_error_print(&o.err);
    return code;
}
