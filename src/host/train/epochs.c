/* Epoch after epoch: training, test, records, checkpoints, state; where a signal stops a run, the
 * place within the epoch. */
#include "trainer.h"

#include <inttypes.h> // PRIu32
#include <math.h>     // isfinite
#include <stdio.h>    // snprintf

#include "normlab/run_files.h" // NL_FILE_LAST

int nl_run_record_layers(nl_run *run, int64_t epoch, nl_error *err) {
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
    if (!code) code = nl_run_record_layers(run, at->epoch, err);
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

int nl_run_train_epochs(nl_run *run, nl_error *err) {
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
