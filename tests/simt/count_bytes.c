/* The nodes of a training step and the bytes that they move, counted where the kernels run on the
 * CPU; a convolution moves each of its tensors once.
 *
 *     count_bytes BATCH CONFIG...
 *
 * Each network goes the general way, then by the first block's own kernels. Bytes an image: read
 * and written; see simt_bytes.h for the two ways of counting.
 */
#include <stdio.h>  // printf
#include <stdlib.h> // free
#include <string.h> // strncmp

#include "normlab/backend.h" // nl_backend_cuda
#include "normlab/rng.h"     // nl_epoch_order
#include "simt_bytes.h"      // simt_bytes_watch
#include "support/idx_set.h" // idx_set_draw

enum { SEED = 1 };

static void need(int code, const nl_error *err) {
    if (code == NL_OK) return;
    fprintf(stderr, "count_bytes: %s: %s\n", err->where, err->what);
    exit(code);
}

static nl_split draw(uint32_t count) {
    nl_split s = {.count = count,
                  .images = nl_alloc(count, IDX_PIXELS, "images"),
                  .labels = nl_alloc(count, 1, "labels")};
    for (uint32_t i = 0; i < count; i++) {
        idx_set_draw(s.images + (size_t)i * IDX_PIXELS, i);
        s.labels[i] = (uint8_t)(i % IDX_CLASSES);
    }
    return s;
}

static void run_step(const nl_engine_spec *spec) {
    const uint32_t images = spec->data->train.count;
    uint32_t *order = nl_alloc(images, sizeof *order, "order");
    nl_rotation *rotations = nl_alloc(images, sizeof *rotations, "rotations");
    nl_epoch_order(order, images, SEED, 0, true);
    for (uint32_t i = 0; i < images; i++) {
        rotations[i] =
            nl_rotation_make(nl_rotation_degrees(SEED, 0, i, 7), spec->model->picture.shape);
    }
    const nl_backend *b = &nl_backend_cuda;
    nl_state state = nl_state_alloc(spec->model, b->real_size);
    nl_model_init(spec->model, state.params, state.buffers, SEED);
    const nl_epoch epoch = {.lr = 0.01, .order = order, .rotations = rotations};
    nl_engine *engine;
    nl_error err = {0};
    need(b->open(&engine, spec, &err), &err);
    need(b->set_state(engine, &state, &err), &err);
    need(b->begin_epoch(engine, &epoch, &err), &err);
    simt_bytes_watch(true);
    need(b->enqueue(engine, 0, 1, &err), &err);
    simt_bytes_watch(false);
    b->close(engine);
    nl_state_free(&state);
    free(order);
    free(rotations);
}

/* ---- the table ------------------------------------------------------------------------------- */

static void add(simt_bytes *to, const simt_bytes *from) {
    for (int way = 0; way < SIMT_WAYS; way++) {
        to->once[way] += from->once[way];
        to->asked[way] += from->asked[way];
    }
}

static void print_line(const char *name, const simt_bytes *b, double images) {
    printf("| %s", name);
    for (int way = 0; way < SIMT_WAYS; way++) printf(" | %.0f", (double)b->once[way] / images);
    for (int way = 0; way < SIMT_WAYS; way++) printf(" | %.0f", (double)b->asked[way] / images);
    printf(" |\n");
}

static void print_table(const char *title, int images) {
    const simt_launch *list;
    const size_t count = simt_bytes_launches(&list);
    simt_bytes convs = {0}, kernels = {0};
    printf("\n%s: %zu nodes; bytes an image in a step of %d\n\n", title, count, images);
    printf("| node | read | written | asked for | asked to write |\n"
           "| --- | ---: | ---: | ---: | ---: |\n");
    for (size_t i = 0; i < count; i++) {
        print_line(list[i].name, &list[i].bytes, images);
        add(strncmp(list[i].name, "conv", 4) == 0 ? &convs : &kernels, &list[i].bytes);
    }
    print_line("*all convolutions*", &convs, images);
    print_line("*all kernels*", &kernels, images);
}

static void count_network(const char *path, int batch, const nl_dataset *data) {
    nl_config config;
    nl_model model;
    nl_error err = {0};
    char set[32], title[512];
    snprintf(set, sizeof set, "data.batch=%d", batch);
    need(nl_config_load(&config, path, &err), &err);
    need(nl_config_set(&config, set, &err), &err);
    need(nl_config_check(&config, &err), &err);
    need(nl_model_build(&model, &config, batch, &err), &err);
    for (int own = 0; own < 2; own++) {
        const nl_engine_spec spec = {.config = &config,
                                     .model = &model,
                                     .data = data,
                                     .seed = SEED,
                                     .threads = 1,
                                     .first_block = own ? NL_FIRST_OWN : NL_FIRST_GENERAL};
        run_step(&spec);
        snprintf(title, sizeof title, "%s, %s", path, own ? "first block's kernels" : "general");
        print_table(title, batch);
    }
}

int main(int argc, char **argv) {
    const int batch = argc > 2 ? atoi(argv[1]) : 0;
    if (batch < 1) {
        fprintf(stderr, "usage: count_bytes BATCH CONFIG...\n");
        return NL_EUSAGE;
    }
    nl_dataset data = {.train = draw((uint32_t)batch), .test = draw(1)};
    for (int i = 2; i < argc; i++) count_network(argv[i], batch, &data);
    nl_split *const splits[] = {&data.train, &data.test};
    for (int i = 0; i < 2; i++) {
        free(splits[i]->images);
        free(splits[i]->labels);
    }
    return NL_OK;
}
