/* normlab train CONFIG...: every config with every seed, then the report.
 *
 * Everything that can be refused is refused before the first file is written: arguments, configs,
 * folders and checkpoints, then the device, then the data. */
#include <signal.h> // signal
#include <stdio.h>  // printf
#include <stdlib.h> // free

#include "commands.h"
#include "config_path.h"       // nl_config_load_named
#include "normlab/diagnose.h"  // nl_diagnose
#include "normlab/report.h"    // nl_report
#include "normlab/train.h"     // nl_study
#include "normlab/run_files.h" // NL_REPORT_PAGE
#include "train_options.h"

static int load_config(nl_config *config, const train_arguments *a, const char *path,
                       nl_error *err) {
    int code = nl_config_load_named(config, path, err);
    for (int i = 0; i < a->n_assignments && !code; i++)
        code = nl_config_set(config, a->assignments[i], err);
    return code ? code : nl_model_check(config, err);
}

static int plan(nl_study *study, train_arguments *a) {
    nl_config *configs = nl_alloc((size_t)a->n_paths, sizeof *configs, "configs");
    int code = NL_OK;
    for (int i = 0; i < a->n_paths && !code; i++)
        code = load_config(&configs[i], a, a->paths[i], &a->err);
    if (!code)
        code = nl_study_plan(study, configs, a->n_paths, a->seeds.list, a->seeds.count, &a->err);
    free(configs);
    if (!code && a->shard.parts > 0) nl_study_deal(study, a->shard.part, a->shard.parts);
    return code;
}

/* Runs of 0 epochs leave nothing to report; one that failed is a result. */
static bool has_results(const nl_study *study) {
    for (int i = 0; i < study->n_runs; i++)
        if (study->runs[i].has_final || study->runs[i].status == NL_RUN_FAILED) return true;
    return false;
}

/* The report has the variants of this command in their order, and then those that were there. */
static int report(const nl_study *study, nl_error *err) {
    const char **names = nl_alloc((size_t)study->n_runs, sizeof *names, "names");
    for (int i = 0; i < study->n_runs; i++) names[i] = study->runs[i].config.name;
    const char *const folder = study->options.out;
    const int code = nl_report_make(
        &(nl_report_of){
            .folders = &folder, .n_folders = 1, .names = names, .n_names = study->n_runs},
        err);
    free(names);
    return code;
}

/* One set for all runs: nl_study_check has seen to it. */
static int load_data(nl_dataset *data, const nl_study *study, train_arguments *a) {
    const nl_config *config = &study->runs[0].config;
    if (!a->data) {
        nl_dataset_default_dir(a->default_data, sizeof a->default_data, config->data.picture.set);
        a->data = a->default_data;
    }
    return nl_dataset_load(data, a->data, &config->data.picture, &a->err);
}

static int run(nl_study *study, nl_dataset *data, train_arguments *a) {
    int code = plan(study, a);
    if (!code && study->n_runs == 0) {
        printf("part %d of %d: no run falls to it\n", a->shard.part, a->shard.parts);
        return NL_OK;
    }
    if (!code) code = nl_study_check(study, &a->err);
    if (!code) code = nl_backend_select(&study->backend, &study->device, a->device, &a->err);
    if (!code) code = load_data(data, study, a);
    if (!code) code = nl_study_check_data(study, &a->err);
    if (!code) code = train_arguments_make_out(a);
    if (!code) code = nl_study_train(study, &a->err);
    if (code && code != NL_ENONFINITE) return code;
    printf("\nruns: %s\n", study->options.out);
    if (a->no_report || !has_results(study)) return code;
    if (a->shard.parts > 1) {
        puts("report: of all parts, once they are there: normlab report DIR...");
        return code;
    }
    nl_error err;
    const int report_code = report(study, &err);
    if (report_code)
        nl_error_print(&err);
    else
        printf("report: %s/" NL_REPORT_FOLDER "/" NL_REPORT_PAGE "\n", study->options.out);
    return code ? code : report_code;
}

int nl_cmd_train(int argc, char **argv) {
    train_arguments a;
    nl_dataset data = {0};
    signal(SIGPIPE, SIG_IGN); /* hours of training are worth more than the log's reader */
    int code = train_arguments_parse(&a, argc, argv);
    nl_study study = {.data = &data,
                      .diagnose = nl_diagnose,
                      .layer_stats = nl_layer_stats_of,
                      .options = a.options};
    if (!code) code = run(&study, &data, &a);
    if (code) nl_error_print(&a.err);
    nl_study_free(&study);
    nl_dataset_free(&data);
    train_arguments_free(&a);
    return code;
}
