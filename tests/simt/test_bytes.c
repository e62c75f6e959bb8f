/* What the launchers of a stage and of the update ask of the device's memory, as normlab/kernels.h
 * says it.
 */
#include <criterion/criterion.h>
#include <stdio.h>  // snprintf
#include <stdlib.h> // free

#include "cuda/launchers.h"         // nl_launchers_of
#include "kernels/support_device.h" // device_copy
#include "normlab/rng.h"            // nl_dropout_threshold
#include "simt_bytes.h"             // simt_bytes_watch

typedef struct stage_memory {
    nl_k_stage k;
    int64_t in, out; /* bytes of z and y */
    void *owned[16];
    int n_owned;
} stage_memory;

static void *own(stage_memory *m, const void *host, int64_t bytes) {
    return m->owned[m->n_owned++] = device_copy(host, bytes, 1, 0);
}

static void *ones(stage_memory *m, int64_t floats) {
    float *host = nl_alloc((size_t)floats, sizeof *host, "ones");
    for (int64_t i = 0; i < floats; i++) host[i] = (float)(i % 7) - 3;
    void *memory = own(m, host, floats * 4);
    free(host);
    return memory;
}

static stage_memory stage_make(nl_k_shape s) {
    stage_memory m = {.k = {.shape = s, .centres = 1, .eps = 1e-5F}};
    const int pool = s.pool ? s.pool : 1;
    m.in = (int64_t)s.n * s.c * s.h * s.w * 4;
    m.out = m.in / (pool * pool);
    if (pool > 1) {
        const nl_k_state state = {.seed = 1};
        m.k.drop = (nl_k_dropout){.slots = own(&m, NULL, s.n * 4),
                                  .state = own(&m, &state, sizeof state),
                                  .layer = 1,
                                  .threshold = nl_dropout_threshold(0.25),
                                  .scale = nl_dropout_scale(0.25),
                                  .kept = own(&m, NULL, (int64_t)nl_k_kept_size(&s))};
    }
    m.k.z = ones(&m, m.in / 4);
    m.k.dy = ones(&m, m.out / 4);
    m.k.bias = ones(&m, s.c), m.k.gamma = ones(&m, s.c), m.k.beta = ones(&m, s.c);
    m.k.y = own(&m, NULL, m.out);
    m.k.dz = own(&m, NULL, m.in);
    m.k.saved = own(&m, NULL, (int64_t)s.n * s.c * (int64_t)sizeof *m.k.saved);
    m.k.fresh_mean = own(&m, NULL, s.c * 4), m.k.fresh_var = own(&m, NULL, s.c * 4);
    float *const grads = own(&m, NULL, s.c * 12);
    m.k.dgamma = grads, m.k.dbeta = grads + s.c, m.k.dbias = grads + 2 * (size_t)s.c;
    m.k.scratch = own(&m, NULL, (int64_t)nl_k_scratch_size(&s));
    m.k.counters = counters_make(nl_k_counters(&s));
    return m;
}

static void stage_drop(stage_memory *m) {
    for (int i = 0; i < m->n_owned; i++) device_free(m->owned[i]);
    counters_free(m->k.counters, nl_k_counters(&m->k.shape));
}

/* All that was moved in how many launches. */
static simt_bytes total(size_t *launches) {
    const simt_launch *list;
    simt_bytes sum = {0};
    *launches = simt_bytes_launches(&list);
    for (size_t i = 0; i < *launches; i++) {
        for (int way = 0; way < SIMT_WAYS; way++) {
            sum.once[way] += list[i].bytes.once[way];
            sum.asked[way] += list[i].bytes.asked[way];
        }
    }
    return sum;
}

/* A tensor of so many bytes is asked for `passes` times; `more`: beside that, up to so many of its
 * bytes. Memory moves it once a launch of `launches`. */
static void check(const char *what, const void *memory, int way, int64_t bytes, int passes,
                  int64_t more, size_t launches) {
    const simt_bytes b = simt_bytes_of(memory);
    cr_assert(b.once[way] == bytes * (int64_t)launches, "%s: memory moves %lld bytes, not %lld",
              what, (long long)b.once[way], (long long)bytes * (long long)launches);
    cr_assert(b.asked[way] >= passes * bytes && b.asked[way] <= passes * bytes + more,
              "%s: threads ask for %lld bytes, not %d times %lld", what, (long long)b.asked[way],
              passes, (long long)bytes);
    cr_assert(b.once[!way] == 0, "%s: is only %s", what, way == SIMT_READ ? "read" : "written");
}

/* What is no tensor is small. */
static void check_rest(const char *what, simt_bytes sum, int64_t tensors) {
    const int64_t all = sum.once[SIMT_READ] + sum.once[SIMT_WRITTEN];
    cr_assert(all >= tensors && all <= tensors + tensors / 16, "%s: %lld bytes, %lld of tensors",
              what, (long long)all, (long long)tensors);
}

