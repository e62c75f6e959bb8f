/* See toy.h. */
#include "support/toy.h"

#include <fcntl.h>  // open
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // memcmp
#include <unistd.h> // dup2

#include "support/idx_set.h"

#include "base/regular.h"      // nl_regular_read
#include "normlab/diagnose.h"  // nl_diagnose
#include "normlab/run_files.h" // NL_SEED_FOLDER

static const char yaml[] = "data: {mean: 0.1307, std: 0.3081, rotate: 7, shuffle: true, batch: 8}\n"
                           "model:\n"
                           "  norm: batch\n"
                           "  group_size: 2\n"
                           "  eps: 1e-5\n"
                           "  dropout: 0.05\n"
                           "  layers:\n"
                           "    - {conv: 4, kernel: 5, norm: true, relu: true}\n"
                           "    - {pool: max, size: 4, dropout: true}\n"
                           "    - {conv: 10, kernel: 3}\n"
                           "    - {pool: average}\n"
                           "train:\n"
                           "  epochs: 2\n"
                           "  lr: 0.05\n"
                           "  momentum: 0.9\n"
                           "  l1: 0.001\n"
                           "  schedule: {kind: step, every: 1, factor: 0.5}\n"
                           "  seed: 3\n";

void toy_open(toy *t) {
    memset(t, 0, sizeof *t);
    t->dir = temp_dir_make();
    char path[320];
    nl_error err;
    snprintf(path, sizeof path, "%s/toy.yaml", t->dir);
    FILE *file = fopen(path, "w");
    NL_ASSERT(file && fputs(yaml, file) >= 0 && fclose(file) == 0);
    NL_ASSERT(nl_config_load(&t->config, path, &err) == NL_OK);
    snprintf(path, sizeof path, "%s/data", t->dir);
    idx_set_write(path, TOY_TRAIN, TOY_TEST, false);
    NL_ASSERT(nl_dataset_load(&t->data, path, &t->config.data.picture, &err) == NL_OK);
    snprintf(t->out, sizeof t->out, "%s/out", t->dir);
    t->study.backend = &nl_backend_cpu64;
    t->study.data = &t->data;
    t->study.diagnose = nl_diagnose;
    t->study.options = (nl_train_options){.out = t->out, .quiet = true, .threads = 1};
}

void toy_close(toy *t) {
    nl_study_free(&t->study);
    nl_dataset_free(&t->data);
    temp_dir_remove(t->dir);
}

int toy_train(toy *t, nl_error *err) {
    fflush(stdout);
    const int kept = dup(STDOUT_FILENO), null = open("/dev/null", O_WRONLY);
    NL_ASSERT(kept >= 0 && null >= 0 && dup2(null, STDOUT_FILENO) >= 0);
    nl_study_free(&t->study);
    int code = nl_study_plan(&t->study, &t->config, 1, NULL, 0, err);
    if (!code) code = nl_study_check(&t->study, err);
    if (!code) code = nl_study_check_data(&t->study, err);
    if (!code) code = nl_study_train(&t->study, err);
    fflush(stdout);
    NL_ASSERT(dup2(kept, STDOUT_FILENO) >= 0);
    close(kept);
    close(null);
    return code;
}

char *toy_read(const toy *t, const char *out, const char *file, size_t *size) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s/" NL_SEED_FOLDER "/%s", out, t->config.name,
             t->config.train.seed, file);
    char reason[NL_REASON];
    return nl_regular_read(path, size, reason);
}

bool toy_same_weights(const toy *t, const char *out_a, const char *file_a, const char *out_b,
                      const char *file_b) {
    size_t a_size = 0, b_size = 0;
    char *a = toy_read(t, out_a, file_a, &a_size), *b = toy_read(t, out_b, file_b, &b_size);
    bool same = a && b && a_size > 8 && b_size > 8;
    if (same) {
        uint64_t a_header, b_header; /* its length: the first 8 bytes */
        memcpy(&a_header, a, 8);
        memcpy(&b_header, b, 8);
        a_size -= 8 + a_header;
        b_size -= 8 + b_header;
        same = a_size > 0 && a_size == b_size &&
               memcmp(a + 8 + a_header, b + 8 + b_header, a_size) == 0;
    }
    free(a);
    free(b);
    return same;
}

bool toy_same(const toy *t, const char *out_a, const char *out_b, const char *file) {
    size_t a_size = 0, b_size = 0;
    char *a = toy_read(t, out_a, file, &a_size), *b = toy_read(t, out_b, file, &b_size);
    const bool same = a && b && a_size > 0 && a_size == b_size && memcmp(a, b, a_size) == 0;
    free(a);
    free(b);
    return same;
}
