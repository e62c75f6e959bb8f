/* The file of eval --logits. Its ending says which: FILE.csv, or FILE.safetensors. */
#pragma once

#include "normlab/dataset.h" // nl_split

/* Errors: NL_EUSAGE for another ending. */
int eval_logits_check(const char *path, nl_error *err);

/* A table of image, label and a column a class, its floats with the digits that read back the same;
 * or tensors `logits` (images, classes) F32 and `labels` (images) U8. Errors: NL_EWRITE. */
int eval_logits_write(const char *path, const float *logits, int classes, const nl_split *split,
                      nl_error *err);
