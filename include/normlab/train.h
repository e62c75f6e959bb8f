/* Training: one run is one config with one seed; a study is every config with every seed.
 *
 * A run owns the folder OUT/<config name>/seed-<S> and leaves there
 *   run.json            what ran: see below
 *   metrics.jsonl       one record a line: step, layer, epoch, final
 *   init, last, best .safetensors, state.safetensors   weights; all that resuming needs
 *   predictions.csv     image,label,prediction,probability of each test image at the end
 *   .lock, .claim       of the process that trains here
 *
 * run.json: {"name", "seed", "status": "running" | "finished" | "interrupted" | "failed",
 *   "error": text or null, "failure": where the loss was no longer finite, or null: {"epoch",
 *   "step" (of the epoch; null: in the test after it), "loss": "nan" | "inf" | "-inf"},
 *   "started", "updated": UTC dates, "parameters": count,
 *   "config": resolved, "device": {"backend", "description"}, "versions": {"normlab"},
 *   "options": {"data": folder, "limit_batches", "log_every", "save_every", "layer_stats", "threads",
 *     "init": file or null, "init_sha256": of its weights as float32, or null},
 *   "plan": object or null, "data": {"train", "test": counts, "sha256": {file: hex}}}
 */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint32_t

#include "normlab/backend.h"     // nl_backend
#include "normlab/config.h"      // nl_config
#include "normlab/dataset.h"     // nl_dataset
#include "normlab/error.h"       // nl_error
#include "normlab/layer_stats.h" // nl_layer_stats

struct json_t;

typedef struct nl_train_options {
    const char *out;        /* run folder */
    const char *init;       /* checkpoint to start from, or NULL */
    bool resume, overwrite; /* what to do with a unit that exists; not both */
    bool join;              /* with resume: take what no other process has; wait for the rest */
    bool autotune, quiet;
    uint32_t limit_batches; /* in every pass over data; 0: all */
    uint32_t log_every;     /* step records; 0: none, or those of the run that is resumed */
    uint32_t save_every;    /* states within an epoch, likewise */
    bool layer_stats;       /* layer records before the first and after each epoch */
    int threads;            /* of a run; 0: as many as cores, side by side one */
    int jobs;               /* runs side by side; 0: as many as cores, on a GPU one */
} nl_train_options;

/* Final performance: true mean loss per image, accuracy in per cent. */
typedef struct nl_final {
    double train_loss, train_accuracy, test_loss, test_accuracy;
} nl_final;

typedef enum nl_run_status {
    NL_RUN_PENDING,
    NL_RUN_FINISHED,
    NL_RUN_ELSEWHERE, /* another process trains it */
    NL_RUN_FAILED,    /* its loss was no longer finite */
} nl_run_status;

/* One run of a study. Its status is asked for by the threads of other runs too. */
typedef struct nl_study_run {
    nl_config config; /* resolved: train.seed is this run's */
    /* Of the options, or of the record of the run that is resumed: nl_study_check fills them. */
    uint32_t log_every, save_every;
    bool layer_stats;
    char init[4096];      /* "": none */
    char init_sha256[65]; /* of the weights in it; "": not known */
    _Atomic nl_run_status status;
    bool has_final; /* a run of 0 epochs has none */
    nl_final final;
} nl_study_run;

typedef struct nl_study {
    nl_study_run *runs;
    int n_runs;
    const nl_backend *backend;
    int device;             /* CUDA device */
    const nl_dataset *data; /* loaded before nl_study_check_data */
    /* nl_diagnose of normlab/diagnose.h, or NULL: core does not link to a room of operations. */
    void (*diagnose)(char *text, size_t size, const nl_engine_spec *spec, const nl_state *state,
                     int real_size, const nl_epoch *epoch, uint32_t step);
    /* nl_layer_stats_of, for runs that want layer records. */
    int (*layer_stats)(nl_layer_stats layers[NL_MAX_LAYERS], const nl_engine_spec *spec,
                       const nl_state *state, int real_size);
    nl_train_options options;
} nl_study;

/* The runs of every config with every seed, config by config; without seeds (0) with the config's
 * own. Errors: NL_EUSAGE for two configs of one name. nl_study_free releases the runs. */
int nl_study_plan(nl_study *study, const nl_config *configs, int n_configs, const uint32_t *seeds,
                  int n_seeds, nl_error *err);
void nl_study_free(nl_study *study);

/* Keeps of the runs those that fall to part 1 .. parts, dealt in turn; there may be none. */
void nl_study_deal(nl_study *study, int part, int parts);

/* All that can be refused before anything is written: units that exist or are locked, or whose
 * earlier run does not fit (resume). What an earlier run's record says and the command line does not
 * is taken from there: train.epochs, init, log_every, save_every, layer_stats. The second one needs
 * backend and data. */
int nl_study_check(nl_study *study, nl_error *err);
int nl_study_check_data(const nl_study *study, nl_error *err);

/* Trains what is not finished yet, one run after the other or options.jobs side by side, with the
 * same bits, and prints log and closing table.
 * With options.join a run that another process trains is left to it and looked at again until it is
 * finished, or its process dead: then it is taken over. A run that was taken over by another, as
 * this process stood still for too long, is left alone with a warning.
 * A run whose loss is no longer finite does not stop those behind it; its code is returned at the
 * end. Errors: NL_EDATA, NL_EDEVICE, NL_ENONFINITE, NL_EWRITE; after a signal its code
 * (signals.h), with everything saved. */
int nl_study_train(nl_study *study, nl_error *err);
