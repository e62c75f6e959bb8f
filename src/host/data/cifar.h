/* The binary files of CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html): records of
 * a label (CIFAR-100: a coarse one, then the fine one) and 3 x 32 x 32 bytes, nothing else.
 */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint8_t, uint32_t

#include "data_file.h"       // nl_data_file
#include "normlab/dataset.h" // nl_split

enum { NL_CIFAR_CHANNELS = 3, NL_CIFAR_SIDE = 32, NL_CIFAR_COARSE = 20 };

/* Reads `path`, or `path`.gz, and appends its images and labels to the split; label_bytes: 1, or 2 of
 * which the second counts. Errors: NL_EDATA naming the file really read. */
int nl_cifar_read(nl_split *split, char sha256[65], const char *path, int label_bytes, int classes,
                  nl_error *err);

/* Adds a hint if the file, which is no IDX file, has the size of such records. */
bool nl_cifar_hint(nl_data_file *file, nl_error *err);
