/* The float engine gives the same weights, bit for bit, with every compiler and in every build: the
 * hashes of its state after 30 steps (backend.h has the promise). Images, labels and order are made
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

static void check(memory_run *r, const char *name, uint32_t steps, const char *expected) {
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
    cr_expect(strcmp(text, expected) == 0, "%s: %s, not %s (last loss %.9g)", name, text, expected,
              records[steps - 1].loss);
    memory_engine_close(&e);
}

static void check_config(const char *name, const char *expected) {
    memory_run r;
    memory_run_open(&r, name, IMAGES, "data.batch=16", (char *)NULL);
    check(&r, name, STEPS, expected);
    memory_run_close(&r);
}

Test(same_bits, batch_norm_with_l1) {
    check_config("bn_l1", "5f684ef52c6ead72d0102ce9bad1e6d15b3a8902613f0e5ff177ab2eb54727ee");
}

Test(same_bits, batch_norm) {
    check_config("bn", "19b37b9c1beaebe32beabc7706744bfa28a6822e81cfa4008b8072eaac506946");
}

Test(same_bits, layer_norm) {
    check_config("ln", "d0681847a2efb921070e9890926fccc22770e54030e85a1b91a664f56b308b65");
}

Test(same_bits, group_norm) {
    check_config("gn", "bf11b9c16edb65e791e3fcab24a2516cf6674a2c0f9dc1a075e9bf7776cc9e17");
}

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

Test(same_bits, odd_network) {
    check_odd("model.norm=batch",
              "be00ae16e23b23a007e81d0275a33fd9adb20e003906c4de70bcfa238a81d39b");
    check_odd("model.norm=layer",
              "408b8ddba64dfbf8795e60d4d217e02c26d4a637cf60810a544d766137b6c7d2");
    check_odd("model.norm=instance",
              "339293c2c395ba6fd6c37ee761a5322b819d923de1b9f7d6f6a05b79a3fbc044");
    check_odd("model.norm=none",
              "5e401d568472c78da61f769734e70822cb94f34b60d708a93e4d5aae2322f69d");
}
