#pragma once

#include <stddef.h> // size_t

/* A whole file, with a closing 0; where it cannot be read the test ends. The caller frees. */
char *slurp(const char *path, size_t *size);
