/* One pass over the training set, and one in evaluation mode.
 *
 * Steps are enqueued one burst ahead of those collected, so that a device never waits for the host
 * to look at metrics and signals. After a signal nothing more is enqueued, and what is under way is
 * collected: the engine's state is then that after at.step steps, and can be saved and resumed. */
#include "trainer.h"

#include <inttypes.h> // PRIu32
#include <math.h>     // isfinite, exp, log
#include <stdio.h>    // snprintf
#include <stdlib.h>   // free

#include "normlab/rng.h" // nl_epoch_order, nl_rotation_degrees

uint32_t nl_pass_images(const nl_train_options *options, uint32_t count, int batch) {
    const uint64_t limit = (uint64_t)options->limit_batches * (uint32_t)batch;
    return limit > 0 && limit < count ? (uint32_t)limit : count;
}

uint32_t nl_pass_steps(const nl_train_options *options, uint32_t count, int batch) {
    const uint32_t images = nl_pass_images(options, count, batch);
    return images / (uint32_t)batch + (images % (uint32_t)batch != 0);
}

const nl_draws *nl_run_draws(nl_run *run, uint32_t epoch) {
    const nl_config *config = run->config;
    const uint32_t images = run->study->data->train.count;
    const uint32_t seed = nl_config_seed(config, NL_STREAM_ROTATION);
    nl_draws *d = &run->draws[epoch % 2];
    if (d->epoch == epoch) return d;
    d->epoch = epoch;
    nl_epoch_order(d->order, images, nl_config_seed(config, NL_STREAM_ORDER), epoch,
                   config->data.shuffle);
    for (uint32_t i = 0; d->rotations && i < images; i++)
        d->rotations[i] = nl_rotation_make(nl_rotation_degrees(seed, epoch, i, config->data.rotate),
                                           run->model.picture.shape);
    return d;
}

/* --- training ------------------------------------------------------------------------------- */

static nl_epoch make_epoch(nl_run *run) {
    const uint32_t epoch = run->at.epoch;
    const nl_draws *draws = nl_run_draws(run, epoch);
    return (nl_epoch){.epoch = epoch,
                      .lr = nl_config_lr(run->config, (int)epoch),
                      .order = draws->order,
                      .rotations = draws->rotations};
}

/* The step has changed nothing, so the weights it failed with can be looked at. */
static int fail_nonfinite(nl_run *run, double loss, nl_error *err) {
    const nl_study *study = run->study;
    run->failure = (nl_failure){true, run->at.epoch, run->at.step, loss};
    char where[256] = "the weights are out of bounds";
    const nl_epoch epoch = make_epoch(run);
    const int code = nl_run_fetch_state(run, err);
    if (code) return code;
    if (study->diagnose)
        study->diagnose(where, sizeof where, &run->spec, &run->state, study->backend->real_size,
                        &epoch, run->at.step);
    nl_fail(err, NL_ENONFINITE, run->unit.folder, "the loss of epoch %u, step %u is not finite: %s",
            run->at.epoch, run->at.step, where);
    return nl_hint(err, "the checkpoints of the last whole epoch are kept; try a lower train.lr");
}

/* An epoch is told in so many pieces, or in one a step: where a piece ends depends on the number of
 * steps alone, not on bursts, stops and resumptions. */
enum { PIECES = 50 };

static bool ends_piece(uint32_t step, uint32_t steps) {
    return steps <= PIECES || (step + 1ull) * PIECES / steps != step * (uint64_t)PIECES / steps;
}

static int add_to_piece(nl_run *run, const nl_step_record *r, uint64_t step, nl_error *err) {
    nl_position *at = &run->at;
    at->piece_loss += r->loss * r->images;
    at->piece_hits += r->hits;
    at->piece_images += r->images;
    if (!ends_piece(at->step, run->steps)) return NL_OK;
    const double images = (double)at->piece_images;
    const nl_metrics_record record = {.event = NL_EVENT_PROGRESS,
                                      .epoch = at->epoch,
                                      .step = (int64_t)step,
                                      .loss = at->piece_loss / images,
                                      .accuracy = 100.0 * (double)at->piece_hits / images};
    const int code = nl_run_write_metrics(run, &record, err);
    at->piece_loss = 0;
    at->piece_hits = at->piece_images = 0;
    return code;
}

/* Takes the records of steps at.step ... into sums, metrics and progress. */
static int account(nl_run *run, uint32_t count, nl_error *err) {
    nl_position *at = &run->at;
    const uint32_t every = run->item->log_every;
    for (uint32_t i = 0; i < count; i++) {
        const nl_step_record *r = &run->records[i];
        const uint64_t step = (uint64_t)at->epoch * run->steps + at->step;
        if (every && step % every == 0) {
            const nl_metrics_record record = {.event = NL_EVENT_STEP,
                                              .epoch = at->epoch,
                                              .step = (int64_t)step,
                                              .loss = r->loss,
                                              .penalty = r->penalty};
            const int code = nl_run_write_metrics(run, &record, err);
            if (code) return code;
        }
        if (!isfinite(r->loss + r->penalty)) return fail_nonfinite(run, r->loss + r->penalty, err);
        at->loss_sum += r->loss * r->images;
        at->hits += r->hits;
        at->images += r->images;
        const int code = add_to_piece(run, r, step, err);
        if (code) return code;
        at->step++;
        nl_progress_did(&run->crew->progress, 1, 0);
        atomic_fetch_sub(&run->crew->left[run->number], 1);
        at->last_loss = r->loss + r->penalty;
    }
    return NL_OK;
}

static void show(nl_run *run) {
    char text[64];
    snprintf(text, sizeof text, "Loss = %.4g | Accuracy = %.2f: ", run->at.last_loss,
             100.0 * (double)run->at.hits / (double)run->at.images);
    nl_progress_draw(&run->crew->progress, run->at.step, run->steps, text);
}

static uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* The step of this epoch at which a state is due: --save-every counts over the whole run. */
static uint32_t next_save(const nl_run *run) {
    const uint64_t every = run->item->save_every;
    if (!every) return run->steps;
    const uint64_t begun = (uint64_t)run->at.epoch * run->steps;
    const uint64_t due = ((begun + run->at.step) / every + 1) * every - begun;
    return due < run->steps ? (uint32_t)due : run->steps;
}

static int train_steps(nl_run *run, uint32_t until, nl_error *err) {
    const nl_backend *backend = run->study->backend;
    const uint32_t burst = (uint32_t)backend->burst;
    uint32_t queued = run->at.step;
    int code = NL_OK;
    for (;;) {
        while (!nl_crew_stopping(run->crew) && queued < until &&
               queued < run->at.step + 2 * burst) {
            const uint32_t count = smaller(burst, until - queued);
            code = backend->enqueue(run->engine, queued, count, err);
            if (code) return code;
            queued += count;
        }
        if (queued == run->at.step) return NL_OK;
        if (queued == run->steps) (void)nl_run_draws(run, run->at.epoch + 1);
        code = nl_run_holds_still(run, err);
        if (code) return code;
        const uint32_t count = smaller(burst, queued - run->at.step);
        code = backend->collect(run->engine, run->at.step, count, run->records, err);
        if (!code) code = account(run, count, err);
        if (code) return code;
        show(run);
    }
}

/* Up to the next state that is due. The time of saving is not that of training. */
static int train_piece(nl_run *run, nl_error *err) {
    const double started = nl_clock();
    const uint32_t until = next_save(run);
    const int code = train_steps(run, until, err);
    run->at.seconds += nl_clock() - started;
    if (code || run->at.step < until || until == run->steps) return code;
    const int fetched = nl_run_fetch_state(run, err);
    return fetched ? fetched : nl_run_save_state(run, err);
}

int nl_run_train_epoch(nl_run *run, nl_error *err) {
    nl_progress_begin(&run->crew->progress, run->at.step);
    const double started = nl_clock();
    const nl_epoch epoch = make_epoch(run);
    int code = run->study->backend->begin_epoch(run->engine, &epoch, err);
    run->at.seconds += nl_clock() - started;
    while (!code && run->at.step < run->steps && !nl_crew_stopping(run->crew))
        code = train_piece(run, err);
    nl_progress_end(&run->crew->progress);
    return code;
}

int nl_run_stopped(nl_run *run, nl_error *err) {
    if (!nl_crew_stopping(run->crew)) return NL_OK;
    const int signal = nl_signals_caught();
    run->interrupted = true;
    nl_fail(err, signal ? signal : NL_EINTERNAL, run->unit.folder,
            "interrupted after %" PRIu32 " epochs and %" PRIu32 " steps%s; all is saved",
            run->at.epoch, run->at.step, signal ? "" : ", as another run failed");
    return nl_hint(err, "the same command with --out %s --resume goes on", run->study->options.out);
}

/* --- evaluation ----------------------------------------------------------------------------- */

/* Cross-entropy of one image: log sum exp - logit of the label. */
static double cross_entropy(const float *logits, int classes, uint8_t label) {
    double largest = logits[0], sum = 0;
    for (int c = 1; c < classes; c++)
        if (logits[c] > largest) largest = logits[c];
    for (int c = 0; c < classes; c++) sum += exp(logits[c] - largest);
    return largest + log(sum) - logits[label];
}

static double sum_batch_means(const double *losses, uint32_t images, uint32_t batch) {
    double total = 0;
    for (uint32_t first = 0; first < images; first += batch) {
        const uint32_t count = smaller(batch, images - first);
        double sum = 0;
        for (uint32_t i = first; i < first + count; i++) sum += losses[i];
        total += sum / count;
    }
    return total;
}

/* Before each part of a pass. */
static int ask(void *context, nl_error *err) {
    nl_run *run = context;
    const int code = nl_run_stopped(run, err);
    return code ? code : nl_run_holds_still(run, err);
}

int nl_run_evaluate(nl_run *run, nl_evaluation *e, nl_error *err) {
    const int batch = run->config->data.batch, classes = run->model.picture.classes;
    e->images = nl_pass_images(&run->study->options, e->split->count, batch);
    const bool each = e->losses || e->by_batches; /* image's loss is wanted */
    float *logits =
        each ? nl_alloc((size_t)e->images * (size_t)classes, sizeof *logits, "logits") : NULL;
    double *losses = e->losses || !each ? e->losses : nl_alloc(e->images, sizeof *losses, "losses");
    const nl_eval_pass pass = {
        .split = e->split,
        .rotations = e->epoch < 0 ? NULL : nl_run_draws(run, (uint32_t)e->epoch)->rotations,
        .images = e->images,
        .probs = e->probs,
        .predictions = e->predictions,
        .logits = logits};
    const nl_evaluator by = {run->study->backend, run->engine, (uint32_t)batch, ask, run};
    nl_eval_result result;
    const int code = nl_evaluate(&by, &pass, &result, err);
    if (!code) {
        e->loss = result.loss / e->images;
        e->accuracy = 100.0 * result.hits / e->images;
        for (uint32_t i = 0; each && i < e->images; i++)
            losses[i] =
                cross_entropy(logits + (size_t)i * (size_t)classes, classes, e->split->labels[i]);
        if (e->by_batches) e->batch_means = sum_batch_means(losses, e->images, (uint32_t)batch);
    }
    if (losses != e->losses) free(losses);
    free(logits);
    return code;
}
