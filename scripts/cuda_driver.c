/* Asks NVIDIA's driver what it is for: prints `ok CUDA DEVICES` (as ok 13000 1) and exits 0, or `no
 * REASON` and exits 1. Compiled and run by cuda.sh. A driver is a libcuda.so.1 that finds a device;
 * the toolkit's dummy of that name answers every call with an error.
 */
#include <dlfcn.h> // dlopen
#include <stdio.h> // printf

typedef int (*call)(void *);
typedef int (*init_call)(unsigned);

/* Whether this library is a driver with a device; `answer` is what to print. */
static int ask(const char *path, char *answer, size_t size) {
    void *library = dlopen(path, RTLD_NOW);
    if (!library) return 0;
    init_call init;
    call get_version, get_count;
    /* ISO C has no cast from an object pointer to a function pointer */
    *(void **)&init = dlsym(library, "cuInit");
    *(void **)&get_version = dlsym(library, "cuDriverGetVersion");
    *(void **)&get_count = dlsym(library, "cuDeviceGetCount");
    int version = 0, count = 0;
    int code = init && get_version && get_count ? init(0) : -1;
    if (!code) code = get_version(&version);
    if (!code) code = get_count(&count);
    if (!code && count > 0)
        snprintf(answer, size, "ok %d %d", version, count);
    else
        snprintf(answer, size, "%s is here and finds no NVIDIA device (error %d)", path, code);
    return !code && count > 0;
}

int main(void) {
    static const char *const paths[] = {"libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"};
    char answer[256] = "no NVIDIA driver here";
    const int found = ask(paths[0], answer, sizeof answer) || ask(paths[1], answer, sizeof answer);
    puts(answer);
    return !found;
}
