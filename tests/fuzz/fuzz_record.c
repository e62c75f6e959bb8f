/* run.json: as a run that is resumed reads it, and as the report does. */
#include "fuzz.h"

#include <jansson.h> // json_dumps
#include <stdlib.h>  // free
#include <string.h>  // strlen

#include "base/number.h"       // nl_json_precision
#include "normlab/run_files.h" // NL_FILE_RUN
#include "report/runs/runs.h"  // nl_seed_run_read
#include "train/trainer.h"     // nl_record_read

/* What --resume takes from it. */
static void check_resumed(const json_t *record, const nl_unit *unit) {
    static nl_study_run item;
    static nl_dataset data;
    const nl_backend backend = {.name = "cpu"};
    const nl_study study = {.runs = &item, .n_runs = 1, .backend = &backend, .data = &data};
    const nl_train_options options = {.init = "start.safetensors"};
    nl_error err;
    HOLDS(nl_record_epochs(record) >= -1);
    (void)nl_record_finished(record, 2);
    (void)nl_record_diverged(record);
    fuzz_no_error(&err);
    const int rc = nl_record_match_config(record, unit, &item, &options, &err);
    if (rc != NL_EUSAGE) fuzz_went_well(rc, NL_EDATA, &err);
    if (rc == NL_EUSAGE) fuzz_went_well(rc, NL_EUSAGE, &err);
    fuzz_no_error(&err);
    const int other = nl_record_match_data(record, unit, &study, &err);
    if (other != NL_EUSAGE) fuzz_went_well(other, NL_EDATA, &err);
    if (other == NL_EUSAGE) fuzz_went_well(other, NL_EUSAGE, &err);
}

/* Whatever came of reading it comes of reading it again. */
static void check_back(const json_t *record, const nl_unit *unit) {
    char *text =
        json_dumps(record, JSON_INDENT(2) | nl_json_precision((json_t *)(uintptr_t)record));
    json_t *back;
    nl_error err;
    HOLDS(text);
    fuzz_file(NL_FILE_RUN, text, strlen(text));
    HOLDS(nl_record_read(&back, unit, &err) == NL_OK && json_equal(record, back));
    json_decref(back);
    free(text);
}

static void check_reported(const char *folder) {
    nl_seed_run run;
    if (!nl_seed_run_read(&run, folder, 7)) return;
    HOLDS(!run.finished && run.n_points == 0 && run.n_guesses == 0);
    HOLDS(run.end != NL_END_FINISHED && run.end != NL_END_RUNNING);
    const nl_end_text end = nl_run_end_text(&run);
    HOLDS(end.text[0] && strlen(end.text) + 1 < sizeof end.text);
    fuzz_count(run.has_config);
    if (run.has_config) fuzz_check_config(&run.config);
    nl_seed_run_free(&run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nl_unit unit = {0};
    nl_error err;
    json_t *record;
    fuzz_file(NL_FILE_RUN, data, size);
    const char *path = fuzz_path(NL_FILE_RUN);
    snprintf(unit.folder, sizeof unit.folder, "%.*s", (int)(strlen(path) - strlen("/" NL_FILE_RUN)),
             path);
    fuzz_no_error(&err);
    fuzz_hear();
    check_reported(unit.folder);
    const int rc = nl_record_read(&record, &unit, &err);
    if (fuzz_went_well(rc, NL_EDATA, &err)) {
        HOLDS(json_is_object(record));
        check_resumed(record, &unit);
        check_back(record, &unit);
    }
    fuzz_heard();
    json_decref(record);
    return 0;
}
