/* Trains the runs of a study: one after the other, or several side by side, each in a thread with
 * an engine of its own. A run's bits depend on neither. */
#include "trainer.h"

#include <stdlib.h> // free
#include <time.h>   // nanosleep
#include <unistd.h> // isatty

#include "base/processor.h" // nl_processor_cores
#include "base/signals.h"   // nl_signals_catch

/* --- before ---------------------------------------------------------------------------------- */

static uint64_t steps_of(const nl_study *study, const nl_config *config) {
    return (uint64_t)config->train.epochs *
           nl_pass_steps(&study->options, study->data->train.count, config->data.batch);
}

static int jobs_of(const nl_study *study) {
    int pending = 0;
    for (int i = 0; i < study->n_runs; i++) pending += !nl_run_has_ended(&study->runs[i]);
    const int wanted = study->options.jobs            ? study->options.jobs
                       : study->backend->side_by_side ? nl_processor_cores()
                                                      : 1;
    return wanted < pending ? wanted : pending > 1 ? pending : 1;
}

static int prepare(nl_crew *crew, nl_study *study, nl_error *err) {
    for (int i = 0; i < study->n_runs; i++) {
        const int code = nl_train_find_ended(study, &study->runs[i], err);
        if (code) return code;
    }
    *crew = (nl_crew){.study = study, .jobs = jobs_of(study)};
    crew->left = nl_alloc((size_t)study->n_runs, sizeof *crew->left, "steps left");
    crew->busy = nl_alloc((size_t)study->n_runs, sizeof *crew->busy, "runs");
    crew->watches = nl_alloc((size_t)study->n_runs, sizeof *crew->watches, "watches");
    NL_ASSERT(pthread_mutex_init(&crew->lock, NULL) == 0);
    nl_progress_open(&crew->progress, !study->options.quiet && isatty(STDERR_FILENO),
                     crew->jobs > 1, study->n_runs);
    for (int i = 0; i < study->n_runs; i++) {
        const bool done = nl_run_has_ended(&study->runs[i]);
        const int epochs = study->runs[i].config.train.epochs;
        atomic_init(&crew->left[i], done ? 0 : steps_of(study, &study->runs[i].config));
        crew->progress.work += crew->left[i];
        crew->progress.epochs += epochs;
        crew->progress.epochs_done += done ? epochs : 0;
        crew->progress.runs_done += done;
        if (done && study->options.join) nl_log_begin(crew, i);
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
        if (k != i && k > i && !nl_run_has_ended(&study->runs[k])) return 1; /* one waits */
        busy += k != i && crew->left[k] > crew->left[i] / 4;
    }
    const int share = nl_processor_cores() / busy;
    return share > 1 ? share : 1;
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

/* The next run to be tried, in turn; -1: none. Other processes' runs are tried again and again. */
static int next_shared_run(nl_crew *crew) {
    const int n = crew->study->n_runs;
    for (int k = 0; k < n; k++) {
        const int i = (crew->next + k) % n;
        if (crew->busy[i] || nl_run_has_ended(&crew->study->runs[i])) continue;
        crew->next = i + 1;
        return i;
    }
    return -1;
}

static int next_own_run(nl_crew *crew) {
    while (crew->next < crew->study->n_runs) {
        const int i = crew->next++;
        if (!nl_run_has_ended(&crew->study->runs[i])) return i;
        nl_log_begin(crew, i);
    }
    return -1;
}

static int next_run(nl_crew *crew) {
    int i = -1;
    pthread_mutex_lock(&crew->lock);
    if (!nl_crew_stopping(crew))
        i = crew->study->options.join ? next_shared_run(crew) : next_own_run(crew);
    if (i >= 0) crew->busy[i] = true;
    pthread_mutex_unlock(&crew->lock);
    return i;
}

/* Run i is not this thread's any more. True: all that is open is at other processes, so that one
 * had better wait before one looks again. */
static bool put_back(nl_crew *crew, int i) {
    const nl_study *study = crew->study;
    int elsewhere = 0, open = 0;
    pthread_mutex_lock(&crew->lock);
    crew->busy[i] = false;
    for (int k = 0; k < study->n_runs; k++) {
        elsewhere += study->runs[k].status == NL_RUN_ELSEWHERE;
        open += study->runs[k].status == NL_RUN_PENDING && !crew->busy[k];
    }
    nl_progress_elsewhere(&crew->progress, elsewhere);
    const bool wait = study->options.join && elsewhere > 0 && open == 0;
    if (wait && elsewhere != crew->elsewhere && !study->options.quiet) {
        nl_progress_pause(&crew->progress);
        printf("%d of %d runs are at other processes: waiting for them\n", elsewhere,
               study->n_runs);
        nl_progress_go_on(&crew->progress);
        crew->elsewhere = elsewhere;
    }
    pthread_mutex_unlock(&crew->lock);
    return wait;
}

/* A run that another process ended is no work for this one. */
static void count_as_done(nl_crew *crew, int i) {
    nl_progress_drop(&crew->progress, atomic_exchange(&crew->left[i], 0), 0);
    nl_progress_did(&crew->progress, 0, crew->study->runs[i].config.train.epochs);
    nl_progress_run(&crew->progress, 0, 1);
}

static void *work(void *argument) {
    nl_crew *crew = argument;
    const double nap = nl_claim_patience() / 10 < 1 ? nl_claim_patience() / 10 : 1;
    for (int i; (i = next_run(crew)) >= 0;) {
        const nl_study_run *item = &crew->study->runs[i];
        nl_error err;
        bool trained = false;
        const int code = nl_train_run(crew, i, threads_of(crew, i), &trained, &err);
        if (code) note(crew, code, &err);
        if (!trained && nl_run_has_ended(item)) count_as_done(crew, i);
        if (put_back(crew, i) && !nl_crew_stopping(crew))
            nanosleep(&(struct timespec){.tv_nsec = (long)(1e9 * nap) - 1}, NULL);
    }
    return NULL;
}

/* --- all of them ----------------------------------------------------------------------------- */

/* The caller's thread is one of them. */
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
    free(crew.busy);
    free(crew.watches);
    return code;
}
