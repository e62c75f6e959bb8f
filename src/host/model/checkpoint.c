/* Checkpoints: a model's tensors, and the config that rebuilds the model, in a safetensors file. */
#include "base/archive.h" // nl_blob_to_floats
#include "base/number.h"  // nl_json_precision

#include "normlab/checkpoint.h"

#include <jansson.h> // json_t
#include <stdio.h>   // snprintf
#include <stdlib.h>  // free
#include <string.h>  // memcpy, strchr

/* ---- writing -------------------------------------------------------------------------------- */

int nl_checkpoint_write(const char *path, const nl_config *config, const nl_model *model,
                        const float *params, const float *buffers, nl_error *err) {
    nl_blob *blobs = nl_alloc((size_t)model->n_tensors, sizeof *blobs, path);
    for (int i = 0; i < model->n_tensors; i++) {
        const nl_tensor *tensor = &model->tensors[i];
        nl_blob *blob = &blobs[i];
        snprintf(blob->name, sizeof blob->name, "%s", tensor->name);
        blob->dtype = NL_F32;
        blob->rank = tensor->rank;
        memcpy(blob->shape, tensor->shape, sizeof blob->shape);
        blob->data = (tensor->buffer ? buffers : params) + tensor->offset;
    }
    json_t *json = nl_config_to_json(config);
    char *text = json_dumps(json, JSON_COMPACT | nl_json_precision(json));
    json_t *metadata = json_pack("{s:s}", "config", text);
    NL_NEED(metadata);
    const int rc = nl_archive_write(path, blobs, model->n_tensors, metadata, err);
    json_decref(metadata), json_decref(json);
    free(text), free(blobs);
    return rc;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* (96,1,5,5) */
static void shape_text(char *text, size_t size, const int64_t *shape, int rank) {
    size_t at = 0;
    text[0] = '\0';
    for (int i = 0; i < rank && at < size; i++) {
        at += (size_t)snprintf(text + at, size - at, "%c%lld", i ? ',' : '(', (long long)shape[i]);
    }
    if (at < size) snprintf(text + at, size - at, "%s", rank ? ")" : "()");
}

static int hint_config(nl_error *err) {
    nl_hint(err, "is it of another config? normlab summary CONFIG shows what a config has");
    return NL_EDATA;
}

/* Wrappers of PyTorch put a word before all names: module., _orig_mod. */
static int hint_prefix(const nl_archive *archive, const char *name, nl_error *err) {
    for (int i = 0; i < archive->n_blobs; i++) {
        const char *other = archive->blobs[i].name, *dot = strchr(other, '.');
        for (; dot; dot = strchr(dot + 1, '.'))
            if (strcmp(dot + 1, name) == 0) {
                nl_hint(err, "the file has %s: take '%.*s' off its names", other,
                        (int)(dot + 1 - other), other);
                return NL_EDATA;
            }
    }
    return hint_config(err);
}

static int check_blob(const nl_archive *archive, const nl_tensor *tensor, const char *path,
                      nl_error *err) {
    const nl_blob *blob = nl_archive_find(archive, tensor->name);
    char want[96], got[96];
    shape_text(want, sizeof want, tensor->shape, tensor->rank);
    if (!blob) {
        nl_fail(err, NL_EDATA, path, "tensor %s: missing, the model has it as %s", tensor->name,
                want);
        return hint_prefix(archive, tensor->name, err);
    }
    shape_text(got, sizeof got, blob->shape, blob->rank);
    if (strcmp(got, want) != 0) {
        nl_fail(err, NL_EDATA, path, "tensor %s: shape %s, the model has %s", tensor->name, got,
                want);
        return hint_config(err);
    }
    return NL_OK;
}

/* norm<i>.num_batches_tracked of a norm with running values: a count that nothing here needs. */
static bool is_counter(const nl_model *model, const char *name) {
    static const char counter[] = "num_batches_tracked";
    char running[sizeof((nl_blob *)0)->name];
    const char *dot = strrchr(name, '.');
    if (!dot || strcmp(dot + 1, counter) != 0) return false;
    const int length =
        snprintf(running, sizeof running, "%.*s.running_mean", (int)(dot - name), name);
    return length < (int)sizeof running && nl_model_find(model, running);
}

static int check_blobs(const nl_archive *archive, const nl_model *model, const char *path,
                       nl_error *err) {
    for (int i = 0; i < model->n_tensors; i++) {
        const nl_tensor *tensor = &model->tensors[i];
        const int rc = check_blob(archive, tensor, path, err);
        if (rc) return rc;
    }
    for (int i = 0; i < archive->n_blobs; i++) {
        const nl_blob *blob = &archive->blobs[i];
        if (nl_model_find(model, blob->name) || is_counter(model, blob->name)) continue;
        char got[96];
        shape_text(got, sizeof got, blob->shape, blob->rank);
        nl_fail(err, NL_EDATA, path, "tensor %s: shape %s, the model has none of that name",
                blob->name, got);
        return hint_config(err);
    }
    return NL_OK;
}

int nl_checkpoint_read(const char *path, const nl_model *model, float *params, float *buffers,
                       bool *sealed, nl_error *err) {
    nl_archive archive;
    int rc = nl_archive_read(&archive, path, err);
    if (rc) return rc;
    rc = check_blobs(&archive, model, path, err);
    for (int i = 0; !rc && i < model->n_tensors; i++) {
        const nl_tensor *tensor = &model->tensors[i];
        float *to = (tensor->buffer ? buffers : params) + tensor->offset;
        const nl_blob *blob = nl_archive_find(&archive, tensor->name);
        rc = nl_blob_to_floats(to, blob, tensor->count, path, err);
    }
    if (sealed) *sealed = archive.sealed;
    nl_archive_free(&archive);
    return rc;
}

void nl_checkpoint_warn(const char *path) {
    nl_warn(path, "it has no checksum of normlab's: damage would go unnoticed");
}

int nl_checkpoint_config(const char *path, nl_config *config, nl_error *err) {
    nl_archive archive;
    int rc = nl_archive_read(&archive, path, err);
    if (rc) return rc;
    const char *text = json_string_value(json_object_get(archive.metadata, "config"));
    json_error_t error;
    json_t *json = text ? json_loads(text, JSON_REJECT_DUPLICATES, &error) : NULL;
    if (!text) {
        rc = nl_fail(err, NL_EDATA, path, "__metadata__: no config");
    } else if (!json) {
        rc = nl_fail(err, NL_EDATA, path, "__metadata__.config: %.160s", error.text);
    } else {
        rc = nl_model_config_from_json(config, json, path, err);
    }
    if (rc) nl_hint(err, "--config CONFIG tells which network its weights are of");
    json_decref(json);
    nl_archive_free(&archive);
    return rc;
}
