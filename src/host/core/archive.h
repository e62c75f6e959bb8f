/* What writing and reading safetensors files share. */
#pragma once

#include <stddef.h> // size_t

#include "normlab/checkpoint.h" // nl_dtype

enum { NL_DTYPES = NL_U8 + 1 };

typedef struct nl_dtype_info {
    const char *name; /* in the file */
    size_t size;
} nl_dtype_info;

extern const nl_dtype_info nl_dtypes[NL_DTYPES];
