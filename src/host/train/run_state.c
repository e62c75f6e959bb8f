/* Saving and loading: state.safetensors holds the arenas as they lie in memory, in the backend's
 * precision, and the position in the run; a resumed run then goes on bit for bit. Doubles travel as
 * text of 17 digits, which reads back exactly. */
#include "normlab/differences.h" // nl_differences
#include "trainer.h"

#include <jansson.h> // json_pack
#include <stdlib.h>  // free
#include <string.h>  // memcpy, strdup

#include "base/number.h"        // nl_json_precision
#include "base/reals.h"         // nl_reals_copy
#include "normlab/checkpoint.h" // nl_archive
#include "normlab/run_files.h"  // NL_FILE_STATE

/* --- the position as text ------------------------------------------------------------------- */

static char *position_to_text(const nl_position *at) {
    json_t *json =
        json_pack("{s:I, s:I, s:f, s:f, s:f, s:I, s:I, s:f, s:I, s:I, s:I, s:f, s:f, s:I}", "epoch",
                  (json_int_t)at->epoch, "step", (json_int_t)at->step, "loss_sum", at->loss_sum,
                  "seconds", at->seconds, "last_loss", at->last_loss, "hits", (json_int_t)at->hits,
                  "images", (json_int_t)at->images, "piece_loss", at->piece_loss, "piece_hits",
                  (json_int_t)at->piece_hits, "piece_images", (json_int_t)at->piece_images,
                  "best_epoch", (json_int_t)at->best_epoch, "best_accuracy", at->best_accuracy,
                  "best_loss", at->best_loss, "metrics_bytes", (json_int_t)at->metrics_bytes);
    NL_ASSERT(json);
    char *text = json_dumps(json, JSON_COMPACT | nl_json_precision(json));
    json_decref(json);
    NL_NEED(text);
    return text;
}

/* The sums of a piece came later: a state without them begins a new piece. */
static bool position_from_text(nl_position *at, const char *text) {
    json_int_t epoch, step, hits, images, best_epoch, metrics_bytes;
    json_int_t piece_hits = 0, piece_images = 0;
    at->piece_loss = 0;
    json_t *json = text ? json_loads(text, 0, NULL) : NULL;
    const bool read =
        json &&
        json_unpack(json, "{s:I, s:I, s:F, s:F, s:F, s:I, s:I, s?F, s?I, s?I, s:I, s:F, s:F, s:I}",
                    "epoch", &epoch, "step", &step, "loss_sum", &at->loss_sum, "seconds",
                    &at->seconds, "last_loss", &at->last_loss, "hits", &hits, "images", &images,
                    "piece_loss", &at->piece_loss, "piece_hits", &piece_hits, "piece_images",
                    &piece_images, "best_epoch", &best_epoch, "best_accuracy", &at->best_accuracy,
                    "best_loss", &at->best_loss, "metrics_bytes", &metrics_bytes) == 0;
    json_decref(json);
    if (!read || epoch < 0 || epoch > INT32_MAX || step < 0 || step > INT32_MAX || hits < 0 ||
        images < hits || piece_hits < 0 || piece_images < piece_hits || best_epoch < -1 ||
        best_epoch >= epoch + (epoch == 0) || metrics_bytes < 0)
        return false;
    at->epoch = (uint32_t)epoch;
    at->step = (uint32_t)step;
    at->hits = (uint64_t)hits;
    at->images = (uint64_t)images;
    at->piece_hits = (uint64_t)piece_hits;
    at->piece_images = (uint64_t)piece_images;
    at->best_epoch = best_epoch;
    at->metrics_bytes = metrics_bytes;
    return true;
}

/* --- the state ------------------------------------------------------------------------------ */

/* The arenas of a run; one without elements (no running values) is left out. */
static int list_arenas(nl_arena arenas[NL_ARENAS], const nl_run *run) {
    nl_arena all[NL_ARENAS];
    nl_state_arenas(all, &run->state, &run->model);
    int count = 0;
    for (int i = 0; i < NL_ARENAS; i++)
        if (all[i].size > 0) arenas[count++] = all[i];
    return count;
}

