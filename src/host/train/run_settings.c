/* What a run takes from the command line or, resumed, from its record where that does not say it. A
 * run that the earlier command did not come to takes what its first run there says. */
#include "trainer.h"

#include <jansson.h> // json_object_get
#include <stdlib.h>  // free
#include <string.h>  // memcpy

#include "config/config_keys.h" // nl_key_find
#include "normlab/checkpoint.h" // nl_checkpoint_read

static bool epochs_given(const nl_config *config) {
    const int key = nl_key_find(nl_config_keys, nl_config_key_count, "train.epochs");
    return config->lines[key] == NL_FROM_SET;
}

static void copy(char *to, size_t size, const char *text) {
    snprintf(to, size, "%s", text ? text : "");
}

static void take_options(nl_study_run *item, const nl_train_options *o) {
    item->log_every = o->log_every;
    item->save_every = o->save_every;
    item->layer_stats = o->layer_stats;
    copy(item->init, sizeof item->init, o->init);
    item->init_sha256[0] = '\0';
}

static uint32_t count_of(const json_t *options, const char *key) {
    const json_int_t value = json_integer_value(json_object_get(options, key));
    return value > 0 && value <= UINT32_MAX ? (uint32_t)value : 0;
}

static void take_record(nl_study_run *item, const nl_train_options *o, const json_t *record) {
    const json_t *options = json_object_get(record, "options");
    const int epochs = nl_record_epochs(record);
    if (!epochs_given(&item->config) && epochs >= 0) item->config.train.epochs = epochs;
    if (!o->log_every) item->log_every = count_of(options, "log_every");
    if (!o->save_every) item->save_every = count_of(options, "save_every");
    if (json_is_true(json_object_get(options, "layer_stats"))) item->layer_stats = true;
    if (o->init) return; /* compared when its weights are read */
    copy(item->init, sizeof item->init, json_string_value(json_object_get(options, "init")));
    copy(item->init_sha256, sizeof item->init_sha256,
         json_string_value(json_object_get(options, "init_sha256")));
}

static int read_record(json_t **record, const nl_study *study, const nl_config *config,
                       nl_error *err) {
    nl_unit unit;
    const int code = nl_unit_init(&unit, study->options.out, config->name, config->train.seed, err);
    return code ? code : nl_record_read(record, &unit, err);
}

int nl_study_settle(nl_study *study, nl_error *err) {
    const nl_train_options *o = &study->options;
    json_t **records = nl_alloc((size_t)study->n_runs, sizeof(json_t *), "records");
    json_t *first = NULL;
    int code = NL_OK;
    for (int i = 0; i < study->n_runs && !code; i++) {
        take_options(&study->runs[i], o);
        if (o->resume) code = read_record(&records[i], study, &study->runs[i].config, err);
        if (!first) first = records[i];
    }
    for (int i = 0; i < study->n_runs && !code && first; i++)
        take_record(&study->runs[i], o, records[i] ? records[i] : first);
    for (int i = 0; i < study->n_runs; i++) json_decref(records[i]);
    free(records);
    return code;
}

int nl_init_read(char sha256[65], const char *file, const nl_model *model, float *params,
                 float *buffers, bool *sealed, nl_error *err) {
    const int code = nl_checkpoint_read(file, model, params, buffers, sealed, err);
    if (!code)
        nl_sha256_hex_both(sha256, params, (size_t)model->params_size * sizeof *params, buffers,
                           (size_t)model->buffers_size * sizeof *buffers);
    return code;
}
