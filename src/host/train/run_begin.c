/* Whether a run is to be begun: it may have ended before, or be another process's. */
#include "trainer.h"

#include <jansson.h> // json_decref

#include "normlab/run_files.h" // NL_FILE_METRICS

int nl_train_find_ended(const nl_study *study, nl_study_run *item, nl_error *err) {
    nl_unit unit;
    char path[NL_PATH_SIZE];
    json_t *record = NULL;
    if (!study->options.resume) return NL_OK;
    int code =
        nl_unit_init(&unit, study->options.out, item->config.name, item->config.train.seed, err);
    if (!code) code = nl_record_read(&record, &unit, err);
    if (record && nl_record_finished(record, item->config.train.epochs)) {
        item->has_final =
            nl_metrics_read_final(nl_unit_file(&unit, path, NL_FILE_METRICS), &item->final);
        if (!nl_repair_needed(&unit, item)) item->status = NL_RUN_FINISHED;
    }
    if (record && study->options.join && nl_record_diverged(record)) item->status = NL_RUN_FAILED;
    json_decref(record);
    return code;
}

/* The record is read again once the unit is this process's: another may have ended the run in the
 * meantime. */
int nl_run_enter_shared(nl_run *run, nl_study_run *item, bool *ended, nl_error *err) {
    const nl_study *study = run->study;
    int code = nl_train_find_ended(study, item, err);
    *ended = nl_run_has_ended(item);
    if (code || *ended) return code;
    code = nl_unit_enter(&run->unit, true, &run->crew->watches[run->number], err);
    if (code == NL_EUSAGE) {
        item->status = NL_RUN_ELSEWHERE;
        *ended = true;
        return NL_OK;
    }
    if (code) return code;
    code = nl_train_find_ended(study, item, err);
    *ended = nl_run_has_ended(item);
    if (code || *ended) nl_unit_leave(&run->unit);
    return code;
}
