/* Checkpoints of a model: what is saved comes back, and what does not fit the model is refused. */
#include <criterion/criterion.h>
#include <jansson.h> // json_pack
#include <math.h>    // NAN
#include <stdio.h>   // snprintf
#include <stdlib.h>  // free
#include <string.h>  // memcmp

#include "normlab/checkpoint.h"
#include "support/idx_set.h"

/* A model with weights of a seed, and a folder with its checkpoint. */
typedef struct fixture {
    nl_config config;
    nl_model model;
    float *params, *buffers;
    char *dir;
    char path[512];
} fixture;

static void load_config(nl_config *config, const char *name) {
    char path[512];
    nl_error err = {0};
    snprintf(path, sizeof path, NL_SOURCE_DIR "/configs/%s.yaml", name);
    cr_assert(nl_config_load(config, path, &err) == NL_OK, "%s: %s", err.where, err.what);
}

static void set_up(fixture *f, const char *name) {
    nl_error err = {0};
    load_config(&f->config, name);
    cr_assert(nl_model_build(&f->model, &f->config, 0, &err) == NL_OK, "%s", err.what);
    f->params = nl_alloc((size_t)f->model.params_size, sizeof(float), "test");
    f->buffers = nl_alloc((size_t)f->model.buffers_size, sizeof(float), "test");
    nl_model_init(&f->model, f->params, f->buffers, 1);
    f->dir = temp_dir_make();
    snprintf(f->path, sizeof f->path, "%s/c.safetensors", f->dir);
    cr_assert(nl_checkpoint_write(f->path, &f->config, &f->model, f->params, f->buffers, &err) ==
                  NL_OK,
              "%s", err.what);
}

static void tear_down(fixture *f) {
    free(f->params), free(f->buffers);
    temp_dir_remove(f->dir);
}

/* Reads into arenas full of NaN; returns the exit code. */
static int read_into(const fixture *f, float **params, float **buffers, nl_error *err) {
    const size_t n_params = (size_t)f->model.params_size;
    const size_t n_buffers = (size_t)f->model.buffers_size;
    *params = nl_alloc(n_params, sizeof(float), "test");
    *buffers = nl_alloc(n_buffers, sizeof(float), "test");
    for (int i = 0; i < f->model.n_tensors; i++) {
        const nl_tensor *tensor = &f->model.tensors[i];
        float *to = (tensor->buffer ? *buffers : *params) + tensor->offset;
        for (int64_t k = 0; k < tensor->count; k++) to[k] = NAN;
    }
    return nl_checkpoint_read(f->path, &f->model, *params, *buffers, NULL, err);
}

/* ---- round trip ----------------------------------------------------------------------------- */

static void check_round_trip(fixture *f) {
    float *params, *buffers;
    nl_error err = {0};
    cr_assert(read_into(f, &params, &buffers, &err) == NL_OK, "%s", err.what);
    const size_t size = sizeof(float);
    cr_assert(memcmp(params, f->params, (size_t)f->model.params_size * size) == 0);
    cr_assert(memcmp(buffers, f->buffers, (size_t)f->model.buffers_size * size) == 0);
    free(params), free(buffers);
}

Test(checkpoint, comes_back_bit_for_bit) {
    static const char *const names[] = {"bn_l1", "ln", "gn", "none"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        fixture f;
        set_up(&f, names[i]);
        check_round_trip(&f);
        tear_down(&f);
    }
}

Test(checkpoint, keeps_weights_that_are_not_finite) {
    fixture f;
    set_up(&f, "bn");
    f.params[f.model.tensors[0].offset + 3] = NAN;
    f.params[f.model.tensors[1].offset] = -INFINITY;
    f.buffers[0] = INFINITY;
    cr_assert(nl_checkpoint_write(f.path, &f.config, &f.model, f.params, f.buffers, NULL) == NL_OK);
    check_round_trip(&f);
    tear_down(&f);
}

Test(checkpoint, holds_the_tensors_of_the_state_dict) {
    fixture f;
    set_up(&f, "bn");
    nl_archive archive;
    cr_assert(nl_archive_read(&archive, f.path, NULL) == NL_OK);
    cr_assert(archive.n_blobs == 6 * 2 + 5 * 4, "%d tensors", archive.n_blobs);
    const nl_blob *first = nl_archive_find(&archive, "conv1.weight");
    cr_assert(first && first->dtype == NL_F32 && first->rank == 4);
    cr_assert(first->shape[0] == 96 && first->shape[1] == 1 && first->shape[3] == 5);
    const nl_blob *last = nl_archive_find(&archive, "conv6.bias");
    cr_assert(last && last->rank == 1 && last->shape[0] == 10);
    cr_assert(nl_archive_find(&archive, "norm5.running_var"));
    cr_assert(!nl_archive_find(&archive, "norm6.weight"));
    nl_archive_free(&archive);
    tear_down(&f);
}

