/* The log, in the format of the original notebook, and the closing table.
 *
 * The original's "Average loss" of the test set is the sum of the batches' mean losses divided by
 * the number of images, about 1/64 of the mean loss of an image. Here the average loss is the mean
 * of an image, and the original's figure stands beside it. */
#include "trainer.h"

#include <math.h>   // sqrt
#include <stdio.h>  // printf
#include <string.h> // strcmp

#include "normlab/run_files.h" // NL_SEED_FOLDER

/* --- a run ---------------------------------------------------------------------------------- */

/* Side by side a run says one line an epoch, with its name, and one at its end. */
static bool is_silent(const nl_run *run, bool of_one_alone) {
    return run->study->options.quiet || (of_one_alone && run->crew->jobs > 1);
}

bool nl_log_by_batches(const nl_run *run) {
    return !is_silent(run, true);
}

static void print_name(nl_run *run) {
    nl_progress_pause(&run->crew->progress);
    printf("%s, seed %u: ", run->config->name, run->config->train.seed);
}

void nl_log_begin(nl_crew *crew, int i) {
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
    if (nl_run_has_ended(item))
        printf("%s%s\n", item->status == NL_RUN_FAILED ? "failed before" : "finished before",
               crew->jobs > 1 || o->join ? "" : "\n");
    nl_progress_go_on(&crew->progress);
}

void nl_log_epoch(nl_run *run) {
    if (is_silent(run, true)) return;
    const int epoch = (int)run->at.epoch;
    printf("EPOCH: %d  LR:  %.10g\n", epoch, nl_config_lr(run->config, epoch));
    nl_log_flush();
}

void nl_log_train(nl_run *run) {
    if (is_silent(run, true)) return;
    char gone[32], rate[32];
    const nl_position *at = &run->at;
    printf("Loss = %.4g | Batch = %u | Accuracy = %.2f: %u/%u [%s, %s]\n", at->last_loss,
           at->step - 1, 100.0 * (double)at->hits / (double)at->images, at->step, run->steps,
           nl_clock_text(gone, at->seconds), nl_rate_text(rate, at->step, at->seconds));
    nl_log_flush();
}

void nl_log_test(nl_run *run, const nl_evaluation *test) {
    const nl_position *at = &run->at;
    char gone[32];
    if (is_silent(run, false)) return;
    if (run->crew->jobs > 1) {
        const double images = (double)at->images;
        print_name(run);
        printf("epoch %u of %d: train loss %.4f, accuracy %.2f; test loss %.4f, accuracy %.2f "
               "[%s]\n",
               at->epoch, run->config->train.epochs, at->loss_sum / images,
               100.0 * (double)at->hits / images, test->loss, test->accuracy,
               nl_clock_text(gone, at->seconds));
        nl_progress_go_on(&run->crew->progress);
        return;
    }
    printf("\nTest set: Average loss: %.4f (by the original's formula %.5f), Accuracy: %.2f\n\n",
           test->loss, test->batch_means / test->images, test->accuracy);
    nl_log_flush();
}

void nl_log_final(nl_run *run, const nl_final *f) {
    const bool alone = run->crew->jobs == 1;
    if (is_silent(run, false)) return;
    if (!alone) print_name(run);
    printf("%sinal: train loss %.4f, accuracy %.2f; test loss %.4f, accuracy %.2f\n%s",
           alone ? "F" : "f", f->train_loss, f->train_accuracy, f->test_loss, f->test_accuracy,
           alone ? "\n" : "");
    if (!alone) nl_progress_go_on(&run->crew->progress);
    nl_log_flush();
}

/* --- the closing table ---------------------------------------------------------------------- */

static int name_width(const nl_study *study) {
    int width = 7;
    for (int i = 0; i < study->n_runs; i++) {
        const int length = (int)strlen(study->runs[i].config.name);
        if (length > width) width = length;
    }
    return width;
}

static void print_row(int width, const char *name, const char *seed, const nl_final *f) {
    printf("%-*s  %6s  %10.4f  %9.2f  %9.4f  %8.2f\n", width, name, seed, f->train_loss,
           f->train_accuracy, f->test_loss, f->test_accuracy);
}

/* Mean over the finished seeds of the config whose runs are first .. end - 1. */
static void print_mean(int width, const nl_study *study, int first, int end) {
    nl_final mean = {0};
    double squares = 0;
    int count = 0;
    for (int i = first; i < end; i++) {
        if (!study->runs[i].has_final) continue;
        const nl_final *f = &study->runs[i].final;
        count++;
        /* Welford's way: the squares are of distances from the mean, nothing cancels. */
        const double delta = f->test_accuracy - mean.test_accuracy;
        mean.train_loss += (f->train_loss - mean.train_loss) / count;
        mean.train_accuracy += (f->train_accuracy - mean.train_accuracy) / count;
        mean.test_loss += (f->test_loss - mean.test_loss) / count;
        mean.test_accuracy += delta / count;
        squares += delta * (f->test_accuracy - mean.test_accuracy);
    }
    if (count < 2) return;
    print_row(width, study->runs[first].config.name, "mean", &mean);
    printf("%-*s  %6s  %10s  %9s  %9s  %8.2f\n", width, "", "sd", "", "", "",
           sqrt(squares / (count - 1)));
}

void nl_log_table(const nl_study *study) {
    const int width = name_width(study);
    printf("%-*s  %6s  %10s  %9s  %9s  %8s\n", width, "variant", "seed", "train loss", "train %",
           "test loss", "test %");
    for (int first = 0, end; first < study->n_runs; first = end) {
        const char *name = study->runs[first].config.name;
        for (end = first; end < study->n_runs; end++) {
            const nl_study_run *run = &study->runs[end];
            char seed[16];
            if (strcmp(run->config.name, name) != 0) break;
            snprintf(seed, sizeof seed, "%u", run->config.train.seed);
            if (run->has_final)
                print_row(width, name, seed, &run->final);
            else if (run->status == NL_RUN_FAILED)
                printf("%-*s  %6s  failed: the loss was no longer finite\n", width, name, seed);
        }
        print_mean(width, study, first, end);
    }
    nl_log_flush();
}
