/* What writing and reading safetensors files share. */
#pragma once

#include <stddef.h> // size_t

#include "normlab/checkpoint.h" // nl_dtype

enum { NL_DTYPES = NL_BOOL + 1 };

typedef struct nl_dtype_info {
    const char *name; /* in the file */
    size_t size;
} nl_dtype_info;

extern const nl_dtype_info nl_dtypes[NL_DTYPES];

/* The hash of __metadata__ over its other entries, if `format` is one of them, and the tensors. */
void nl_archive_hash(char text[65], const struct json_t *metadata, const void *data, size_t size);

/* The `count` elements of a blob as floats: F32 bit for bit, F16 and BF16 exactly, F64 rounded.
 * Errors: NL_EDATA for another type, and for a finite number that a float cannot hold. */
int nl_blob_to_floats(float *to, const nl_blob *blob, int64_t count, const char *path,
                      nl_error *err);
