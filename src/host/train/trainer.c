/* One run from beginning to end. The order of the writes is what makes every moment resumable:
 * metrics, then last and best, then the state; what is newer than the state is cut off or written
 * again, the same, by the resumed run. */
#include "trainer.h"

#include <inttypes.h> // PRIu32
#include <jansson.h>  // json_decref
#include <math.h>     // isfinite
#include <stdio.h>    // snprintf
#include <stdlib.h>   // free
#include <unistd.h>   // access

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

/* What flows through the layers now, if that is asked for; the state has been fetched. */
static int record_layers(nl_run *run, int64_t epoch, nl_error *err) {
    const nl_study *study = run->study;
    nl_layer_stats layers[NL_MAX_LAYERS];
    if (!run->item->layer_stats) return NL_OK;
    const int n = study->layer_stats(layers, &run->spec, &run->state, study->backend->real_size);
    int code = NL_OK;
    for (int i = 0; i < n && !code; i++) {
        const nl_layer_stats *l = &layers[i];
        nl_metrics_record record = {.event = NL_EVENT_LAYER,
                                    .epoch = epoch,
                                    .z = l->z,
                                    .y = l->y,
                                    .dy = l->dy,
                                    .dw = l->dw,
                                    .zero = l->zero,
                                    .dead = l->dead};
        snprintf(record.layer, sizeof record.layer, "%s", l->label);
        code = nl_run_write_metrics(run, &record, err);
    }
    return code;
}

/* The files of a run's first moment. */
static int write_first_files(nl_run *run, bool fresh, nl_error *err) {
    char path[NL_PATH_SIZE];
    int code = nl_run_holds(run, err);
    if (!code && run->study->options.overwrite) code = nl_unit_clear(&run->unit, err);
    if (!code) code = nl_run_write_record(run, "running", NULL, err);
    if (!code)
        code = nl_metrics_open(&run->metrics, nl_unit_file(&run->unit, path, NL_FILE_METRICS),
                               run->at.metrics_bytes, err);
    if (!code && fresh) code = nl_run_save_weights(run, NL_FILE_INIT, err);
    if (!code && fresh) code = nl_run_save_state(run, err);
    /* Behind the state, so that records without one always mean that it was lost. */
    const nl_position *at = &run->at;
    const bool unrecorded = at->epoch == 0 && at->step == 0 && at->metrics_bytes == 0;
    if (!code && unrecorded) code = record_layers(run, -1, err);
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

/* --- epochs --------------------------------------------------------------------------------- */

/* The weights are bad although every step's loss was finite: the last update broke them. */
static int check_finite(nl_run *run, double loss, nl_error *err) {
    if (isfinite(loss)) return NL_OK;
    run->failure = (nl_failure){true, run->at.epoch, -1, loss};
    nl_fail(err, NL_ENONFINITE, run->unit.folder,
            "the test loss after epoch %" PRIu32 " is not finite: the weights are lost",
            run->at.epoch);
    return nl_hint(err, "the checkpoints of the last whole epoch are kept; try a lower train.lr");
}

static bool is_best(const nl_position *at, const nl_evaluation *test) {
    return at->best_epoch < 0 || test->accuracy > at->best_accuracy ||
           (test->accuracy == at->best_accuracy && test->loss < at->best_loss);
}

static int record_epoch(nl_run *run, const nl_evaluation *test, nl_error *err) {
    const nl_position *at = &run->at;
    const double images = (double)at->images;
    const nl_metrics_record record = {.event = NL_EVENT_EPOCH,
                                      .epoch = at->epoch,
                                      .lr = nl_config_lr(run->config, (int)at->epoch),
                                      .figures = {at->loss_sum / images,
                                                  100.0 * (double)at->hits / images, test->loss,
                                                  test->accuracy},
                                      .seconds = at->seconds,
                                      .images_per_second = images / at->seconds};
    return nl_run_write_metrics(run, &record, err);
}

/* Saves the place within the epoch, be it behind its last step, and says why the run stops. */
static int save_stopped(nl_run *run, nl_error *err) {
    int code = nl_run_fetch_state(run, err);
    if (!code) code = nl_run_save_state(run, err);
    return code ? code : nl_run_stopped(run, err);
}

/* After the last step of an epoch: test, records, checkpoints, state. A test that is stopped is
 * repeated by the resumed run. */
static int end_epoch(nl_run *run, nl_error *err) {
    nl_position *at = &run->at;
    nl_evaluation test = {
        .split = &run->study->data->test, .epoch = -1, .by_batches = nl_log_by_batches(run)};
    nl_log_train(run);
    int code = nl_run_evaluate(run, &test, err);
    if (run->interrupted) return save_stopped(run, err);
    if (!code) code = record_epoch(run, &test, err);
    if (!code) code = check_finite(run, test.loss, err);
    if (!code) code = nl_run_fetch_state(run, err);
    if (!code) code = record_layers(run, at->epoch, err);
    if (!code) code = nl_run_save_weights(run, NL_FILE_LAST, err);
    if (code) return code;
    nl_log_test(run, &test);
    if (is_best(at, &test)) {
        at->best_epoch = at->epoch;
        at->best_accuracy = test.accuracy;
        at->best_loss = test.loss;
        code = nl_run_save_weights(run, NL_FILE_BEST, err);
        if (code) return code;
    }
    *at = (nl_position){.epoch = at->epoch + 1,
                        .best_epoch = at->best_epoch,
                        .best_accuracy = at->best_accuracy,
                        .best_loss = at->best_loss};
    nl_progress_did(&run->crew->progress, 0, 1);
    return nl_run_save_state(run, err);
}

static int train_epochs(nl_run *run, nl_error *err) {
    while (run->at.epoch < (uint32_t)run->config->train.epochs) {
        int code = nl_run_stopped(run, err);
        if (code) return code;
        if (run->at.step == 0) nl_log_epoch(run);
        code = nl_run_train_epoch(run, err);
        if (code) return code;
        if (nl_crew_stopping(run->crew)) return save_stopped(run, err);
        code = end_epoch(run, err);
        if (code) return code;
    }
    return nl_run_stopped(run, err);
}

/* --- the end -------------------------------------------------------------------------------- */

static int work(nl_run *run, nl_study_run *item, nl_error *err) {
    int code = open_run(run, err);
    if (!code) code = train_epochs(run, err);
    if (!code && run->config->train.epochs > 0) {
        code = nl_run_measure_final(run, &item->final, err);
        item->has_final = code == NL_OK;
        if (!code) nl_log_final(run, &item->final);
    }
    return code ? code : nl_run_write_record(run, "finished", NULL, err);
}

/* Of a run that did not come to its end. Already failing: if this cannot be written either, the first
 * error is the one to tell. Results of a finished run that were to be made again are as gone as they
 * were. */
static void record_end(nl_run *run, const char *why) {
    if (run->interrupted && run->repair)
        nl_run_write_record(run, "finished", NULL, NULL);
    else
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
    if (options->join) nl_log_begin(crew, number);
    *trained = true;
    nl_progress_run(&crew->progress, 1, 0);
    nl_file_guard(ask_whether_held, run);
    code = train_here(run, item, err);
    nl_file_guard(NULL, NULL);
    nl_progress_run(&crew->progress, -1, item->status != NL_RUN_ELSEWHERE);
    close_run(run);
    return code;
}
