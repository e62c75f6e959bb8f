/* What --version --verbose tells of CUDA: the versions that this program was built with, the
 * driver, the devices, and the libraries that were found, each with its place or the reason why
 * not.
 */
#include <ctype.h>  // isdigit
#include <string.h> // strtok_r

#include "cuda/conv/conv_gemm.h" // nl_gemm_about
#include "cuda/conv/cudnn_api.h" // nl_cudnn_load
#include "cuda/runtime/device.h" // nl_device_open
#include "normlab/backend.h"

/* The driver's own version, as 580.65.06, from what its kernel module tells; "" where it does not.
 */
static void driver_release(char release[32]) {
    char text[512] = "", *rest = NULL;
    FILE *file = fopen("/proc/driver/nvidia/version", "r");
    release[0] = '\0';
    if (!file) return;
    if (!fgets(text, sizeof text, file)) text[0] = '\0';
    fclose(file);
    for (char *word = strtok_r(text, " \t\n", &rest); word; word = strtok_r(NULL, " \t\n", &rest)) {
        if (!isdigit((unsigned char)word[0]) || !strchr(word, '.')) continue;
        snprintf(release, 32, "%s", word);
        return;
    }
}

static void about_driver(FILE *out) {
    static const char *const names[] = {"libcuda.so.1", NULL};
    char path[NL_DYNLIB_PATH], release[32];
    int version = 0;
    if (!nl_dynlib_open(names, path) || cudaDriverGetVersion(&version) || version == 0) {
        fprintf(out, "driver     none%s%s\n", path[0] ? ": " : "", path);
        return;
    }
    driver_release(release);
    fprintf(out, "driver     %s%sfor CUDA %d.%d, %s\n", release, release[0] ? ", " : "",
            version / 1000, version % 1000 / 10, path);
}

static void about_devices(FILE *out) {
    int count = 1;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count < 1) count = 1; /* for its error */
    for (int i = 0; i < count; i++) {
        nl_device d;
        nl_error err;
        if (nl_device_open(&d, i, &err)) {
            fprintf(out, "device     none: %s\n", err.what);
            continue;
        }
        fprintf(out,
                "device     cuda:%d %s, compute capability %d.%d, %d multiprocessors, %.1f GiB\n",
                i, d.name, d.major, d.minor, d.multiprocessors, (double)d.memory / (1 << 30));
    }
}

void nl_cuda_about(FILE *out) {
    int runtime = 0;
    (void)cudaRuntimeGetVersion(&runtime);
    fprintf(out,
            "CUDA       compiler " NL_NVCC_VERSION ", runtime %d.%d, kernels for " NL_CUDA_ARCHS
            "\n",
            runtime / 1000, runtime % 1000 / 10);
    about_driver(out);
    about_devices(out);
    const nl_cudnn *cudnn;
    nl_error err;
    if (nl_cudnn_load(&cudnn, &err) == NL_OK)
        fprintf(out, "cuDNN      %s, %s\ncuBLASLt   %s\n", cudnn->version, cudnn->path,
                cudnn->light_path);
    else
        fprintf(out, "cuDNN      none: %s: %s\n", err.where, err.what);
    char version[NL_GEMM_VERSION], path[NL_DYNLIB_PATH];
    if (nl_gemm_about(version, path, &err) == NL_OK)
        fprintf(out, "cuBLAS     %s, %s\n", version, path);
    else
        fprintf(out, "cuBLAS     none: %s: %s\n", err.where, err.what);
}
