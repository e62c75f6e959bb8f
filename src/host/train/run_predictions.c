/* predictions.csv: what the last weights say of each test image. */
#include "trainer.h"

#include <stdio.h>  // fprintf
#include <stdlib.h> // free

#include "normlab/checkpoint.h" // nl_file_write
#include "normlab/run_files.h"  // NL_FILE_PREDICTIONS

int nl_run_save_predictions(nl_run *run, const nl_evaluation *test, nl_error *err) {
    char *text = NULL, path[NL_PATH_SIZE];
    size_t size = 0;
    FILE *file = nl_text_open(&text, &size);
    fputs("image,label,prediction,probability,loss\n", file);
    for (uint32_t i = 0; i < test->images; i++) {
        const unsigned prediction = test->predictions[i];
        fprintf(file, "%u,%u,%u,%.8g,%.8g\n", i, test->split->labels[i], prediction,
                (double)test->probs[(size_t)i * (size_t)run->model.picture.classes + prediction],
                test->losses[i]);
    }
    nl_text_close(file);
    const int code =
        nl_file_write(nl_unit_file(&run->unit, path, NL_FILE_PREDICTIONS), text, size, err);
    free(text);
    return code;
}

/* Performance of the last weights: on the training images with rotations of their own, and on the
 * test images, whose predictions are kept. */
int nl_run_measure_final(nl_run *run, nl_final *final, nl_error *err) {
    const nl_dataset *data = run->study->data;
    nl_evaluation train = {.split = &data->train, .epoch = run->config->train.epochs};
    nl_evaluation test = {.split = &data->test, .epoch = -1};
    test.predictions = nl_alloc(data->test.count, sizeof *test.predictions, "predictions");
    test.probs = nl_alloc((size_t)data->test.count * (size_t)run->model.picture.classes,
                          sizeof *test.probs, "probs");
    test.losses = nl_alloc(data->test.count, sizeof *test.losses, "losses");
    int code = nl_run_evaluate(run, &train, err);
    if (!code) code = nl_run_evaluate(run, &test, err);
    if (!code) code = nl_run_save_predictions(run, &test, err);
    *final = (nl_final){train.loss, train.accuracy, test.loss, test.accuracy};
    const nl_metrics_record record = {.event = NL_EVENT_FINAL, .figures = *final};
    if (!code) code = nl_run_write_metrics(run, &record, err);
    /* run.json will promise it. */
    int64_t bytes;
    if (!code) code = nl_metrics_sync(&run->metrics, &bytes, err);
    free(test.predictions);
    free(test.probs);
    free(test.losses);
    return code;
}
