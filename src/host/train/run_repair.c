/* A run that its record calls finished, some of whose results are gone: what the weights can give
 * again is made again; what they cannot is said. */
#include "trainer.h"

#include <errno.h>    // errno
#include <string.h>   // strcmp
#include <sys/stat.h> // stat

#include "normlab/run_files.h" // NL_FILE_LAST

bool nl_repair_needed(const nl_unit *unit, const nl_study_run *item) {
    return item->config.train.epochs > 0 &&
           (!item->has_final || !nl_unit_has(unit, NL_FILE_PREDICTIONS) ||
            !nl_unit_has(unit, NL_FILE_LAST) || !nl_unit_has(unit, NL_FILE_BEST));
}

static void say(const nl_run *run, const char *file, const char *what) {
    char path[NL_PATH_SIZE];
    nl_warn(nl_unit_file(&run->unit, path, file), "of a finished run it is gone: %s", what);
}

/* Size of metrics.jsonl; 0 where there is none. Errors: NL_EDATA. */
static int metrics_size(const nl_run *run, int64_t *size, nl_error *err) {
    char path[NL_PATH_SIZE];
    struct stat info;
    *size = 0;
    if (stat(nl_unit_file(&run->unit, path, NL_FILE_METRICS), &info) == 0)
        *size = info.st_size;
    else if (errno != ENOENT)
        return nl_fail(err, NL_EDATA, path, "cannot read: %s", strerror(errno));
    return NL_OK;
}

int nl_repair_load(nl_run *run, nl_error *err) {
    const uint32_t epochs = (uint32_t)run->config->train.epochs;
    const bool saved = nl_unit_has(&run->unit, NL_FILE_STATE);
    int64_t size;
    int code = metrics_size(run, &size, err);
    if (!code) code = saved ? nl_run_load_state(run, err) : nl_run_load_last(run, err);
    if (code) return code;
    if (!saved) {
        say(run, NL_FILE_STATE, "the run cannot be trained further");
        run->at.epoch = epochs;
        run->at.metrics_bytes = size;
    }
    if (size == 0) {
        say(run, NL_FILE_METRICS, "only its final record can be made again");
        run->at.metrics_bytes = 0;
    }
    return NL_OK;
}

int nl_repair_weights(nl_run *run, nl_error *err) {
    int code = NL_OK;
    if (!nl_unit_has(&run->unit, NL_FILE_PREDICTIONS))
        say(run, NL_FILE_PREDICTIONS, "it is made again");
    if (!nl_unit_has(&run->unit, NL_FILE_LAST)) {
        say(run, NL_FILE_LAST, "it is made again");
        code = nl_run_save_weights(run, NL_FILE_LAST, err);
    }
    if (code || nl_unit_has(&run->unit, NL_FILE_BEST)) return code;
    if (run->at.best_epoch + 1 == run->config->train.epochs) {
        say(run, NL_FILE_BEST, "it is made again");
        return nl_run_save_weights(run, NL_FILE_BEST, err);
    }
    say(run, NL_FILE_BEST, "the weights of that epoch are lost");
    return NL_OK;
}
