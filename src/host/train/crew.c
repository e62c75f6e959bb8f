/* Trains the runs of a study: one after the other, or several side by side, each in a thread with
 * an engine of its own. A run's bits depend on neither. */
#include "trainer.h"

#include <jansson.h> // json_decref
#include <stdlib.h>  // free
#include <unistd.h>  // isatty

#include "base/processor.h"    // nl_processor_cores
#include "base/signals.h"      // nl_signals_catch
#include "normlab/run_files.h" // NL_FILE_METRICS

/* --- before ---------------------------------------------------------------------------------- */

/* A run that an earlier command finished: its result is read, nothing is trained. */
static int skip_if_finished(const nl_study *study, nl_study_run *item, nl_error *err) {
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
    json_decref(record);
    return code;
}

static uint64_t steps_of(const nl_study *study, const nl_config *config) {
    return (uint64_t)config->train.epochs *
           nl_pass_steps(&study->options, study->data->train.count, config->data.batch);
}

static int jobs_of(const nl_study *study) {
    int pending = 0;
    for (int i = 0; i < study->n_runs; i++) pending += study->runs[i].status != NL_RUN_FINISHED;
    const int wanted = study->options.jobs            ? study->options.jobs
                       : study->backend->side_by_side ? nl_processor_cores()
                                                      : 1;
    return wanted < pending ? wanted : pending > 1 ? pending : 1;
}

static int prepare(nl_crew *crew, nl_study *study, nl_error *err) {
    for (int i = 0; i < study->n_runs; i++) {
        const int code = skip_if_finished(study, &study->runs[i], err);
        if (code) return code;
    }
    *crew = (nl_crew){.study = study, .jobs = jobs_of(study)};
    crew->left = nl_alloc((size_t)study->n_runs, sizeof *crew->left, "steps left");
    NL_ASSERT(pthread_mutex_init(&crew->lock, NULL) == 0);
    nl_progress_open(&crew->progress, !study->options.quiet && isatty(STDERR_FILENO),
                     crew->jobs > 1, study->n_runs);
    for (int i = 0; i < study->n_runs; i++) {
        const bool done = study->runs[i].status == NL_RUN_FINISHED;
        const int epochs = study->runs[i].config.train.epochs;
        atomic_init(&crew->left[i], done ? 0 : steps_of(study, &study->runs[i].config));
        crew->progress.work += crew->left[i];
        crew->progress.epochs += epochs;
        crew->progress.epochs_done += done ? epochs : 0;
        crew->progress.runs_done += done;
    }
    return NL_OK;
}

/* --- one run --------------------------------------------------------------------------------- */

/* Threads of run i's engine: as asked for; alone all cores; side by side one. The last run to start
 * takes the cores of those that are nearly done as well. */
static int threads_of(nl_crew *crew, int i) {
    const nl_study *study = crew->study;
    if (study->options.threads > 0 || crew->jobs == 1) return study->options.threads;
    int busy = 1;
    for (int k = 0; k < study->n_runs; k++) {
        if (k != i && k > i && study->runs[k].status != NL_RUN_FINISHED) return 1; /* one waits */
        busy += k != i && crew->left[k] > crew->left[i] / 4;
    }
    const int share = nl_processor_cores() / busy;
    return share > 1 ? share : 1;
}

static void announce(nl_crew *crew, int i) {
    const nl_study *study = crew->study;
    const nl_study_run *item = &study->runs[i];
    const nl_train_options *o = &study->options;
    char text[96];
    if (o->quiet) return;
    nl_progress_pause(&crew->progress);
    printf("%s, seed %u: run %d of %d", item->config.name, item->config.train.seed, i + 1,
           study->n_runs);
    if (study->n_runs > 1 && crew->progress.work_done > 0)
        printf(" (all: %s)", nl_progress_study_text(&crew->progress, text));
    printf(" -> %s/%s/" NL_SEED_FOLDER "\n", o->out, item->config.name, item->config.train.seed);
    if (item->status == NL_RUN_FINISHED)
        puts(crew->jobs > 1 ? "finished before" : "finished before\n");
    nl_progress_go_on(&crew->progress);
}

/* A loss that is no longer finite ends its run alone; any other failure ends the study: what runs
 * is stopped as by a signal, with everything saved. The first failure is the one that is told. */
static void note(nl_crew *crew, int code, const nl_error *err) {
    pthread_mutex_lock(&crew->lock);
    const bool fatal = code != NL_ENONFINITE, was_fatal = crew->code && crew->code != NL_ENONFINITE;
    if (crew->code && !was_fatal) { /* of two, one can be returned */
        nl_progress_pause(&crew->progress);
        nl_error_print(&crew->err);
        nl_progress_go_on(&crew->progress);
    }
    if (!was_fatal) {
        crew->code = code;
        crew->err = *err;
    }
    if (fatal) atomic_store(&crew->stopping, true);
    pthread_mutex_unlock(&crew->lock);
}

/* The next run to be trained; -1: none. */
static int next_run(nl_crew *crew) {
    int i = -1;
    pthread_mutex_lock(&crew->lock);
    while (i < 0 && crew->next < crew->study->n_runs && !nl_crew_stopping(crew)) {
        const int next = crew->next++;
        announce(crew, next);
        if (crew->study->runs[next].status != NL_RUN_FINISHED) i = next;
    }
    pthread_mutex_unlock(&crew->lock);
    return i;
}

static void *work(void *argument) {
    nl_crew *crew = argument;
    for (int i; (i = next_run(crew)) >= 0;) {
        nl_error err;
        nl_progress_run(&crew->progress, true);
        const int code = nl_train_run(crew, i, threads_of(crew, i), &err);
        nl_progress_run(&crew->progress, false);
        if (code) note(crew, code, &err);
    }
    return NULL;
}

/* --- all of them ----------------------------------------------------------------------------- */

/* The caller's thread is one of them. Signals are handled there: the others block them. */
static void train_all(nl_crew *crew) {
    pthread_t *threads = nl_alloc((size_t)crew->jobs, sizeof *threads, "jobs");
    int started = 0;
    for (; started + 1 < crew->jobs; started++)
        if (pthread_create(&threads[started], NULL, work, crew) != 0) {
            nl_warn("--jobs", "only %d of %d runs could be started side by side", started + 1,
                    crew->jobs);
            break;
        }
    work(crew);
    for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
    free(threads);
}

static int outcome(const nl_crew *crew, nl_error *err) {
    if (crew->code) *err = crew->err;
    if (crew->code && crew->code != NL_ENONFINITE) return crew->code;
    if (!nl_signals_caught()) return crew->code;
    nl_fail(err, nl_signals_caught(), crew->study->options.out, "interrupted between two runs");
    return nl_hint(err, "the same command with --resume goes on");
}

int nl_study_train(nl_study *study, nl_error *err) {
    nl_crew crew;
    int code = prepare(&crew, study, err);
    if (code) return code;
    nl_signals_catch();
    train_all(&crew);
    code = outcome(&crew, err);
    nl_signals_release();
    bool any = false;
    for (int i = 0; i < study->n_runs; i++) any = any || study->runs[i].has_final;
    if (any) nl_log_table(study);
    nl_progress_close(&crew.progress);
    pthread_mutex_destroy(&crew.lock);
    free(crew.left);
    return code;
}