Test(checkpoint, rebuilds_its_model_from_its_config) {
    fixture f;
    set_up(&f, "gn");
    f.config.train.lr = 0.1 + 0.2; /* needs 17 digits */
    cr_assert(nl_checkpoint_write(f.path, &f.config, &f.model, f.params, f.buffers, NULL) == NL_OK);
    nl_config config;
    nl_error err = {0};
    cr_assert(nl_checkpoint_config(f.path, &config, &err) == NL_OK, "%s", err.what);
    cr_assert(config.train.lr == f.config.train.lr &&
              config.data.picture.mean.of[0] == f.config.data.picture.mean.of[0]);
    nl_model model;
    cr_assert(nl_model_build(&model, &config, 0, &err) == NL_OK, "%s", err.what);
    cr_assert(model.n_tensors == f.model.n_tensors && model.n_params == 9426);
    tear_down(&f);
}

/* ---- what does not fit ---------------------------------------------------------------------- */

static void expect_misfit(const char *saved, const char *wanted, const char *what) {
    fixture f;
    set_up(&f, saved);
    nl_config config;
    nl_error err = {0};
    load_config(&config, wanted);
    cr_assert(nl_model_build(&f.model, &config, 0, &err) == NL_OK, "%s", err.what);
    float *params, *buffers;
    cr_assert(read_into(&f, &params, &buffers, &err) == NL_EDATA && err.code == NL_EDATA);
    cr_assert(strstr(err.what, what), "%s is not in: %s", what, err.what);
    cr_assert_str_eq(err.where, f.path);
    free(params), free(buffers);
    tear_down(&f);
}

Test(checkpoint, names_a_tensor_that_is_missing_or_too_many) {
    expect_misfit("gn", "bn", "tensor norm1.running_mean: missing, the model has it as (96)");
    expect_misfit("bn", "gn", "tensor norm1.running_mean: shape (96), the model has none");
    expect_misfit("none", "ln", "tensor norm1.weight: missing, the model has it as (96)");
}

Test(checkpoint, names_both_shapes) {
    fixture f;
    set_up(&f, "gn");
    nl_error err = {0};
    f.config.model.layers[0].kernel = 3;
    f.config.model.layers[0].pad = 1;
    cr_assert(nl_model_build(&f.model, &f.config, 0, &err) == NL_OK, "%s", err.what);
    float *params, *buffers;
    cr_assert(read_into(&f, &params, &buffers, &err) == NL_EDATA);
    const char *want = "tensor conv1.weight: shape (96,1,5,5), the model has (96,1,3,3)";
    cr_assert(strstr(err.what, want), "%s", err.what);
    free(params), free(buffers);
    tear_down(&f);
}

Test(checkpoint, asks_for_a_config_that_is_missing) {
    fixture f;
    set_up(&f, "none");
    nl_archive archive;
    cr_assert(nl_archive_read(&archive, f.path, NULL) == NL_OK);
    cr_assert(archive.sealed);
    cr_assert(nl_archive_write(f.path, archive.blobs, archive.n_blobs, NULL, NULL) == NL_OK);
    nl_config config;
    nl_error err = {0};
    cr_assert(nl_checkpoint_config(f.path, &config, &err) == NL_EDATA);
    cr_assert(strstr(err.what, "__metadata__: no config"), "%s", err.what);
    cr_assert(strstr(err.hint, "--config"), "%s", err.hint);
    nl_archive_free(&archive);
    tear_down(&f);
}

Test(checkpoint, refuses_another_type) {
    fixture f;
    set_up(&f, "none");
    nl_archive archive;
    cr_assert(nl_archive_read(&archive, f.path, NULL) == NL_OK);
    nl_blob *first = (nl_blob *)nl_archive_find(&archive, "conv1.weight");
    first->dtype = NL_I32; /* of the same size as F32 */
    cr_assert(nl_archive_write(f.path, archive.blobs, archive.n_blobs, NULL, NULL) == NL_OK);
    float *params, *buffers;
    nl_error err = {0};
    cr_assert(read_into(&f, &params, &buffers, &err) == NL_EDATA);
    cr_assert(strstr(err.what, "conv1.weight") && strstr(err.what, "I32"), "%s", err.what);
    free(params), free(buffers);
    nl_archive_free(&archive);
    tear_down(&f);
}

Test(checkpoint, refuses_a_config_that_is_none) {
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "7",
                                        "{\"model\":3}",
                                        "{\"no\":{}}",
                                        "{\"train\":{\"lr\":-1}}",
                                        "{\"model\":{\"layers\":[]}}"};
    fixture f;
    set_up(&f, "gn");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *metadata = json_pack("{s:s}", "config", texts[i]);
        cr_assert(nl_archive_write(f.path, NULL, 0, metadata, NULL) == NL_OK);
        json_decref(metadata);
        nl_config config;
        nl_error err = {0};
        cr_assert(nl_checkpoint_config(f.path, &config, &err) == NL_EDATA, "%s", texts[i]);
        cr_assert(strstr(err.hint, "--config"), "%s", texts[i]);
        cr_assert(err.code == NL_EDATA && err.what[0], "%s", texts[i]);
    }
    tear_down(&f);
}

Test(checkpoint, cannot_be_written_where_there_is_no_folder) {
    fixture f;
    set_up(&f, "gn");
    nl_error err = {0};
    cr_assert(nl_checkpoint_write("/nonexistent/c.safetensors", &f.config, &f.model, f.params,
                                  f.buffers, &err) == NL_EWRITE);
    cr_assert_str_eq(err.where, "/nonexistent/c.safetensors");
    tear_down(&f);
}