static void check_stage(nl_norm norm, nl_k_shape s) {
    const nl_norm_row *row = nl_norm_find(norm);
    const nl_launchers *l = nl_launchers_of(row);
    const int passes = row ? 2 : 1;
    stage_memory m = stage_make(s);
    const int64_t in = m.in, out = m.out;
    size_t launches;
    char what[96];
    snprintf(what, sizeof what, "norm %d, %d x %d x %d x %d, pool %d", (int)norm, s.n, s.c, s.h,
             s.w, s.pool);
    const int64_t values = norm == NL_NORM_BATCH ? in / 4 / s.c : in / 4 / s.n / s.groups;
    const size_t wanted = row && values > 16384 ? 2 : 1;

    simt_bytes_watch(true);
    cr_assert(l->forward(&m.k, NULL) == 0);
    simt_bytes_watch(false);
    const simt_bytes forward = total(&launches);
    cr_assert(launches == wanted, "%s: forward in %zu launches", what, launches);
    check(what, m.k.z, SIMT_READ, in, passes, row ? in / 2 : 0,
          launches); /* the part's first value */
    check(what, m.k.y, SIMT_WRITTEN, out, 1, 0, 1);
    const int64_t kept = (int64_t)nl_k_kept_size(&s);
    if (s.pool) check(what, m.k.drop.kept, SIMT_WRITTEN, kept, 1, 0, 1);
    check_rest(what, forward, in * (int64_t)launches + out);

    simt_bytes_watch(true);
    cr_assert(l->backward(&m.k, NULL) == 0);
    simt_bytes_watch(false);
    const simt_bytes backward = total(&launches);
    cr_assert(launches == wanted, "%s: backward in %zu launches", what, launches);
    check(what, m.k.z, SIMT_READ, in, passes, 0, launches);
    check(what, m.k.dy, SIMT_READ, out, passes, 0, launches);
    check(what, m.k.dz, SIMT_WRITTEN, in, 1, 0, 1);
    if (s.pool) check(what, m.k.drop.kept, SIMT_READ, kept, passes, 0, launches);
    check_rest(what, backward, (in + out) * (int64_t)launches + in);
    stage_drop(&m);
}

/* Sets of one block, and such as are split. */
static void check_norm(nl_norm norm) {
    for (int pool = 0; pool <= 2; pool += 2) {
        check_stage(norm, (nl_k_shape){4, 4, 32, 32, 1, pool, 1});
        check_stage(norm, (nl_k_shape){4, 8, 64, 64, 1, pool, 1});
        check_stage(norm, (nl_k_shape){8, 4, 48, 64, 2, pool, 0});
    }
}

Test(bytes, batch_norm) {
    check_norm(NL_NORM_BATCH);
}

Test(bytes, group_norm) {
    check_norm(NL_NORM_GROUP);
}

Test(bytes, no_norm) {
    check_norm(NL_NORM_NONE);
}

/* Weights and momentum are read and written, gradients read. */
Test(bytes, update) {
    enum { PARAMS = 4096, BUFFERS = 64 };
    stage_memory m = {.n_owned = 0};
    const nl_k_arenas a = {ones(&m, PARAMS),  ones(&m, PARAMS),  ones(&m, PARAMS), PARAMS,
                           ones(&m, BUFFERS), ones(&m, BUFFERS), BUFFERS};
    const nl_k_state state = {.lr = 0.01F};
    nl_k_state *const place = own(&m, &state, sizeof state);
    nl_k_record *const records = own(&m, NULL, sizeof *records);
    void *const scratch = own(&m, NULL, (int64_t)nl_k_update_scratch(PARAMS, BUFFERS));
    uint32_t *const counters = counters_make(1);
    simt_bytes_watch(true);
    const nl_k_sgd rule = {.momentum = 0.9F, .l1 = 0.001, .norm_momentum = 0.1F};
    cr_assert(nl_k_update(&a, rule, records, place, scratch, counters, NULL) == 0);
    simt_bytes_watch(false);
    const void *const tensors[] = {a.params, a.momentum, a.grads};
    for (int i = 0; i < 3; i++) {
        const simt_bytes b = simt_bytes_of(tensors[i]);
        cr_assert(b.asked[SIMT_READ] == PARAMS * 4 && b.once[SIMT_READ] == PARAMS * 4);
        cr_assert(b.asked[SIMT_WRITTEN] == (i < 2) * PARAMS * 4);
    }
    for (int i = 0; i < m.n_owned; i++) device_free(m.owned[i]);
    counters_free(counters, 1);
}
