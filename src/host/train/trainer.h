/* One run, and what the files that make it up share: trainer.c opens and ends it, epochs.c
 * goes through its epochs, epoch_loop.c trains and tests one, run_state.c saves and resumes, run_record.c writes run.json, run_log.c prints. Private to
* train. */
#pragma once

#include <pthread.h>   // pthread_mutex_t
#include <stdatomic.h> // atomic_bool

#include "metrics.h"       // nl_metrics
#include "base/progress.h" // nl_progress
#include "base/signals.h"  // nl_signals_caught
#include "run_folder.h"    // nl_unit

#include "normlab/backend.h" // nl_backend, nl_state
#include "normlab/model.h"   // nl_model
#include "normlab/train.h"   // nl_study

/* Where a run is: together with the weights, all that a resumed run has to know. */
typedef struct nl_position {
    uint32_t epoch; /* whole epochs done */
    uint32_t step;  /* steps done of the epoch behind them */
    /* Sums over the steps of this unfinished epoch. */
    double loss_sum, seconds;
    double last_loss; /* of the last batch, with L1; for the log */
    uint64_t hits, images;
    /* The same since the last progress record. */
    double piece_loss;
    uint64_t piece_hits, piece_images;
    /* The best epoch so far; -1: none. */
    int64_t best_epoch;
    double best_accuracy, best_loss;
    int64_t metrics_bytes; /* size of metrics.jsonl when the state was saved */
} nl_position;

/* Where the loss was no longer finite. */
typedef struct nl_failure {
    bool failed;
    uint32_t epoch;
    int64_t step; /* of the epoch; -1: in the test after it */
    double loss;
} nl_failure;

/* What the runs of a study share while they are trained (crew.c). */
typedef struct nl_crew {
    nl_study *study;
    int jobs; /* runs side by side */
    nl_progress progress;
    pthread_mutex_t lock; /* of the rest */
    int next;             /* run to be trained */
    bool *busy;           /* (runs): a thread of this crew is at it */
    int elsewhere;        /* runs that wait for other processes, as far as it was told */
    int code;             /* of the failure to be told, and its words */
    nl_error err;
    atomic_bool stopping;       /* one failed so that the others have to stop */
    atomic_uint_fast64_t *left; /* (runs): steps of each that are to be done */
    nl_claim_watch *watches;    /* (runs): of those that other processes train */
} nl_crew;

/* Whether a run has to stop now, saved: after a signal, or as another one failed. */
static inline bool nl_crew_stopping(const nl_crew *crew) {
    return nl_signals_caught() != 0 || atomic_load(&crew->stopping);
}

/* The order of the images and, where the config turns them, their rotations. */
typedef struct nl_draws {
    int64_t epoch;          /* -1: none yet */
    uint32_t *order;        /* (train.count) */
    nl_rotation *rotations; /* (train.count), or NULL */
} nl_draws;

typedef struct nl_run {
    const nl_study *study; /* options, backend, data */
    nl_crew *crew;
    int number; /* in the study */
    const nl_study_run *item;
    int threads;
    const nl_config *config;
    nl_model model;
    nl_unit unit;
    nl_engine_spec spec;
    nl_engine *engine;
    nl_state state; /* host copy, elements of the backend's real_size */
    nl_position at;
    char *plan; /* of an earlier run, to be reused; or NULL */
    char started[32];
    bool repair;      /* finished, with results that are gone */
    bool interrupted; /* by a signal, or as another run failed */
    bool lost;        /* another process has taken it over */
    double asked;     /* when that was looked at */
    nl_failure failure;
    nl_metrics metrics;
    nl_draws draws[2];       /* of this epoch and the next, each at its number modulo 2 */
    nl_step_record *records; /* (burst) */
    uint32_t steps;          /* of an epoch */
} nl_run;

/* What an epoch draws. Made when it is first asked for, which for the next epoch is while the device
 * still works on this one; valid until the next but one is asked for. */
const nl_draws *nl_run_draws(nl_run *run, uint32_t epoch);

