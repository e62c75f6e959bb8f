/* Times the norms alone, forward and backward, each with the ReLU behind it.
 *
 *     bench_norm [--device cpu|cuda] [--threads N] [--repeats N] [--quick yes]
 *
 * The shapes are those of the network at batch 64, and large ones whose tensors do not fit into the
 * last cache, with ordinary and odd numbers of channels and pixels. What differs from the double
 * reference is not timed: its line is an error, and the program ends with 1. One line of JSON each:
 * microseconds (median), GB/s and per cent of the speed at which this device copies memory, cold
 * (the caches hold something else) and warm. --quick takes two small shapes, for tests.
 *
 * Bytes are those that have to move when a tensor is too large for the caches. A group's values are
 * read once (they wait in a cache for the second look), a batch norm's twice, since the statistics
 * of a channel need all images before the first value can be normalised:
 *     forward  group: x, y           batch: x, x, y
 *     backward group: dy, x, dx      batch: dy, x, dy, x, dx
 * Where a tensor fits, more than 100 per cent is possible. */
#include <jansson.h> // json_pack
#include <stdio.h>   // snprintf
#include <string.h>  // strcmp

#include "normlab/error.h" // NL_EUSAGE
#include "support/measure.h"
#include "support/norm_truth.h" // norm_is_right
#include "base/processor.h"     // nl_processor_cores

typedef struct bench {
    const norm_room *room;
    int repeats, threads;
    double copy_gb_s;
    bool failed;
} bench;

static double bytes_moved(const nl_verify_case *c, bool backward) {
    const double x = 4.0 * (double)c->in_count[NL_IN_BLOCK_Z];
    const double y = 4.0 * (double)c->out_count[NL_OUT_BLOCK_Y];
    const int looks = c->groups ? 1 : 2;
    return backward ? looks * (y + x) + x : looks * x + y;
}

static const char *norm_name(const nl_verify_case *c) {
    return c->groups == 0 ? "batch" : c->groups == 1 ? "layer" : "group";
}

/* ---- a case ---- */

static void time_case(bench *b, norm_work *work, const nl_verify_case *c, bool backward,
                      double error) {
    for (int cold = 1; cold >= 0; cold--) {
        const double seconds = b->room->time(work, backward, cold, b->repeats);
        const double rate = 1e-9 * bytes_moved(c, backward) / seconds;
        bench_print(json_pack("{ss ss ss ss s[iiii] si si ss sb si sf sf sf sf sf}", "what", "norm",
                              "program", "normlab", "mode", b->room->name, "norm", norm_name(c),
                              "shape", c->n, c->c, c->h, c->w, "groups", c->groups, "pool",
                              c->pool ? c->pool : 1, "direction", backward ? "backward" : "forward",
                              "cold", cold, "threads", b->threads, "us", 1e6 * seconds, "gb_s",
                              rate, "copy_gb_s", b->copy_gb_s, "copy_percent",
                              100 * rate / b->copy_gb_s, "error_of_allowed", error));
    }
}

static void run_case(bench *b, nl_verify_case c) {
    char name[96];
    double error;
    snprintf(name, sizeof name, "%s (%d, %d, %d, %d)%s", norm_name(&c), c.n, c.c, c.h, c.w,
             c.pool ? " with pool" : "");
    norm_work *work = b->room->open(&c);
    if (norm_is_right(b->room, work, &c, name, &error)) {
        time_case(b, work, &c, false, error);
        time_case(b, work, &c, true, error);
    } else {
        b->failed = true;
    }
    b->room->close(work);
    nl_verify_case_free(&c);
}

/* ---- shapes ---- */

/* Batch, layer and group norm of one shape. */
static void three_norms(bench *b, int n, int c, int h, int w, int group_size, int pool) {
    const int groups[] = {0, 1, c / group_size};
    for (int i = 0; i < 3; i++) run_case(b, norm_case_make(n, c, h, w, groups[i], pool));
}

static void all_shapes(bench *b) {
    three_norms(b, 64, 96, 28, 28, 4, 0);
    three_norms(b, 64, 16, 28, 28, 4, 0);
    if (b->room->pools) three_norms(b, 64, 16, 28, 28, 4, 2);
    three_norms(b, 64, 16, 12, 12, 4, 0);
    three_norms(b, 64, 8, 12, 12, 4, 0);
    if (b->room->pools) three_norms(b, 64, 8, 12, 12, 4, 2);
    three_norms(b, 64, 16, 4, 4, 4, 0);
    /* Large: x, y and their gradients take six times the cache. */
    const size_t floats = 3 * b->room->cache() / 2 / sizeof(float);
    three_norms(b, (int)(floats / (96 * 28 * 28)), 96, 28, 28, 4, 0);
    three_norms(b, (int)(floats / (63 * 57 * 55)), 63, 57, 55, 7, 0);
}

static const norm_room *room_of(const char *device, int threads) {
    if (!strcmp(device, "cpu")) return norm_room_cpu(threads);
#ifdef NORMLAB_WITH_CUDA
    if (!strcmp(device, "cuda")) return norm_room_cuda();
#endif
    fprintf(stderr, "bench_norm: --device %s: not in this program\n", device);
    return NULL;
}

int main(int argc, char **argv) {
    const char *device = "cpu";
    bench b = {.repeats = 15, .threads = nl_processor_cores()};
    bool quick = false, good = argc % 2 == 1;
    for (int i = 1; i + 1 < argc && good; i += 2) {
        if (!strcmp(argv[i], "--device"))
            device = argv[i + 1];
        else if (!strcmp(argv[i], "--threads"))
            b.threads = bench_number(argv[i], argv[i + 1]);
        else if (!strcmp(argv[i], "--repeats"))
            b.repeats = bench_number(argv[i], argv[i + 1]);
        else if (!strcmp(argv[i], "--quick"))
            quick = !strcmp(argv[i + 1], "yes");
        else
            good = false;
    }
    if (!good) {
        fputs("usage: bench_norm [--device cpu|cuda] [--threads N] [--repeats N] [--quick yes]\n",
              stderr);
        return NL_EUSAGE;
    }
    if (!(b.room = room_of(device, b.threads))) return NL_EDEVICE;
    b.copy_gb_s = quick ? 1 : b.room->copy_gb_s();
    if (quick) {
        three_norms(&b, 3, 12, 5, 7, 4, 0);
        three_norms(&b, 2, 6, 9, 9, 3, b.room->pools ? 2 : 0);
    } else {
        all_shapes(&b);
    }
    return b.failed ? NL_EINTERNAL : NL_OK;
}
