/* The float engine gives the same weights, bit for bit, with every compiler and in every build, for
 * any number of threads and in every instruction set: the hashes of its state after 30 steps (backend.h has the promise). Images, labels and order are made
 * in integers; what else goes in beside IEEE 754 arithmetic are exp, log, sin and cos of the C
 * library.
 *
 * A change of the engine that changes bits on purpose changes the hashes too: the test prints them.
 */
#include <criterion/criterion.h> // Test, cr_assert
#include <stdlib.h>              // free
#include <string.h>              // strcmp

#include "normlab/checkpoint.h" // nl_sha256_hex
#include "normlab/rng.h"        // nl_epoch_order
#include "support/config_text.h"
#include "support/idx_set.h"
#include "support/memory_run.h"
#include "support/isa.h" // TEST_IN_EACH_SET

enum { IMAGES = 30 * 16 - 5, STEPS = 30 }; /* the last batch is smaller */

/* Weights, momentum and running values, as floats. */
static void hash_state(char text[65], memory_engine *e) {
    const int64_t size = e->run->model.params_size, running = e->run->model.buffers_size;
    float *all = nl_alloc((size_t)(2 * size + running), sizeof *all, "state");
    memory_engine_get(e);
    for (int64_t i = 0; i < size; i++) all[i] = (float)e->params[i];
    for (int64_t i = 0; i < size; i++) all[size + i] = (float)e->momentum[i];
    for (int64_t i = 0; i < running; i++) all[2 * size + i] = (float)e->buffers[i];
    nl_sha256_hex(text, all, (size_t)(2 * size + running) * sizeof *all);
    free(all);
}

static void check_threads(memory_run *r, const char *name, uint32_t steps, const char *expected) {
    static nl_rotation rotations[IMAGES];
    nl_step_record records[STEPS];
    char text[65];
    nl_error err = {0};
    memory_engine e = memory_engine_open(r, &nl_backend_cpu);
    nl_epoch_order(r->order, IMAGES, 3, 0, true);
    for (uint32_t i = 0; i < IMAGES; i++)
        rotations[i] = nl_rotation_make(nl_rotation_degrees(3, 0, i, r->config.data.rotate),
                                        r->model.picture.shape);
    const nl_epoch epoch = {0, r->config.train.lr, r->order, rotations};
    cr_assert_eq(e.backend->begin_epoch(e.engine, &epoch, &err), 0, "%s", err.what);
    memory_engine_steps(&e, 0, steps, records);
    hash_state(text, &e);
    cr_expect(strcmp(text, expected) == 0, "%s, %d threads: %s, not %s (last loss %.9g)", name,
              r->threads, text, expected, records[steps - 1].loss);
    memory_engine_close(&e);
}

static void check(memory_run *r, const char *name, uint32_t steps, const char *expected) {
    static const int threads[] = {1, 2, 3, 8};
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        r->threads = threads[i];
        check_threads(r, name, steps, expected);
    }
}

static void check_config(const char *name, const char *expected) {
    memory_run r;
    memory_run_open(&r, name, IMAGES, "data.batch=16", (char *)NULL);
    check(&r, name, STEPS, expected);
    memory_run_close(&r);
}

static void batch_norm_with_l1(void) {
    check_config("bn_l1", "f53abf493fd65f97774e4dc4fd05036e7f8643cd57c60232351aa9ef4a234519");
}

TEST_IN_EACH_SET(same_bits, batch_norm_with_l1)

static void batch_norm(void) {
    check_config("bn", "fda48751a5bc9b1526ef52b76617517d2b69f305feba2e5668e1e60c3a3d2f09");
}

TEST_IN_EACH_SET(same_bits, batch_norm)

static void layer_norm(void) {
    check_config("ln", "ca7f72428c24c78d42e5d628ee8a15bfcd440a632a40381f724f7f258bec6b66");
}

TEST_IN_EACH_SET(same_bits, layer_norm)

static void group_norm(void) {
    check_config("gn", "2b60ef724d34b65bf74699149173537a7fbdeb984e1e88fc558bdfdec7102f53");
}

TEST_IN_EACH_SET(same_bits, group_norm)

static void check_odd(const char *norm, const char *expected) {
    memory_run r;
    nl_error err = {0};
    memory_run_open(&r, "gn", IMAGES, (char *)NULL);
    cr_assert_eq(config_text_load(&r.config, "data: {batch: 16}\n" ODD_NET, &err), 0, "%s",
                 err.what);
    cr_assert_eq(nl_config_set(&r.config, norm, &err), 0, "%s", err.what);
    memory_run_rebuild(&r);
    check(&r, norm, 8, expected);
    memory_run_close(&r);
}

static void odd_network(void) {
    check_odd("model.norm=batch",
              "be00ae16e23b23a007e81d0275a33fd9adb20e003906c4de70bcfa238a81d39b");
    check_odd("model.norm=layer",
              "408b8ddba64dfbf8795e60d4d217e02c26d4a637cf60810a544d766137b6c7d2");
    check_odd("model.norm=instance",
              "339293c2c395ba6fd6c37ee761a5322b819d923de1b9f7d6f6a05b79a3fbc044");
    check_odd("model.norm=none",
              "5e401d568472c78da61f769734e70822cb94f34b60d708a93e4d5aae2322f69d");
}

TEST_IN_EACH_SET(same_bits, odd_network)
