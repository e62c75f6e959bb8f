/* A study: what is to be trained, and whether it may be. */
#include "trainer.h"

#include <jansson.h>  // json_decref
#include <stdio.h>    // snprintf
#include <stdlib.h>   // free
#include <string.h>   // strcmp
#include <sys/stat.h> // stat

#include "normlab/checkpoint.h" // nl_checkpoint_warn
#include "normlab/run_files.h"  // NL_FILE_STATE

/* --- planning ------------------------------------------------------------------------------- */

int nl_study_plan(nl_study *study, const nl_config *configs, int n_configs, const uint32_t *seeds,
                  int n_seeds, nl_error *err) {
    for (int i = 0; i < n_configs; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(configs[i].name, configs[k].name) == 0) {
                nl_fail(err, NL_EUSAGE, configs[i].name, "two configs have this name");
                return nl_hint(err, "runs are told apart by the config's file name: rename one");
            }
    const int per_config = n_seeds > 0 ? n_seeds : 1;
    study->n_runs = n_configs * per_config;
    study->runs = nl_alloc((size_t)study->n_runs, sizeof *study->runs, "runs");
    for (int i = 0; i < study->n_runs; i++) {
        nl_config *config = &study->runs[i].config;
        *config = configs[i / per_config];
        if (n_seeds > 0) config->train.seed = seeds[i % per_config];
    }
    return NL_OK;
}

void nl_study_deal(nl_study *study, int part, int parts) {
    int kept = 0;
    NL_ASSERT(part >= 1 && part <= parts);
    for (int i = part - 1; i < study->n_runs; i += parts) study->runs[kept++] = study->runs[i];
    study->n_runs = kept;
}

void nl_study_free(nl_study *study) {
    free(study->runs);
    study->runs = NULL;
    study->n_runs = 0;
}

/* --- checks, before anything is written ----------------------------------------------------- */

/* The smallest batch that will be trained on. */
static int smallest_batch(const nl_study *study, const nl_config *config) {
    const uint32_t count = study->data->train.count, batch = (uint32_t)config->data.batch;
    if (config->train.epochs == 0) return 0;
    const uint32_t rest = nl_pass_images(&study->options, count, (int)batch) % batch;
    return (int)(rest ? rest : batch);
}

/* Whether the run is saved: then the weights it began with are in its past. */
static bool is_saved(const nl_study *study, const nl_config *config) {
    nl_unit unit;
    return study->options.resume &&
           !nl_unit_init(&unit, study->options.out, config->name, config->train.seed, NULL) &&
           nl_unit_has(&unit, NL_FILE_STATE);
}

/* Reads the file and notes its hash; the one of an earlier run has to be the same. */
static int check_init(const nl_study *study, nl_study_run *item, const nl_model *model,
                      bool *sealed, nl_error *err) {
    char sha256[65];
    if (!item->init[0] || (!study->options.init && is_saved(study, &item->config))) return NL_OK;
    float *params = nl_alloc((size_t)model->params_size, sizeof *params, "weights");
    float *buffers = nl_alloc((size_t)model->buffers_size, sizeof *buffers, "running values");
    const int code = nl_init_read(sha256, item->init, model, params, buffers, sealed, err);
    free(params);
    free(buffers);
    if (code) return code;
    if (item->init_sha256[0] && strcmp(item->init_sha256, sha256) != 0) {
        nl_fail(err, NL_EDATA, item->init, "its weights are not those the run was to start from");
        return nl_hint(err, "put the file back, or --overwrite starts the run anew");
    }
    snprintf(item->init_sha256, sizeof item->init_sha256, "%s", sha256);
    return NL_OK;
}

static int check_folder(const nl_study *study, const nl_study_run *item, nl_error *err) {
    const nl_train_options *o = &study->options;
    const nl_config *config = &item->config;
    nl_unit unit;
    json_t *record = NULL;
    int code = nl_unit_init(&unit, o->out, config->name, config->train.seed, err);
    if (!code && !o->join) code = nl_unit_check(&unit, o->resume || o->overwrite, err);
    if (!code && o->resume) code = nl_record_read(&record, &unit, err);
    if (record) code = nl_record_match_config(record, &unit, item, o, err);
    json_decref(record);
    return code;
}

/* Whether run i is the first of its config. */
static bool is_first(const nl_study *study, int i) {
    return i == 0 || strcmp(study->runs[i].config.name, study->runs[i - 1].config.name) != 0;
}

/* All runs of a command are trained on the same files. */
static int check_picture(const nl_config *config, const nl_config *first, nl_error *err) {
    const nl_picture *a = &config->data.picture, *b = &first->data.picture;
    const bool same =
        memcmp(&a->shape, &b->shape, sizeof a->shape) == 0 && a->classes == b->classes;
    if (same && strcmp(config->data.picture.set, first->data.picture.set) == 0) return NL_OK;
    nl_fail(err, NL_EUSAGE, config->name, "its data are not those of %s (%s)", first->name,
            same ? "data.set" : "data.shape or data.classes");
    return nl_hint(err, "one command trains on one set: train the others with another command");
}

int nl_study_check(nl_study *study, nl_error *err) {
    const nl_train_options *o = &study->options;
    struct stat info;
    if (o->resume && !o->join && stat(o->out, &info) != 0) {
        nl_fail(err, NL_EDATA, o->out, "no such folder: there is nothing to resume");
        return nl_hint(err, "--out names the folder of the earlier runs");
    }
    nl_model *model = nl_alloc(1, sizeof *model, "model");
    bool sealed = true;
    int code = nl_study_settle(study, err);
    for (int i = 0; i < study->n_runs && !code; i++) {
        code = nl_model_build(model, &study->runs[i].config, 0, err);
        if (!code) code = check_picture(&study->runs[i].config, &study->runs[0].config, err);
        if (!code) code = check_init(study, &study->runs[i], model, &sealed, err);
        if (!code) code = check_folder(study, &study->runs[i], err);
        if (!code && is_first(study, i))
            code = nl_siblings_check(study, &study->runs[i].config, false, err);
    }
    free(model);
    if (!code && !sealed) nl_checkpoint_warn(study->runs[0].init);
    return code;
}

int nl_study_check_data(const nl_study *study, nl_error *err) {
    nl_model *model = nl_alloc(1, sizeof *model, "model");
    int code = NL_OK;
    for (int i = 0; i < study->n_runs && !code; i++) {
        const nl_config *config = &study->runs[i].config;
        nl_unit unit;
        json_t *record = NULL;
        code = nl_model_build(model, config, smallest_batch(study, config), err);
        if (!code)
            code = nl_unit_init(&unit, study->options.out, config->name, config->train.seed, err);
        if (!code && study->options.resume) code = nl_record_read(&record, &unit, err);
        if (record) code = nl_record_match_data(record, &unit, study, err);
        if (!code && is_first(study, i)) code = nl_siblings_check(study, config, true, err);
        json_decref(record);
    }
    free(model);
    return code;
}
