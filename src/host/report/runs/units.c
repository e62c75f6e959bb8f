/* One unit of a run folder: what it is, how far it came and how it ended. Whatever is there is read
 * as far as it goes; only what was never trained is no run.
 */
#include <errno.h>  // errno
#include <math.h>   // isfinite
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // strcmp
#include <unistd.h> // access

#include <jansson.h> // json_loadb

#include "normlab/checkpoint.h" // nl_path
#include "normlab/run_files.h"  // NL_FILE_RUN
#include "base/claim.h"         // nl_claim_is_held
#include "base/regular.h"       // nl_regular_read
#include "runs.h"

/* run.json, and the config in it. */
static void read_info(nl_seed_run *run, const char *path) {
    json_error_t error;
    char reason[NL_REASON];
    /* what all runs saw before their records told it */
    nl_picture_of_set(&run->config.data.picture, "mnist");
    size_t size;
    char *text = nl_regular_read(path, &size, reason);
    if (!text) {
        if (errno != ENOENT) nl_warn(path, "cannot read: %s", reason);
        return;
    }
    run->info = json_loadb(text, size, 0, &error);
    free(text);
    if (!json_is_object(run->info)) {
        if (run->info)
            nl_warn(path, "not the record of a run: no JSON object");
        else
            nl_warn(path, "not the record of a run: line %d: %s", error.line, error.text);
        json_decref(run->info);
        run->info = NULL;
        return;
    }
    const json_t *config = json_object_get(run->info, "config");
    nl_error err = {0};
    if (!config) return;
    run->has_config = nl_model_config_from_json(&run->config, config, path, &err) == NL_OK;
    if (!run->has_config) nl_warn(err.where, "%s", err.what);
}

/* A run that fails keeps the records of its whole epochs, and one that is trained again after its
 * end may have a final record still: what run.json says of a failure goes first. */
static nl_run_end end_of(const nl_seed_run *run) {
    const char *status = json_string_value(json_object_get(run->info, "status"));
    if (status && strcmp(status, "failed") == 0) return NL_END_FAILED;
    if (run->finished) return NL_END_FINISHED;
    if (status && strcmp(status, "finished") == 0) return NL_END_LOST;
    if (status && strcmp(status, "running") == 0 && nl_claim_is_held(run->folder, NULL))
        return NL_END_RUNNING;
    return NL_END_INTERRUPTED;
}

/* Whether a training was begun here: not by a folder of initial weights alone. */
static bool was_trained(const nl_seed_run *run) {
    if (run->n_points > 0 || run->finished) return true;
    if (!json_is_string(json_object_get(run->info, "status"))) return false;
    return !run->has_config || run->config.train.epochs > 0;
}

bool nl_seed_run_read(nl_seed_run *run, const char *folder, uint32_t seed) {
    char *metrics = nl_path(folder, NL_FILE_METRICS), *info = nl_path(folder, NL_FILE_RUN);
    char *guesses = nl_path(folder, NL_FILE_PREDICTIONS);
    *run = (nl_seed_run){.seed = seed, .folder = strdup(folder)};
    NL_NEED(run->folder);
    nl_seed_run_read_metrics(run, metrics);
    read_info(run, info);
    const bool trained = was_trained(run);
    if (trained) {
        run->end = end_of(run);
        run->finished = run->end == NL_END_FINISHED;
        if (run->finished) nl_seed_run_read_guesses(run, guesses);
        if (run->end == NL_END_LOST)
            nl_warn(folder,
                    NL_FILE_RUN " says finished, but " NL_FILE_METRICS " has no final record");
    } else {
        nl_warn(folder, "nothing was trained here: left out of the report");
        nl_seed_run_free(run);
    }
    free(metrics);
    free(info);
    free(guesses);
    return trained;
}

void nl_seed_run_free(nl_seed_run *run) {
    free(run->folder);
    free(run->points);
    free(run->pieces);
    free(run->layers);
    free(run->guesses);
    json_decref(run->info);
    *run = (nl_seed_run){0};
}

/* ---- the end in words ---- */

static void failure_text(char *text, size_t size, const json_t *info) {
    json_int_t epoch = -1;
    const json_t *failure = json_object_get(info, "failure");
    const json_t *step = json_object_get(failure, "step");
    const char *loss = json_string_value(json_object_get(failure, "loss"));
    if (json_is_integer(json_object_get(failure, "epoch")))
        epoch = json_integer_value(json_object_get(failure, "epoch"));
    if (epoch < 0 || !loss || strlen(loss) > 8)
        snprintf(text, size, "failed");
    else if (json_is_integer(step))
        snprintf(text, size, "failed at epoch %lld, step %lld (loss %s)", (long long)epoch,
                 (long long)json_integer_value(step), loss);
    else
        snprintf(text, size, "failed in the test after epoch %lld (loss %s)", (long long)epoch,
                 loss);
}

const char *nl_run_end_name(nl_run_end end) {
    static const char *const names[] = {[NL_END_FINISHED] = "finished",
                                        [NL_END_FAILED] = "failed",
                                        [NL_END_INTERRUPTED] = "interrupted",
                                        [NL_END_RUNNING] = "running",
                                        [NL_END_LOST] = "lost"};
    return names[end];
}

nl_end_text nl_run_end_text(const nl_seed_run *run) {
    nl_end_text end;
    if (run->end == NL_END_FAILED)
        failure_text(end.text, sizeof end.text, run->info);
    else
        snprintf(end.text, sizeof end.text, "%s", nl_run_end_name(run->end));
    return end;
}
