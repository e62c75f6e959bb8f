/* Writes logits; see eval_logits.h. */
#include "eval_logits.h"

#include <math.h>    // isnan
#include <stdbool.h> // bool
#include <stdio.h>   // fprintf
#include <stdlib.h>  // free
#include <string.h>  // strcmp

#include "normlab/checkpoint.h" // nl_archive_write, nl_file_write

static bool ends_in(const char *path, const char *ending) {
    const size_t length = strlen(path), size = strlen(ending);
    return length > size && strcmp(path + length - size, ending) == 0;
}

int eval_logits_check(const char *path, nl_error *err) {
    if (ends_in(path, ".csv") || ends_in(path, ".safetensors")) return NL_OK;
    nl_fail(err, NL_EUSAGE, "--logits", "'%.200s': ends neither in .csv nor in .safetensors", path);
    return nl_hint(err, "FILE.csv gets a table, FILE.safetensors tensors");
}

static int write_table(const char *path, const float *logits, int classes, const nl_split *split,
                       nl_error *err) {
    char *text = NULL;
    size_t size = 0;
    FILE *table = nl_text_open(&text, &size);
    fputs("image,label", table);
    for (int k = 0; k < classes; k++) fprintf(table, ",logit_%d", k);
    for (uint32_t i = 0; i < split->count; i++) {
        fprintf(table, "\n%u,%d", i, split->labels[i]);
        for (int k = 0; k < classes; k++) {
            const float z = logits[(size_t)i * (size_t)classes + (size_t)k];
            if (isnan(z))
                fputs(",nan", table); /* whatever its sign */
            else
                fprintf(table, ",%.9g", (double)z);
        }
    }
    fputc('\n', table);
    nl_text_close(table);
    const int code = nl_file_write(path, text, size, err);
    free(text);
    return code;
}

int eval_logits_write(const char *path, const float *logits, int classes, const nl_split *split,
                      nl_error *err) {
    if (ends_in(path, ".csv")) return write_table(path, logits, classes, split, err);
    const nl_blob blobs[] = {
        {"logits", NL_F32, 2, {split->count, classes}, logits},
        {"labels", NL_U8, 1, {split->count}, split->labels},
    };
    return nl_archive_write(path, blobs, 2, NULL, err);
}
