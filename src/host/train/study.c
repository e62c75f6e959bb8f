/* A study: what is to be trained, whether it may be, and one run after the other. */
#include "trainer.h"

#include <jansson.h>  // json_decref
#include <stdlib.h>   // free
#include <string.h>   // strcmp
#include <sys/stat.h> // stat
#include <unistd.h>   // isatty

#include "base/signals.h" // nl_signals_catch

#include "normlab/checkpoint.h" // nl_checkpoint_read
#include "normlab/run_files.h"  // NL_FILE_METRICS

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

static int check_init(const nl_study *study, const nl_model *model, bool *sealed, nl_error *err) {
    if (!study->options.init) return NL_OK;
    float *params = nl_alloc((size_t)model->params_size, sizeof *params, "weights");
    float *buffers = nl_alloc((size_t)model->buffers_size, sizeof *buffers, "running values");
    const int code = nl_checkpoint_read(study->options.init, model, params, buffers, sealed, err);
    free(params);
    free(buffers);
    return code;
}

static int check_folder(const nl_study *study, const nl_config *config, nl_error *err) {
    const nl_train_options *o = &study->options;
    nl_unit unit;
    json_t *record = NULL;
    int code = nl_unit_init(&unit, o->out, config->name, config->train.seed, err);
    if (!code) code = nl_unit_check(&unit, o->resume || o->overwrite, err);
    if (!code && o->resume) code = nl_record_read(&record, &unit, err);
    if (record) code = nl_record_match_config(record, &unit, config, o, err);
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
    if (same && strcmp(config->data.set, first->data.set) == 0) return NL_OK;
    nl_fail(err, NL_EUSAGE, config->name, "its data are not those of %s (%s)", first->name,
            same ? "data.set" : "data.shape or data.classes");
    return nl_hint(err, "one command trains on one set: train the others with another command");
}

int nl_study_check(const nl_study *study, nl_error *err) {
    const nl_train_options *o = &study->options;
    struct stat info;
    if (o->resume && stat(o->out, &info) != 0) {
        nl_fail(err, NL_EDATA, o->out, "no such folder: there is nothing to resume");
        return nl_hint(err, "--out names the folder of the earlier runs");
    }
    nl_model *model = nl_alloc(1, sizeof *model, "model");
    bool sealed = true;
    int code = NL_OK;
    for (int i = 0; i < study->n_runs && !code; i++) {
        code = nl_model_build(model, &study->runs[i].config, 0, err);
        if (!code) code = check_picture(&study->runs[i].config, &study->runs[0].config, err);
        if (!code) code = check_folder(study, &study->runs[i].config, err);
        if (!code) code = check_init(study, model, &sealed, err);
        if (!code && is_first(study, i))
            code = nl_siblings_check(study, &study->runs[i].config, false, err);
    }
    free(model);
    if (!code && !sealed) nl_checkpoint_warn(o->init);
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

/* --- training ------------------------------------------------------------------------------- */

/* A run that an earlier command finished: its result is read, nothing is trained. */
static int skip_if_finished(const nl_study *study, nl_study_run *item, nl_error *err) {
    nl_unit unit;
    char path[NL_PATH_SIZE];
    json_t *record = NULL;
    if (!study->options.resume) return NL_OK;
    int code =
        nl_unit_init(&unit, study->options.out, item->config.name, item->config.train.seed, err);
    if (!code) code = nl_record_read(&record, &unit, err);
    if (record && nl_record_finished(record, item->config.train.epochs)) {
        item->status = NL_RUN_FINISHED;
        item->has_final =
            nl_metrics_read_final(nl_unit_file(&unit, path, NL_FILE_METRICS), &item->final);
    }
    json_decref(record);
    return code;
}

static void announce(const nl_study *study, int i, nl_progress *progress) {
    const nl_study_run *item = &study->runs[i];
    const nl_train_options *o = &study->options;
    char text[96];
    if (o->quiet) return;
    printf("%s, seed %u: run %d of %d", item->config.name, item->config.train.seed, i + 1,
           study->n_runs);
    if (study->n_runs > 1 && progress->work_done > 0)
        printf(" (all: %s)", nl_progress_study_text(progress, text));
    printf(" -> %s/%s/" NL_SEED_FOLDER "\n", o->out, item->config.name, item->config.train.seed);
    if (item->status == NL_RUN_FINISHED) puts("finished before\n");
    fflush(stdout);
}

static uint64_t work_of(const nl_study *study, const nl_study_run *item) {
    if (item->status == NL_RUN_FINISHED) return 0;
    const nl_config *config = &item->config;
    return (uint64_t)config->train.epochs *
           nl_pass_steps(&study->options, study->data->train.count, config->data.batch);
}

static int train_all(nl_study *study, nl_progress *progress, nl_error *err) {
    int result = NL_OK;
    for (int i = 0; i < study->n_runs && !nl_signals_caught(); i++) {
        nl_study_run *item = &study->runs[i];
        announce(study, i, progress);
        if (item->status == NL_RUN_FINISHED) continue;
        const int code = nl_train_run(study, item, progress, err);
        if (code == NL_ENONFINITE) {
            if (i + 1 < study->n_runs) nl_error_print(err);
            result = code;
        } else if (code) {
            return code;
        }
    }
    if (!nl_signals_caught()) return result;
    nl_fail(err, nl_signals_caught(), study->options.out, "interrupted between two runs");
    return nl_hint(err, "the same command with --resume goes on");
}

int nl_study_train(nl_study *study, nl_error *err) {
    nl_progress progress = {.shown = !study->options.quiet && isatty(STDERR_FILENO),
                            .n_runs = study->n_runs,
                            .study_started = nl_clock()};
    for (int i = 0; i < study->n_runs; i++) {
        const int code = skip_if_finished(study, &study->runs[i], err);
        if (code) return code;
        progress.work += work_of(study, &study->runs[i]);
    }
    nl_signals_catch();
    const int code = train_all(study, &progress, err);
    nl_signals_release();
    bool any = false;
    for (int i = 0; i < study->n_runs; i++) any = any || study->runs[i].has_final;
    if (any) nl_log_table(study);
    return code;
}
