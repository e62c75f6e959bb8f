/* predictions.csv, raw and gzipped. The first byte of an input says in which container, and of how
 * many classes. */
#include "fuzz.h"

#include <math.h>   // isnan
#include <stdio.h>  // open_memstream
#include <stdlib.h> // free
#include <string.h> // memcmp

#include "report/runs/runs.h" // nl_seed_run_read_guesses

/* Whether the run has images; if it has not, and there is something to be read, that was said. */
static bool read_file(nl_seed_run *run, const char *path) {
    fuzz_hear();
    nl_seed_run_read_guesses(run, path);
    const int warnings = fuzz_heard();
    HOLDS(warnings <= 1 && (run->n_guesses == 0 || warnings == 0));
    HOLDS((run->guesses != NULL) == (run->n_guesses > 0));
    fuzz_count(run->n_guesses > 0);
    return run->n_guesses > 0;
}

static char *write_again(size_t *size, const nl_seed_run *run) {
    char *text = NULL;
    FILE *file = open_memstream(&text, size);
    HOLDS(file);
    fputs("image,label,prediction,probability,loss\n", file);
    for (uint32_t i = 0; i < run->n_guesses; i++) {
        const nl_guess *g = &run->guesses[i];
        fprintf(file, "%u,%u,%u,%.17g", g->image, g->label, g->prediction, g->probability);
        if (!isnan(g->loss)) fprintf(file, ",%.17g", g->loss);
        fputc('\n', file);
    }
    HOLDS(fclose(file) == 0);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int classes[4] = {10, 2, 47, NL_MAX_CLASSES};
    if (size < 1) return 0;
    nl_seed_run run = {0}, back = {0};
    run.config.data.picture.classes = back.config.data.picture.classes = classes[data[0] >> 2 & 3];
    if (read_file(&run, fuzz_data_file("p.csv", data[0], data + 1, size - 1))) {
        for (uint32_t i = 0; i < run.n_guesses; i++) {
            const nl_guess *g = &run.guesses[i];
            HOLDS(!i || g->image > run.guesses[i - 1].image);
            HOLDS(g->label < run.config.data.picture.classes);
            HOLDS(g->prediction < run.config.data.picture.classes);
            HOLDS(g->probability >= 0 && g->probability <= 1);
            HOLDS(isnan(g->loss) || g->loss >= 0);
        }
        size_t length;
        char *text = write_again(&length, &run);
        HOLDS(read_file(&back, fuzz_data_file("p.csv", 0, text, length)));
        HOLDS(back.n_guesses == run.n_guesses);
        for (uint32_t i = 0; i < run.n_guesses; i++) {
            const nl_guess *a = &run.guesses[i], *b = &back.guesses[i];
            HOLDS(a->image == b->image && a->label == b->label && a->prediction == b->prediction);
            HOLDS(a->probability == b->probability);
            HOLDS(a->loss == b->loss || (isnan(a->loss) && isnan(b->loss)));
        }
        free(text);
    }
    nl_seed_run_free(&run);
    nl_seed_run_free(&back);
    return 0;
}
