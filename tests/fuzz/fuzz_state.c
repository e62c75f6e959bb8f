/* state.safetensors past its hash: as a run that is resumed reads it, a small one of batch norm. */
#include "fuzz.h"

#include <stdlib.h> // free
#include <string.h> // strlen

#include "normlab/run_files.h" // NL_FILE_STATE
#include "sealed.h"
#include "train/trainer.h" // nl_run_load_state

enum { EPOCHS = 3, STEPS = 6 };

/* The network of corpus/state. */
static const char yaml[] = "model:\n"
                           "  layers:\n"
                           "    - {conv: 1, kernel: 1, norm: true, relu: true}\n"
                           "    - {pool: max, size: 28}\n"
                           "    - {conv: 10, kernel: 1}\n"
                           "    - {pool: average}\n"
                           "train: {epochs: 3}\n";

static void open_run(nl_run *run, nl_config *config, nl_study *study) {
    static const nl_backend backend = {.name = "cpu", .real_size = 4};
    static nl_dataset data = {.n_files = 1, .files = {{"train-images-idx3-ubyte", "00"}}};
    nl_error err;
    const char *path = fuzz_file("state.yaml", yaml, strlen(yaml));
    HOLDS(nl_config_load(config, path, &err) == NL_OK);
    *study = (nl_study){.backend = &backend, .data = &data};
    *run = (nl_run){.study = study, .config = config, .steps = STEPS};
    HOLDS(nl_model_build(&run->model, config, 0, &err) == NL_OK);
    run->state = nl_state_alloc(&run->model, backend.real_size);
    path = fuzz_path(NL_FILE_STATE);
    snprintf(run->unit.folder, sizeof run->unit.folder, "%.*s",
             (int)(strlen(path) - strlen("/" NL_FILE_STATE)), path);
}

static void check_place(const nl_position *at) {
    HOLDS(at->epoch <= EPOCHS && at->step <= STEPS);
    HOLDS(at->hits <= at->images && at->piece_hits <= at->piece_images);
    HOLDS(at->best_epoch >= -1 && at->best_epoch < (int64_t)at->epoch + (at->epoch == 0));
    HOLDS(at->metrics_bytes >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static nl_config config;
    static nl_study study;
    static nl_run run;
    nl_error err;
    if (!run.study) open_run(&run, &config, &study);
    fuzz_sealed_file(NL_FILE_STATE, data, size);
    run.at = (nl_position){0};
    run.plan = NULL;
    fuzz_no_error(&err);
    fuzz_hear();
    const int rc = nl_run_load_state(&run, &err);
    HOLDS(fuzz_heard() == 0);
    fuzz_count(!rc);
    if (fuzz_went_well(rc, NL_EDATA, &err)) check_place(&run.at);
    free(run.plan);
    return 0;
}