/* Whose state it is, beside its name and seed: the resolved config and the data's checksums. */
static void add_identity(json_t *metadata, const nl_run *run) {
    char data[65];
    nl_record_data_sha256(data, run->study->data);
    json_t *config = nl_config_to_json(run->config);
    char *text = json_dumps(config, JSON_COMPACT | nl_json_precision(config));
    NL_NEED(text);
    json_object_set_new(metadata, "config", json_string(text));
    json_object_set_new(metadata, "data", json_string(data));
    json_decref(config);
    free(text);
}

static int refuse_foreign(const char *path, const char *keys, nl_error *err) {
    nl_fail(err, NL_EDATA, path, "it is the state of another run: it differs in %s", keys);
    return nl_hint(err, "put this run's own state back, or --overwrite starts the run anew");
}

/* A state of more epochs to come is this run's, unless the schedule stretches with them. A file of
 * before states said whose they are is taken as it is. */
static int check_identity(const nl_archive *archive, const nl_run *run, const char *path,
                          nl_error *err) {
    char data[65];
    nl_config old, now = *run->config;
    nl_differences d = {0};
    if (!json_object_get(archive->metadata, "format")) return NL_OK;
    const char *text = json_string_value(json_object_get(archive->metadata, "config"));
    const char *sum = json_string_value(json_object_get(archive->metadata, "data"));
    json_t *json = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (!json || !sum) {
        json_decref(json);
        return nl_fail(err, NL_EDATA, path, "__metadata__: it does not say whose state it is");
    }
    const int code = nl_model_config_from_json(&old, json, path, err);
    json_decref(json);
    if (code) return code;
    if (now.train.schedule.kind != NL_SCHEDULE_COSINE) old.train.epochs = now.train.epochs;
    d.n = nl_config_differences(d.names, &old, &now);
    if (strcmp(old.name, now.name) != 0) nl_differences_add(&d, "name");
    nl_record_data_sha256(data, run->study->data);
    if (strcmp(data, sum) != 0) nl_differences_add(&d, NL_DIFFER_DATA);
    if (d.n == 0) return NL_OK;
    char *keys = nl_differences_text(&d, d.n);
    refuse_foreign(path, keys, err);
    free(keys);
    return NL_EDATA;
}

static nl_dtype state_type(const nl_run *run) {
    return run->study->backend->real_size == 8 ? NL_F64 : NL_F32;
}

int nl_run_fetch_state(nl_run *run, nl_error *err) {
    return run->study->backend->get_state(run->engine, &run->state, err);
}

int nl_run_save_state(nl_run *run, nl_error *err) {
    const nl_backend *backend = run->study->backend;
    int code = nl_metrics_sync(&run->metrics, &run->at.metrics_bytes, err);
    if (code) return code;

    nl_arena arenas[NL_ARENAS];
    nl_blob blobs[NL_ARENAS] = {0};
    const int count = list_arenas(arenas, run);
    for (int i = 0; i < count; i++) {
        snprintf(blobs[i].name, sizeof blobs[i].name, "%s", arenas[i].name);
        blobs[i].dtype = state_type(run);
        blobs[i].rank = 1;
        blobs[i].shape[0] = arenas[i].size;
        blobs[i].data = arenas[i].data;
    }
    char *position = position_to_text(&run->at);
    char *plan = backend->plan ? backend->plan(run->engine) : NULL;
    json_t *metadata = json_pack("{s:s}", "place", position);
    NL_NEED(metadata);
    add_identity(metadata, run);
    if (plan) json_object_set_new(metadata, "plan", json_string(plan));
    char path[NL_PATH_SIZE];
    code = nl_archive_write(nl_unit_file(&run->unit, path, NL_FILE_STATE), blobs, count, metadata,
                            err);
    json_decref(metadata);
    free(plan);
    free(position);
    return code;
}

/* Copies what was read into the run; NULL, or what does not fit. */
static const char *take(nl_run *run, const nl_archive *archive) {
    nl_arena arenas[NL_ARENAS];
    const int count = list_arenas(arenas, run);
    for (int i = 0; i < count; i++) {
        const nl_blob *blob = nl_archive_find(archive, arenas[i].name);
        if (!blob || blob->dtype != state_type(run) || blob->rank != 1 ||
            blob->shape[0] != arenas[i].size)
            return arenas[i].name;
        memcpy(arenas[i].data, blob->data,
               (size_t)arenas[i].size * (size_t)run->study->backend->real_size);
    }
    const json_t *place = json_object_get(archive->metadata, "place");
    if (!position_from_text(&run->at, json_string_value(place))) return "place";
    if (run->at.epoch > (uint32_t)run->config->train.epochs || run->at.step > run->steps)
        return "place";
    const char *plan = json_string_value(json_object_get(archive->metadata, "plan"));
    if (plan) {
        run->plan = strdup(plan);
        NL_NEED(run->plan);
    }
    return NULL;
}

