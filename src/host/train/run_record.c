/* run.json: what a run is and how it ended (its keys: normlab/train.h), and whether a run can go on
 * where an earlier one with that record stopped. */
#include "normlab/differences.h" // nl_differences
#include "trainer.h"

#include <errno.h>   // errno
#include <jansson.h> // json_pack
#include <limits.h>  // INT_MAX
#include <math.h>    // isnan
#include <stdlib.h>  // free
#include <string.h>  // strcmp
#include <time.h>    // gmtime_r
#include <unistd.h>  // access

#include "base/number.h"        // nl_json_precision
#include "normlab/checkpoint.h" // nl_file_write
#include "normlab/run_files.h"  // NL_FILE_RUN
#include "base/regular.h"       // nl_regular_read

/* --- writing -------------------------------------------------------------------------------- */

static void utc_now(char text[32]) {
    const time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

static json_t *describe_device(const nl_run *run) {
    char text[512] = "";
    run->study->backend->describe(run->engine, text, sizeof text);
    return json_pack("{s:s, s:s}", "backend", run->study->backend->name, "description", text);
}

static json_t *describe_plan(const nl_run *run) {
    const nl_backend *backend = run->study->backend;
    char *text = backend->plan ? backend->plan(run->engine) : NULL;
    json_t *plan = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    return plan ? plan : json_null();
}

static json_t *describe_sums(const nl_dataset *data) {
    json_t *sums = json_object();
    for (int i = 0; i < data->n_files; i++)
        json_object_set_new(sums, data->files[i].name, json_string(data->files[i].sha256));
    return sums;
}

json_t *nl_record_data(const nl_dataset *data) {
    return json_pack("{s:I, s:I, s:o}", "train", (json_int_t)data->train.count, "test",
                     (json_int_t)data->test.count, "sha256", describe_sums(data));
}

void nl_record_data_sha256(char sha256[65], const nl_dataset *data) {
    json_t *sums = describe_sums(data);
    char *text = json_dumps(sums, JSON_COMPACT | JSON_SORT_KEYS);
    NL_NEED(text);
    nl_sha256_hex(sha256, text, strlen(text));
    json_decref(sums);
    free(text);
}

/* null for no text, and for a file name that is no UTF-8. */
static json_t *text_or_null(const char *text) {
    json_t *json = text ? json_string(text) : NULL;
    return json ? json : json_null();
}

static json_t *describe_options(const nl_run *run) {
    const nl_study *study = run->study;
    const nl_study_run *r = run->item;
    return json_pack("{s:o, s:I, s:I, s:I, s:b, s:i, s:o, s:o}", "data",
                     text_or_null(study->data->dir), "limit_batches",
                     (json_int_t)study->options.limit_batches, "log_every",
                     (json_int_t)r->log_every, "save_every", (json_int_t)r->save_every,
                     "layer_stats", r->layer_stats, "threads", study->options.threads, "init",
                     text_or_null(r->init[0] ? r->init : NULL), "init_sha256",
                     text_or_null(r->init_sha256[0] ? r->init_sha256 : NULL));
}

static json_t *describe_failure(const nl_failure *f) {
    if (!f->failed) return json_null();
    const char *loss = isnan(f->loss) ? "nan" : f->loss < 0 ? "-inf" : "inf";
    return json_pack("{s:I, s:o, s:s}", "epoch", (json_int_t)f->epoch, "step",
                     f->step < 0 ? json_null() : json_integer(f->step), "loss", loss);
}

int nl_run_write_record(nl_run *run, const char *status, const char *error, nl_error *err) {
    char updated[32], path[NL_PATH_SIZE];
    json_t *config = nl_config_to_json(run->config);
    const size_t precision = nl_json_precision(config);
    utc_now(updated);
    if (!run->started[0]) snprintf(run->started, sizeof run->started, "%s", updated);
    json_t *json = json_pack(
        "{s:s, s:I, s:s, s:o, s:o, s:s, s:s, s:I, s:o, s:o, s:o, s:{s:s}, s:o, s:o}", "name",
        run->config->name, "seed", (json_int_t)run->config->train.seed, "status", status, "error",
        text_or_null(error), "failure", describe_failure(&run->failure), "started", run->started,
        "updated", updated, "parameters", (json_int_t)run->model.n_params, "config", config,
        "options", describe_options(run), "device", describe_device(run), "versions", "normlab",
        NL_VERSION, "plan", describe_plan(run), "data", nl_record_data(run->study->data));
    NL_ASSERT(json);
    char *text = json_dumps(json, JSON_INDENT(2) | precision);
    NL_NEED(text);
    json_decref(json);
    const int code =
        nl_file_write(nl_unit_file(&run->unit, path, NL_FILE_RUN), text, strlen(text), err);
    free(text);
    return code;
}

/* --- reading and comparing ------------------------------------------------------------------ */

/* Without run.json there is no run, unless something else of one is there. */
static int check_no_run(const char *record, bool absent, const char *reason, nl_error *err) {
    if (absent) return NL_OK;
    nl_fail(err, NL_EDATA, record, "cannot read: %s", reason);
    return nl_hint(err, "--overwrite starts the run anew");
}

int nl_record_read(json_t **record, const nl_unit *unit, nl_error *err) {
    char path[NL_PATH_SIZE];
    *record = NULL;
    char reason[NL_REASON];
    /* Looked at first, as run.json is written before them: another process may begin just now. */
    const bool others = nl_unit_has(unit, NL_FILE_STATE) || nl_unit_trace(unit);
    size_t size;
    char *text = nl_regular_read(nl_unit_file(unit, path, NL_FILE_RUN), &size, reason);
    if (!text) return check_no_run(path, errno == ENOENT && !others, reason, err);
    json_error_t error;
    *record = json_loadb(text, size, 0, &error);
    free(text);
    if (json_is_object(*record)) return NL_OK;
    json_decref(*record);
    *record = NULL;
    nl_fail(err, NL_EDATA, path, "not the record of a run: line %d: %s", error.line, error.text);
    return nl_hint(err, "--overwrite starts the run anew");
}

static int refuse(const nl_unit *unit, int code, nl_error *err, const char *what) {
    nl_fail(err, code, unit->folder, "cannot resume: the run that is there differs in %s", what);
    return nl_hint(err, "repeat the options of that run, or choose another --out, or --overwrite");
}

/* Why epochs cannot just be added, where that is the reason. */
static int hint_cosine(const nl_config *old, const nl_config *now, nl_error *err) {
    if (now->train.schedule.kind != NL_SCHEDULE_COSINE || old->train.epochs == now->train.epochs)
        return NL_EUSAGE;
    return nl_hint(err,
                   "a cosine schedule stretches over all epochs: its %d cannot become %d; choose "
                   "another --out, or --overwrite",
                   old->train.epochs, now->train.epochs);
}

/* The keys that differ; more epochs continue a run as if they had been asked for at once, unless
 * the schedule stretches with them. */
static int match_keys(const nl_config *old, const nl_unit *unit, const nl_config *config,
                      nl_error *err) {
    nl_config now = *config;
    if (now.train.schedule.kind != NL_SCHEDULE_COSINE && old->train.epochs < now.train.epochs)
        now.train.epochs = old->train.epochs;
    if (strcmp(old->name, now.name) != 0) return refuse(unit, NL_EUSAGE, err, "its name");
    nl_differences d = {0};
    d.n = nl_config_differences(d.names, old, &now);
    if (d.n == 0) return NL_OK;
    char *keys = nl_differences_text(&d, d.n);
    refuse(unit, NL_EUSAGE, err, keys);
    free(keys);
    return hint_cosine(old, config, err);
}

int nl_record_match_config(const json_t *record, const nl_unit *unit, const nl_study_run *item,
                           const nl_train_options *options, nl_error *err) {
    char path[NL_PATH_SIZE];
    nl_config old;
    int code = nl_model_config_from_json(&old, json_object_get(record, "config"),
                                         nl_unit_file(unit, path, NL_FILE_RUN), err);
    if (code) return nl_hint(err, "--overwrite starts the run anew");
    code = match_keys(&old, unit, &item->config, err);
    if (code) return code;

    const json_t *were = json_object_get(record, "options");
    const json_t *limit = json_object_get(were, "limit_batches");
    const char *init = json_string_value(json_object_get(were, "init"));
    const char *sum = json_string_value(json_object_get(were, "init_sha256"));
    if (!limit || json_integer_value(limit) != (json_int_t)options->limit_batches)
        return refuse(unit, NL_EUSAGE, err, NL_DIFFER_LIMIT);
    if (!options->init) return NL_OK;
    /* By its weights; a record without their hash tells only the file's name. */
    const bool same =
        init && (sum ? strcmp(sum, item->init_sha256) == 0 : strcmp(init, options->init) == 0);
    return same ? NL_OK : refuse(unit, NL_EUSAGE, err, "--init");
}

int nl_record_match_data(const json_t *record, const nl_unit *unit, const nl_study *study,
                         nl_error *err) {
    const char *backend = NULL;
    json_unpack((json_t *)record, "{s:{s:s}}", "device", "backend", &backend);
    if (!backend || strcmp(backend, study->backend->name) != 0) {
        refuse(unit, NL_EUSAGE, err, "the device");
        return nl_hint(err, "that run was trained with --device %s", backend ? backend : "?");
    }
    const json_t *sums = json_object_get(json_object_get(record, "data"), "sha256");
    for (int i = 0; i < study->data->n_files; i++) {
        const char *file = study->data->files[i].name;
        const char *sum = json_string_value(json_object_get(sums, file));
        if (sum && strcmp(sum, study->data->files[i].sha256) == 0) continue;
        refuse(unit, NL_EDATA, err, "the data");
        return nl_hint(err, "%s is another file; --data names the folder", file);
    }
    return NL_OK;
}

int nl_record_epochs(const json_t *record) {
    const json_t *train = json_object_get(json_object_get(record, "config"), "train");
    const json_t *epochs = json_object_get(train, "epochs");
    const json_int_t value = json_is_integer(epochs) ? json_integer_value(epochs) : -1;
    return value >= 0 && value <= INT_MAX ? (int)value : -1;
}

bool nl_record_finished(const json_t *record, int epochs) {
    const char *status = json_string_value(json_object_get(record, "status"));
    return status && strcmp(status, "finished") == 0 && nl_record_epochs(record) >= epochs;
}

bool nl_record_diverged(const json_t *record) {
    const char *status = json_string_value(json_object_get(record, "status"));
    return status && strcmp(status, "failed") == 0 &&
           json_is_object(json_object_get(record, "failure"));
}
