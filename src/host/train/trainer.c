/* One run from beginning to end. The order of the writes is what makes every moment resumable:
 * metrics, then last and best, then the state; what is newer than the state is cut off or written
 * again, the same, by the resumed run. */
#include "trainer.h"

#include <jansson.h> // json_decref
#include <stdio.h>   // snprintf
#include <stdlib.h>  // free
#include <unistd.h>  // access

#include "base/signals.h"       // nl_signals_caught
#include "normlab/checkpoint.h" // nl_file_guard
#include "normlab/run_files.h"  // NL_FILE_STATE

/* --- opening -------------------------------------------------------------------------------- */

static void allocate(nl_run *run) {
    const size_t images = run->study->data->train.count;
    run->state = nl_state_alloc(&run->model, run->study->backend->real_size);
    for (int i = 0; i < 2; i++) {
        nl_draws *d = &run->draws[i];
        d->epoch = -1;
        d->order = nl_alloc(images, sizeof *d->order, "order of the images");
        if (run->config->data.rotate > 0)
            d->rotations = nl_alloc(images, sizeof *d->rotations, "rotations");
    }
    run->records =
        nl_alloc((size_t)run->study->backend->burst, sizeof *run->records, "step records");
}

/* Whether the folder holds a run to go on with; it is checked against this one. */
static int find_earlier(nl_run *run, bool *found, nl_error *err) {
    const nl_study *study = run->study;
    *found = false;
    if (!study->options.resume) return NL_OK;
    json_t *record = NULL;
    int code = nl_record_read(&record, &run->unit, err);
    if (code || !record) return code;
    code = nl_record_match_config(record, &run->unit, run->item, &study->options, err);
    if (!code) code = nl_record_match_data(record, &run->unit, study, err);
    const char *started = json_string_value(json_object_get(record, "started"));
    if (started) snprintf(run->started, sizeof run->started, "%s", started);
    run->repair = nl_record_finished(record, run->config->train.epochs);
    json_decref(record);
    if (code || run->repair) return code;
    return nl_run_find_state(&run->unit, found, err);
}

static int open_engine(nl_run *run, nl_error *err) {
    const nl_study *study = run->study;
    run->spec = (nl_engine_spec){.config = run->config,
                                 .model = &run->model,
                                 .data = study->data,
                                 .seed = nl_config_seed(run->config, NL_STREAM_DROPOUT),
                                 .threads = run->threads,
                                 .device = study->device,
                                 .autotune = study->options.autotune,
                                 .plan = run->plan};
    const int code = study->backend->open(&run->engine, &run->spec, err);
    return code ? code : study->backend->set_state(run->engine, &run->state, err);
}

/* The files of a run's first moment. */
static int write_first_files(nl_run *run, bool fresh, nl_error *err) {
    char path[NL_PATH_SIZE];
    int code = nl_run_holds(run, err);
    if (!code && run->study->options.overwrite) code = nl_unit_clear(&run->unit, err);
    if (!code && !run->repair) code = nl_run_write_record(run, "running", NULL, err);
    if (!code)
        code = nl_metrics_open(&run->metrics, nl_unit_file(&run->unit, path, NL_FILE_METRICS),
                               run->at.metrics_bytes, err);
    if (!code && fresh) code = nl_run_save_weights(run, NL_FILE_INIT, err);
    if (!code && fresh) code = nl_run_save_state(run, err);
    /* Behind the state, so that records without one always mean that it was lost. */
    const nl_position *at = &run->at;
    const bool unrecorded = at->epoch == 0 && at->step == 0 && at->metrics_bytes == 0;
    if (!code && unrecorded) code = nl_run_record_layers(run, -1, err);
    return code;
}

/* Steps and epochs that need not be done, or will not. */
static void forget_work(nl_run *run, uint64_t steps, int epochs) {
    nl_progress_drop(&run->crew->progress, steps, epochs);
    atomic_fetch_sub(&run->crew->left[run->number], steps);
}

