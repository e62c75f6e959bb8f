/* Clock, medians, limits of the machine; see measure.h. */
#include "support/measure.h"

#include <jansson.h> // json_dumpf
#include <limits.h>  // INT_MAX
#include <stdbool.h> // bool
#include <stdint.h>  // uint64_t
#include <stdio.h>   // fprintf
#include <stdlib.h>  // qsort
#include <string.h>  // memcpy
#include <time.h>    // clock_gettime

#include <dlfcn.h> // dlopen

#include "normlab/error.h" // nl_alloc

#include "cpu/fast/threads.h" // nl_threads

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

enum { SIDE = 1536, ROW_MAJOR = 101, AS_IT_IS = 111 };

typedef struct openblas {
    sgemm *product;
    void (*set_threads)(int);
    char *(*config)(void);
    char *(*core)(void); /* whose kernels it uses */
} openblas;

/* dlsym gives an object pointer; the bytes are the function's. */
static bool find(void *function, void *library, const char *prefix, const char *name) {
    char whole[64];
    snprintf(whole, sizeof whole, "%s%s", prefix, name);
    void *const address = dlsym(library, whole);
    memcpy(function, &address, sizeof address);
    return address;
}

/* The builds that come with Python packages have a prefix of their own. */
static bool open_openblas(openblas *blas, const char *path) {
    static const char *const prefixes[] = {"", "scipy_"};
    void *const handle = dlopen(path ? path : "libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; handle && i < sizeof prefixes / sizeof *prefixes; i++)
        if (find(&blas->product, handle, prefixes[i], "cblas_sgemm") &&
            find(&blas->set_threads, handle, prefixes[i], "openblas_set_num_threads") &&
            find(&blas->config, handle, prefixes[i], "openblas_get_config") &&
            find(&blas->core, handle, prefixes[i], "openblas_get_corename"))
            return true;
    return false;
}

/* Small whole numbers, so that every product is exact in any order of its sums. */
static bool right_product(const float *a, const float *b, const float *c) {
    for (int row = 0; row < SIDE; row += 61)
        for (int column = 0; column < SIDE; column += 53) {
            double sum = 0;
            for (int k = 0; k < SIDE; k++)
                sum += (double)a[row * SIDE + k] * (double)b[k * SIDE + column];
            if (sum != (double)c[row * SIDE + column]) return false;
        }
    return true;
}

double bench_sgemm_peak(const char *path, int threads, int rounds, char *library, size_t size) {
    openblas blas;
    snprintf(library, size, "none");
    if (!open_openblas(&blas, path)) return 0;
    const char *text = blas.config(); /* name, version, then how it was built */
    const size_t name = strcspn(text, " "), version = strcspn(text + name + 1, " ");
    blas.set_threads(threads);
    const size_t count = (size_t)SIDE * SIDE;
    float *a = nl_alloc(3 * count, sizeof *a, "matrices"), *b = a + count, *c = b + count;
    for (size_t i = 0; i < 2 * count; i++) a[i] = (float)(i % 7) - 3;
    double best = 0;
    for (int r = 0; r <= rounds; r++) {
        const double start = bench_seconds();
        blas.product(ROW_MAJOR, AS_IT_IS, AS_IT_IS, SIDE, SIDE, SIDE, 1, a, SIDE, b, SIDE, 0, c,
                     SIDE);
        const double rate = 2e-9 * SIDE * SIDE * SIDE / (bench_seconds() - start);
        if (r && rate > best) best = rate;
    }
    if (right_product(a, b, c))
        snprintf(library, size, "%.*s (%s)", (int)(name + 1 + version), text, blas.core());
    else {
        fprintf(stderr, "%.*s (%s): its matrix product is wrong here and is not timed\n",
                (int)(name + 1 + version), text, blas.core());
        best = 0;
    }
    free(a);
    return best;
}

/* ---- lines ---- */

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
