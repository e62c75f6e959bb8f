/* predictions.csv: what the last weights say of each test image. */
#include "trainer.h"

#include <stdio.h>  // open_memstream
#include <stdlib.h> // free

#include "normlab/checkpoint.h" // nl_file_write
#include "normlab/run_files.h"  // NL_FILE_PREDICTIONS

int nl_run_save_predictions(nl_run *run, const nl_evaluation *test, nl_error *err) {
    char *text = NULL, path[NL_PATH_SIZE];
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    NL_NEED(file);
    fputs("image,label,prediction,probability,loss\n", file);
    for (uint32_t i = 0; i < test->images; i++) {
        const unsigned prediction = test->predictions[i];
        fprintf(file, "%u,%u,%u,%.8g,%.8g\n", i, test->split->labels[i], prediction,
                (double)test->probs[(size_t)i * (size_t)run->model.picture.classes + prediction],
                test->losses[i]);
    }
    nl_text_close(file);
    int code = nl_run_holds(run, err);
    if (!code)
        code = nl_file_write(nl_unit_file(&run->unit, path, NL_FILE_PREDICTIONS), text, size, err);
    free(text);
    return code;
}