/* Images of a split in one pass, and training steps of an epoch, under --limit-batches. */
uint32_t nl_pass_images(const nl_train_options *options, uint32_t count, int batch);
uint32_t nl_pass_steps(const nl_train_options *options, uint32_t count, int batch);

/* Trains run `number` to its end in the folder of its unit; fills its status and `final`. Errors: as
 * those of nl_study_train; *trained: this process did so, or tried to. */
int nl_train_run(nl_crew *crew, int number, int threads, bool *trained, nl_error *err);

/* The closing table: every run, and the mean over seeds where a config has several. */
void nl_log_table(const nl_study *study);

/* --- run_begin.c ----------------------------------------------------------------------------- */

/* Nothing is to be done any more. */
static inline bool nl_run_has_ended(const nl_study_run *item) {
    return item->status == NL_RUN_FINISHED || item->status == NL_RUN_FAILED;
}

/* Whether a run needs no training: then its status and `final` are read. A run with a loss that is
 * no longer finite has failed, and --join does not try again. */
int nl_train_find_ended(const nl_study *study, nl_study_run *item, nl_error *err);

/* Enters the unit of a run that other processes may train; *ended: there is nothing to do, or
 * nothing now. */
int nl_run_enter_shared(nl_run *run, nl_study_run *item, bool *ended, nl_error *err);

/* --- shared_run.c ---------------------------------------------------------------------------- */

/* Notes whether the run is another process's by now: an error then. Asked before a record, before a
 * file of the run is replaced (the guard of nl_file_write) and between chunks of steps; the second
 * one asks if the last time is a while ago. */
int nl_run_holds(nl_run *run, nl_error *err);
int nl_run_holds_still(nl_run *run, nl_error *err);
/* nl_metrics_write, if the run is this process's. */
int nl_run_write_metrics(nl_run *run, const nl_metrics_record *record, nl_error *err);
/* Warns, and undoes in the display what this process did of the run. */
void nl_run_leave_to_other(nl_run *run, const nl_error *err);

/* --- epochs.c -------------------------------------------------------------------------------- */

/* What flows through the layers now, if that is asked for; the state has been fetched. */
int nl_run_record_layers(nl_run *run, int64_t epoch, nl_error *err);
/* Trains what is left of all epochs. Errors: NL_ENONFINITE, NL_EWRITE, the backend's, and those of
 * nl_run_stopped, where all is saved. */
int nl_run_train_epochs(nl_run *run, nl_error *err);

/* --- epoch_loop.c ---------------------------------------------------------------------------- */

/* Trains the rest of epoch at.epoch. Errors: NL_ENONFINITE; a signal's code, with at.step telling
 * how far it came. */
int nl_run_train_epoch(nl_run *run, nl_error *err);

/* Whether the run has to stop here, where all is saved: the code of the signal, or NL_EINTERNAL where
 * another run failed. */
int nl_run_stopped(nl_run *run, nl_error *err);

/* One pass in evaluation mode. */
typedef struct nl_evaluation {
    const nl_split *split;
    int64_t epoch;        /* whose angles rotate the images; -1: none */
    uint8_t *predictions; /* (images), or NULL */
    float *probs;         /* (images, classes), or NULL */
    double *losses;       /* (images): cross-entropy of each, or NULL */
    bool by_batches;
    /* The results. */
    double loss, accuracy; /* mean per image; per cent */
    double batch_means;    /* sum of the batches' mean losses, where by_batches asks for it */
    uint32_t images;
} nl_evaluation;
/* Errors: beside the backend's those of nl_run_stopped and nl_run_holds_still, before its end. */
int nl_run_evaluate(nl_run *run, nl_evaluation *evaluation, nl_error *err);

/* --- run_state.c ----------------------------------------------------------------------------- */

/* Fills run->state with initial values, or those of --init. Errors: NL_EDATA. */
int nl_run_init_state(nl_run *run, nl_error *err);
/* Copies the engine's state to run->state. */
int nl_run_fetch_state(nl_run *run, nl_error *err);
/* Writes run->state and run->at to state.safetensors. */
int nl_run_save_state(nl_run *run, nl_error *err);
/* Whether there is one; *found: false where the run never saved any. Errors: NL_EDATA for a run that
 * did and whose state is gone. */