int nl_run_find_state(const nl_unit *unit, bool *found, nl_error *err) {
    char path[NL_PATH_SIZE];
    *found = nl_unit_has(unit, NL_FILE_STATE);
    const char *trace = *found ? NULL : nl_unit_trace(unit);
    if (!trace) return NL_OK;
    nl_fail(err, NL_EDATA, nl_unit_file(unit, path, NL_FILE_STATE),
            "is gone, but %s is there: the run cannot go on", trace);
    return nl_hint(err, "put it back, or --overwrite starts the run anew");
}

int nl_run_load_state(nl_run *run, nl_error *err) {
    char path[NL_PATH_SIZE];
    nl_unit_file(&run->unit, path, NL_FILE_STATE);
    nl_archive archive;
    int code = nl_archive_read(&archive, path, err);
    if (code) return nl_hint(err, "--overwrite starts the run anew");
    code = check_identity(&archive, run, path, err);
    const char *field = code ? NULL : archive.sealed ? take(run, &archive) : "__metadata__";
    nl_archive_free(&archive);
    if (!field) return code;
    nl_fail(err, NL_EDATA, path, "%s: does not fit this run", field);
    return nl_hint(err, "--overwrite starts the run anew");
}

/* --- weights -------------------------------------------------------------------------------- */

/* Takes float weights; they are freed. */
static void take_floats(nl_run *run, float *params, float *buffers) {
    const int size = run->study->backend->real_size;
    const nl_model *model = &run->model;
    nl_reals_copy(run->state.params, size, params, sizeof *params, model->params_size);
    nl_reals_copy(run->state.buffers, size, buffers, sizeof *buffers, model->buffers_size);
    free(params);
    free(buffers);
}

int nl_run_init_state(nl_run *run, nl_error *err) {
    const nl_model *model = &run->model;
    const char *file = run->item->init;
    char sha256[65];
    float *params = nl_alloc((size_t)model->params_size, sizeof *params, "weights");
    float *buffers = nl_alloc((size_t)model->buffers_size, sizeof *buffers, "running values");
    int code = NL_OK;
    if (file[0])
        code = nl_init_read(sha256, file, model, params, buffers, NULL, err);
    else
        nl_model_init(model, params, buffers, nl_config_seed(run->config, NL_STREAM_INIT));
    if (!code && file[0] && strcmp(sha256, run->item->init_sha256) != 0)
        code = nl_fail(err, NL_EDATA, file, "it changed since the command began");
    take_floats(run, params, buffers);
    return code;
}

int nl_run_load_last(nl_run *run, nl_error *err) {
    char path[NL_PATH_SIZE];
    const nl_model *model = &run->model;
    float *params = nl_alloc((size_t)model->params_size, sizeof *params, "weights");
    float *buffers = nl_alloc((size_t)model->buffers_size, sizeof *buffers, "running values");
    const int code = nl_checkpoint_read(nl_unit_file(&run->unit, path, NL_FILE_LAST), model, params,
                                        buffers, NULL, err);
    take_floats(run, params, buffers);
    return code;
}

static float *to_floats(const nl_run *run, const void *from, int64_t count) {
    float *to = nl_alloc((size_t)count, sizeof *to, "weights");
    nl_reals_copy(to, sizeof *to, from, run->study->backend->real_size, count);
    return to;
}

int nl_run_save_weights(nl_run *run, const char *file, nl_error *err) {
    char path[NL_PATH_SIZE];
    float *params = to_floats(run, run->state.params, run->model.params_size);
    float *buffers = to_floats(run, run->state.buffers, run->model.buffers_size);
    const int code = nl_checkpoint_write(nl_unit_file(&run->unit, path, file), run->config,
                                         &run->model, params, buffers, err);
    free(params);
    free(buffers);
    return code;
}
