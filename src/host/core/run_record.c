/* run.json: what a run is and how it ended (its keys: normlab/train.h), and whether a run can go on
 * where an earlier one with that record stopped. */
#include "trainer.h"

#include <errno.h>   // errno
#include <jansson.h> // json_pack
#include <stdlib.h>  // free
#include <string.h>  // strcmp
#include <time.h>    // gmtime_r
#include <unistd.h>  // access

#include "normlab/checkpoint.h" // nl_file_write

/* 15 digits: 0.1 stays 0.1. */
enum { DUMP_FLAGS = JSON_INDENT(2) | JSON_REAL_PRECISION(15) };

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
    for (int i = 0; i < NL_FILES; i++)
        json_object_set_new(sums, nl_file_name((enum nl_file)i), json_string(data->sha256[i]));
    return sums;
}

static json_t *describe_data(const nl_dataset *data) {
    return json_pack("{s:I, s:I, s:o}", "train", (json_int_t)data->train.count, "test",
                     (json_int_t)data->test.count, "sha256", describe_sums(data));
}

/* null for no text, and for a file name that is no UTF-8. */
static json_t *text_or_null(const char *text) {
    json_t *json = text ? json_string(text) : NULL;
    return json ? json : json_null();
}

static json_t *describe_options(const nl_study *study) {
    const nl_train_options *o = &study->options;
    return json_pack("{s:o, s:I, s:I, s:i, s:o}", "data", text_or_null(study->data->dir),
                     "limit_batches", (json_int_t)o->limit_batches, "log_every",
                     (json_int_t)o->log_every, "threads", o->threads, "init",
                     text_or_null(o->init));
}

int nl_run_write_record(nl_run *run, const char *status, const char *error, nl_error *err) {
    char updated[32], path[NL_PATH_SIZE];
    utc_now(updated);
    if (!run->started[0]) snprintf(run->started, sizeof run->started, "%s", updated);
    json_t *json = json_pack(
        "{s:s, s:I, s:s, s:o, s:s, s:s, s:I, s:o, s:o, s:o, s:{s:s}, s:o, s:o}", "name",
        run->config->name, "seed", (json_int_t)run->config->train.seed, "status", status, "error",
        text_or_null(error), "started", run->started, "updated", updated, "parameters",
        (json_int_t)run->model.n_params, "config", nl_config_to_json(run->config), "options",
        describe_options(run->study), "device", describe_device(run), "versions", "normlab",
        NL_VERSION, "plan", describe_plan(run), "data", describe_data(run->study->data));
    NL_ASSERT(json);
    char *text = json_dumps(json, DUMP_FLAGS);
    NL_ASSERT(text);
    json_decref(json);
    const int code =
        nl_file_write(nl_unit_file(&run->unit, path, "run.json"), text, strlen(text), err);
    free(text);
    return code;
}

/* --- reading and comparing ------------------------------------------------------------------ */

/* Without run.json there is no run, unless something else of one is there. */
static int check_no_run(const nl_unit *unit, const char *record, int failure, nl_error *err) {
    char state[NL_PATH_SIZE];
    const bool saved = access(nl_unit_file(unit, state, "state.safetensors"), F_OK) == 0;
    if (failure == ENOENT && !saved) return NL_OK;
    nl_fail(err, NL_EDATA, record, "cannot read: %s", strerror(failure));
    return nl_hint(err, "--overwrite starts the run anew");
}

int nl_record_read(json_t **record, const nl_unit *unit, nl_error *err) {
    char path[NL_PATH_SIZE];
    *record = NULL;
    FILE *file = fopen(nl_unit_file(unit, path, "run.json"), "re");
    if (!file) return check_no_run(unit, path, errno, err);
    json_error_t error;
    *record = json_loadf(file, 0, &error);
    fclose(file);
    if (json_is_object(*record)) return NL_OK;
    json_decref(*record);
    *record = NULL;
    nl_fail(err, NL_EDATA, path, "not the record of a run: line %d: %s", error.line, error.text);
    return nl_hint(err, "--overwrite starts the run anew");
}

/* Whether old and now differ; key: the dotted path of the first value that does. */
static bool differ(const json_t *old, const json_t *now, char *key, size_t room) {
    const size_t length = strlen(key);
    if (!json_is_object(old) || !json_is_object(now)) return !json_equal(old, now);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)now, name, value) {
        snprintf(key + length, room - length, "%s%s", length ? "." : "", name);
        if (differ(json_object_get(old, name), value, key, room)) return true;
        key[length] = '\0';
    }
    return json_object_size(old) != json_object_size(now);
}

/* The config as it reads after a trip through a file. */
static json_t *config_as_written(const nl_config *config) {
    json_t *json = nl_config_to_json(config);
    char *text = json_dumps(json, DUMP_FLAGS);
    json_decref(json);
    json = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    NL_ASSERT(json);
    return json;
}

static int old_epochs(const json_t *record) {
    int epochs = -1;
    json_unpack((json_t *)record, "{s:{s:{s:i}}}", "config", "train", "epochs", &epochs);
    return epochs;
}

static int refuse(const nl_unit *unit, int code, nl_error *err, const char *key) {
    nl_fail(err, code, unit->folder, "cannot resume: %s is not that of the run that is there", key);
    return nl_hint(err, "repeat the options of that run, or choose another --out, or --overwrite");
}

int nl_record_match_config(const json_t *record, const nl_unit *unit, const nl_config *config,
                           const nl_train_options *options, nl_error *err) {
    /* More epochs continue a run as if they had been asked for at once, unless the schedule
     * stretches with them. */
    nl_config expected = *config;
    const int epochs = old_epochs(record);
    if (config->train.schedule.kind != NL_SCHEDULE_COSINE && epochs >= 0 &&
        epochs < config->train.epochs)
        expected.train.epochs = epochs;
    json_t *now = config_as_written(&expected);
    char key[256] = "";
    const bool other = differ(json_object_get(record, "config"), now, key, sizeof key);
    json_decref(now);
    if (other) return refuse(unit, NL_EUSAGE, err, *key ? key : "the config");

    json_int_t limit = -1;
    const char *init = NULL;
    json_unpack((json_t *)record, "{s:{s:I, s:s?}}", "options", "limit_batches", &limit, "init",
                &init);
    if (limit != (json_int_t)options->limit_batches)
        return refuse(unit, NL_EUSAGE, err, "--limit-batches");
    if (options->init && (!init || strcmp(init, options->init) != 0))
        return refuse(unit, NL_EUSAGE, err, "--init");
    return NL_OK;
}

int nl_record_match_data(const json_t *record, const nl_unit *unit, const nl_study *study,
                         nl_error *err) {
    const char *backend = NULL;
    json_unpack((json_t *)record, "{s:{s:s}}", "device", "backend", &backend);
    if (!backend || strcmp(backend, study->backend->name) != 0) {
        refuse(unit, NL_EUSAGE, err, "the device");
        return nl_hint(err, "that run was trained with --device %s", backend ? backend : "?");
    }
    json_t *now = describe_sums(study->data);
    char key[256] = "";
    const json_t *old = json_object_get(json_object_get(record, "data"), "sha256");
    const bool other = differ(old, now, key, sizeof key);
    json_decref(now);
    if (!other) return NL_OK;
    refuse(unit, NL_EDATA, err, "the data");
    return nl_hint(err, "%s differs; --data names the folder", *key ? key : "it");
}

bool nl_record_finished(const json_t *record, int epochs) {
    const char *status = json_string_value(json_object_get(record, "status"));
    return status && strcmp(status, "finished") == 0 && old_epochs(record) >= epochs;
}