static int open_run(nl_run *run, nl_error *err) {
    bool earlier = false;
    int code = find_earlier(run, &earlier, err);
    if (code) return code;
    run->at = (nl_position){.best_epoch = -1};
    code = run->repair ? nl_repair_load(run, err)
           : earlier   ? nl_run_load_state(run, err)
                       : nl_run_init_state(run, err);
    if (!code) code = open_engine(run, err);
    if (!code) code = write_first_files(run, !earlier && !run->repair, err);
    if (!code && run->repair) code = nl_repair_weights(run, err);
    forget_work(run, (uint64_t)run->at.epoch * run->steps + run->at.step, 0);
    nl_progress_did(&run->crew->progress, 0, (int)run->at.epoch);
    return code;
}

static void close_run(nl_run *run) {
    nl_metrics_close(&run->metrics);
    if (run->engine) run->study->backend->close(run->engine);
    nl_unit_leave(&run->unit);
    nl_state_free(&run->state);
    for (int i = 0; i < 2; i++) free(run->draws[i].order), free(run->draws[i].rotations);
    free(run->records);
    free(run->plan);
    free(run);
}

/* --- the end -------------------------------------------------------------------------------- */

static int work(nl_run *run, nl_study_run *item, nl_error *err) {
    int code = open_run(run, err);
    if (!code) code = nl_run_train_epochs(run, err);
    if (!code && run->config->train.epochs > 0) {
        code = nl_run_measure_final(run, &item->final, err);
        item->has_final = code == NL_OK;
        if (!code) nl_log_final(run, &item->final);
    }
    return code ? code : nl_run_write_record(run, "finished", NULL, err);
}

/* Of a run that did not come to its end. Already failing: if this cannot be written either, the first
 * error is the one to tell. A finished run whose results were to be made again stays finished. */
static void record_end(nl_run *run, const char *why) {
    if (!run->repair)
        nl_run_write_record(run, run->interrupted ? "interrupted" : "failed", why, NULL);
}

static int train_here(nl_run *run, nl_study_run *item, nl_error *err) {
    const nl_config *config = run->config;
    allocate(run);
    nl_error lost;
    int code = work(run, item, err);
    /* It may have stood still within a write, whose file the heir then cleared away. */
    if (code && nl_run_holds(run, &lost)) {
        *err = lost;
        nl_run_leave_to_other(run, err);
        item->has_final = false;
        item->status = NL_RUN_ELSEWHERE;
        return NL_OK;
    }
    if (code) /* what this run leaves undone */
        forget_work(
            run, (uint64_t)(config->train.epochs - (int)run->at.epoch) * run->steps - run->at.step,
            config->train.epochs - (int)run->at.epoch);
    if (code && run->metrics.file) record_end(run, err->what);
    item->status = !code ? NL_RUN_FINISHED : code == NL_ENONFINITE ? NL_RUN_FAILED : NL_RUN_PENDING;
    return code;
}

static int ask_whether_held(void *run, nl_error *err) {
    return nl_run_holds(run, err);
}

int nl_train_run(nl_crew *crew, int number, int threads, bool *trained, nl_error *err) {
    const nl_study *study = crew->study;
    const nl_train_options *options = &study->options;
    nl_study_run *item = &crew->study->runs[number];
    const nl_config *config = &item->config;
    bool ended = false;
    nl_run *run = nl_alloc(1, sizeof *run, "run");
    run->study = study;
    run->crew = crew;
    run->number = number;
    run->threads = threads;
    run->item = item;
    run->config = config;
    run->steps = nl_pass_steps(options, study->data->train.count, config->data.batch);
    int code = nl_model_build(&run->model, config, 0, err);
    if (!code) code = nl_unit_init(&run->unit, options->out, config->name, config->train.seed, err);
    if (!code && options->join) code = nl_run_enter_shared(run, item, &ended, err);
    if (!code && !options->join)
        code = nl_unit_enter(&run->unit, options->resume || options->overwrite, NULL, err);
    if (code || ended) {
        free(run);
        return code;
    }
    nl_log_begin(crew, number); /* what is refused was not begun */
    *trained = true;
    nl_progress_run(&crew->progress, 1, 0);
    nl_file_guard(ask_whether_held, run);
    code = train_here(run, item, err);
    nl_file_guard(NULL, NULL);
    nl_progress_run(&crew->progress, -1, item->status != NL_RUN_ELSEWHERE);
    close_run(run);
    return code;
}
