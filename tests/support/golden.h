/* Tensors computed once by PyTorch, in tests/golden/NAME.txt: lines of
 *     name count value value ...
 * written by the script of that folder. */
#pragma once

#include <stdint.h> // int64_t

/* The tensor as a guarded buffer. Fails the test if it is missing, or of another size. */
double *golden(const char *file, const char *name, int64_t count);
