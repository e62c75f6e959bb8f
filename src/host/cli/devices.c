/* --device: from a name to a backend. */
#include <limits.h> // INT_MAX
#include <stdio.h>  // fprintf
#include <string.h> // strcmp, strncmp

#include "commands.h"
#include "cpu/fast/isa.h" // nl_isa_choose
#include "normlab/backend.h"
#include "options.h" // nl_option_int

#ifdef NORMLAB_WITH_CUDA

const char *nl_backends_built(void) {
    return "cpu cpu64 cuda";
}

void nl_backends_about(FILE *out) {
    nl_cuda_about(out);
}

static int select_cuda(const nl_backend **backend, int *device, nl_error *err) {
    *backend = &nl_backend_cuda;
    return nl_cuda_probe(*device, err);
}

#else

const char *nl_backends_built(void) {
    return "cpu cpu64";
}

void nl_backends_about(FILE *out) {
    fprintf(out, "CUDA       not built in\n");
}

static int select_cuda(const nl_backend **backend, int *device, nl_error *err) {
    (void)backend;
    (void)device;
    nl_fail(err, NL_EDEVICE, "--device", "this program was built without CUDA");
    return nl_hint(err,
                   "scripts/run.sh --cuda fetches what is missing and builds with it; by hand: a "
                   "CUDA toolkit, cuBLAS and cuDNN, then -DNORMLAB_CUDA=ON");
}

#endif

static int select_cpu(const nl_backend **backend, nl_error *err) {
    const nl_simd *simd;
    *backend = &nl_backend_cpu;
    return nl_isa_choose(&simd, err);
}

int nl_backend_select(const nl_backend **backend, int *device, const char *name, nl_error *err) {
    *device = 0;
    if (!strcmp(name, "cpu")) return select_cpu(backend, err);
    if (!strcmp(name, "cpu64")) {
        *backend = &nl_backend_cpu64;
        return NL_OK;
    }
    if (!strcmp(name, "auto")) {
        nl_error reason;
        if (select_cuda(backend, device, &reason) == NL_OK) return NL_OK;
        fprintf(stderr, "normlab: --device auto: using the CPU: %s\n", reason.what);
        return select_cpu(backend, err);
    }
    if (!strncmp(name, "cuda:", 5)) {
        const int code = nl_option_int(device, "--device cuda:N", name + 5, 0, INT_MAX, err);
        return code ? code : select_cuda(backend, device, err);
    }
    if (!strcmp(name, "cuda")) return select_cuda(backend, device, err);
    nl_fail(err, NL_EUSAGE, "--device", "'%.40s' is no device", name);
    return nl_hint(err, "auto, cpu, cpu64, cuda or cuda:N");
}
