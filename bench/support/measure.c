/* Clock, medians, limits of the machine; see measure.h. */
#include "support/measure.h"

#include <jansson.h> // json_dumpf
#include <limits.h>  // INT_MAX
#include <stdint.h>  // uint64_t
#include <stdio.h>   // fprintf
#include <stdlib.h>  // qsort
#include <string.h>  // memcpy, strcspn
#include <time.h>    // clock_gettime

#include <dlfcn.h> // dlopen

#include "normlab/error.h" // nl_alloc

#include "threads.h" // nl_threads

double bench_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

double bench_median(double *values, int count) {
    NL_ASSERT(count > 0);
    qsort(values, (size_t)count, sizeof *values, ascending);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* The system's own table first: what sysconf gives for the last level is of all packages on some
 * processors. */
size_t bench_cache_bytes(void) {
    size_t most = 0;
    for (int i = 0; i < 8; i++) {
        char path[80];
        size_t kib = 0;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        FILE *file = fopen(path, "r");
        if (!file) break;
        if (fscanf(file, "%zuK", &kib) == 1 && kib << 10 > most) most = kib << 10;
        fclose(file);
    }
    return most ? most : (size_t)32 << 20;
}

void bench_flush_cache(void) {
    static volatile uint64_t *block;
    static size_t count;
    if (!block) {
        count = 2 * bench_cache_bytes() / sizeof *block;
        block = nl_alloc(count, sizeof *block, "block that empties the caches");
    }
    for (size_t i = 0; i < count; i += 8) block[i] = block[i] + 1;
}

/* ---- copying ---- */

typedef struct copy {
    char *to, *from;
    size_t bytes; /* of each thread */
} copy;

static void copy_part(void *context, int item, int worker) {
    (void)worker;
    const copy *c = context;
    memcpy(c->to + (size_t)item * c->bytes, c->from + (size_t)item * c->bytes, c->bytes);
}

double bench_copy_bandwidth(int threads, int rounds) {
    const size_t part = (2 * bench_cache_bytes() / (size_t)threads + 63) / 64 * 64;
    const size_t all = part * (size_t)threads;
    copy c = {nl_alloc(all, 1, "copy"), nl_alloc(all, 1, "copy"), part};
    nl_threads *pool = nl_threads_open(threads);
    double best = 0;
    for (int r = 0; r <= rounds; r++) { /* the first touches the memory */
        const double start = bench_seconds();
        nl_threads_run(pool, copy_part, &c, threads);
        const double rate = 2e-9 * (double)all / (bench_seconds() - start);
        if (r && rate > best) best = rate;
    }
    nl_threads_close(pool);
    free(c.to);
    free(c.from);
    return best;
}

/* ---- sgemm ---- */

typedef void sgemm(int order, int a_trans, int b_trans, int m, int n, int k, float alpha,
                   const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);

/* dlsym gives an object pointer; the bytes are the function's. */
static void find(void *function, void *library, const char *name) {
    void *const address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
}

double bench_sgemm_peak(int threads, int rounds, char *library, size_t size) {
    enum { SIDE = 1536, ROW_MAJOR = 101, AS_IT_IS = 111 };
    sgemm *product;
    void (*set_threads)(int);
    char *(*config)(void);
    snprintf(library, size, "none");
    void *const handle = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!handle) return 0;
    find(&product, handle, "cblas_sgemm");
    find(&set_threads, handle, "openblas_set_num_threads");
    find(&config, handle, "openblas_get_config");
    if (!product || !set_threads || !config) return 0;
    const char *text = config(); /* name, version, then how it was built */
    const size_t name = strcspn(text, " "), version = strcspn(text + name + 1, " ");
    snprintf(library, size, "%.*s", (int)(name + 1 + version), text);
    set_threads(threads);
    const size_t count = (size_t)SIDE * SIDE;
    float *a = nl_alloc(3 * count, sizeof *a, "matrices"), *b = a + count, *c = b + count;
    for (size_t i = 0; i < 2 * count; i++) a[i] = (float)(i % 7) - 3;
    double best = 0;
    for (int r = 0; r <= rounds; r++) {
        const double start = bench_seconds();
        product(ROW_MAJOR, AS_IT_IS, AS_IT_IS, SIDE, SIDE, SIDE, 1, a, SIDE, b, SIDE, 0, c, SIDE);
        const double rate = 2e-9 * SIDE * SIDE * SIDE / (bench_seconds() - start);
        if (r && rate > best) best = rate;
    }
    free(a);
    return best;
}

/* ---- lines ---- */

void bench_processor(char *name, size_t size) {
    snprintf(name, size, "CPU");
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        snprintf(name, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (file) fclose(file);
}

void bench_print(json_t *object) {
    NL_ASSERT(object);
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    fflush(stdout);
    json_decref(object);
}

int bench_number(const char *option, const char *value) {
    char *end;
    const long number = strtol(value, &end, 10);
    if (*end == '\0' && end != value && number >= 1 && number <= INT_MAX) return (int)number;
    fprintf(stderr, "%s %s: must be a number of 1 or more\n", option, value);
    exit(NL_EUSAGE);
}