int nl_run_find_state(const nl_unit *unit, bool *found, nl_error *err);
/* Reads it back, and run->plan. Errors: NL_EDATA if it is of another run or does not fit. */
int nl_run_load_state(nl_run *run, nl_error *err);
/* Reads the weights of last, for a finished run. Errors: NL_EDATA. */
int nl_run_load_last(nl_run *run, nl_error *err);
/* Writes run->state as a checkpoint: init, last or best. */
int nl_run_save_weights(nl_run *run, const char *file, nl_error *err);

/* --- run_log.c: what a run prints on standard output, unless --quiet -------------------------- */

void nl_log_begin(nl_crew *crew, int i); /* of run i, or that it has ended before */
void nl_log_epoch(nl_run *run);          /* before its first step */
void nl_log_train(nl_run *run);          /* after its last step */
void nl_log_test(nl_run *run, const nl_evaluation *test); /* after the test */
/* Whether that tells the mean over batches too. */
bool nl_log_by_batches(const nl_run *run);
void nl_log_final(nl_run *run, const nl_final *final);

/* --- run_predictions.c ----------------------------------------------------------------------- */

/* The end of a run: its last weights on all images; writes the final record and the predictions. */
int nl_run_measure_final(nl_run *run, nl_final *final, nl_error *err);

/* Writes predictions.csv from an evaluation of the test images. */
int nl_run_save_predictions(nl_run *run, const nl_evaluation *test, nl_error *err);

/* --- run_record.c ---------------------------------------------------------------------------- */

/* Writes run.json with this status; error: why it failed, or NULL. */
int nl_run_write_record(nl_run *run, const char *status, const char *error, nl_error *err);

/* What run.json says of the data; the caller owns it. */
struct json_t *nl_record_data(const nl_dataset *data);
/* One hash over the checksums of all files. */
void nl_record_data_sha256(char sha256[65], const nl_dataset *data);

/* run.json of a unit; NULL without error where there is none. Errors: NL_EDATA. */
int nl_record_read(struct json_t **record, const nl_unit *unit, nl_error *err);
/* train.epochs; -1: it does not say. */
int nl_record_epochs(const struct json_t *record);
/* Whether this run can go on with the old one: config and options, then device and data. Errors:
 * NL_EUSAGE, NL_EDATA (other data). */
int nl_record_match_config(const struct json_t *record, const nl_unit *unit,
                           const nl_study_run *item, const nl_train_options *options,
                           nl_error *err);
int nl_record_match_data(const struct json_t *record, const nl_unit *unit, const nl_study *study,
                         nl_error *err);
/* Whether nothing is left to do up to this number of epochs; whether the loss was no longer finite.
 */
bool nl_record_finished(const struct json_t *record, int epochs);
bool nl_record_diverged(const struct json_t *record);

/* --- run_settings.c --------------------------------------------------------------------------- */

/* Fills what a run takes from the options or, resumed, from its record. Errors: NL_EDATA. */
int nl_study_settle(nl_study *study, nl_error *err);

/* The weights of an --init file as they are read, and their hash. Errors: NL_EDATA. */
int nl_init_read(char sha256[65], const char *file, const nl_model *model, float *params,
                 float *buffers, bool *sealed, nl_error *err);

/* --- run_repair.c ----------------------------------------------------------------------------- */

/* Whether results of a finished run are gone. */
bool nl_repair_needed(const nl_unit *unit, const nl_study_run *item);
/* Its weights and place, from the state or, without one, from last. Errors: NL_EDATA. */
int nl_repair_load(nl_run *run, nl_error *err);
/* Writes last and best where they are gone and the state has them. Errors: NL_EWRITE. */
int nl_repair_weights(nl_run *run, nl_error *err);

/* --- siblings.c ------------------------------------------------------------------------------ */

/* Refuses (NL_EUSAGE, with the keys) a run whose name's other runs in the folder are all of another
 * config or, with_data, of other data. Keys that --set gave on this command line are a warning. */
int nl_siblings_check(const nl_study *study, const nl_config *config, bool with_data,
                      nl_error *err);
