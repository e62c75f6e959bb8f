/* safetensors files: an 8-byte little-endian header length, a JSON header, raw tensors. In those
 * that normlab writes, the header's __metadata__ holds `config` (resolved, JSON text), `format`
 * ("2") and `sha256` (hex, of the other entries, sorted by key, each as key, NUL, value, NUL, and
 * then of all bytes after the header; without `format`: of those bytes alone); in those of other
 * programs anything or nothing.
 *
 * Written atomically: temporary file in the same folder, write, fsync, rename, fsync of the folder.
 * Read with every field checked against the file's size before it is used, then the hash, if the
 * file has one.
 */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // int64_t

#include "normlab/error.h" // nl_error
#include "normlab/model.h" // nl_model, nl_config

/* Of the format's types; those of 8 bits of floating point are not read. */
typedef enum nl_dtype {
    NL_F32,
    NL_F64,
    NL_F16,
    NL_BF16,
    NL_U64,
    NL_U32,
    NL_U16,
    NL_U8,
    NL_I64,
    NL_I32,
    NL_I16,
    NL_I8,
    NL_BOOL
} nl_dtype;

typedef struct nl_blob {
    char name[64];
    nl_dtype dtype;
    int rank;
    int64_t shape[4];
    const void *data; /* writing: the caller's; reading: inside the archive, of any alignment */
} nl_blob;

typedef struct nl_archive {
    nl_blob *blobs;
    int n_blobs;
    struct json_t *metadata; /* __metadata__: string values; empty where the file has none */
    bool sealed;             /* it has a sha256, which agrees */
    void *bytes;             /* the file's content, owner of all blobs' data */
} nl_archive;

/* Writes blobs with the given metadata (format and sha256 are added). Errors: NL_EWRITE with path. */
int nl_archive_write(const char *path, const nl_blob *blobs, int n_blobs,
                     const struct json_t *metadata, nl_error *err);

/* Errors: NL_EDATA naming path and field. The caller frees. */
int nl_archive_read(nl_archive *archive, const char *path, nl_error *err);
void nl_archive_free(nl_archive *archive);
const nl_blob *nl_archive_find(const nl_archive *archive, const char *name);

/* A model's weights and running values, float32, named and shaped as in PyTorch's state dict. */
int nl_checkpoint_write(const char *path, const nl_config *config, const nl_model *model,
                        const float *params, const float *buffers, nl_error *err);

/* Fills the arenas from a file, written by normlab or not, with all the model's tensors by name and
 * shape, as F32, F64, F16 or BF16; values that are not finite stay so. Of what a state dict holds
 * beside them, num_batches_tracked is passed over. *sealed (which may be NULL): whether a checksum
 * proved the file whole. Errors: NL_EDATA naming the tensor. */
int nl_checkpoint_read(const char *path, const nl_model *model, float *params, float *buffers,
                       bool *sealed, nl_error *err);

/* What a user should know of a checkpoint that was read unsealed. */
void nl_checkpoint_warn(const char *path);

/* Only the config of a checkpoint. Errors: NL_EDATA, also where there is none in it. */
int nl_checkpoint_config(const char *path, nl_config *config, nl_error *err);

/* Hex SHA-256 of a buffer into text[65]. */
void nl_sha256_hex(char text[65], const void *bytes, size_t size);
/* The same of two buffers, one behind the other. */
void nl_sha256_hex_both(char text[65], const void *head, size_t head_size, const void *bytes,
                        size_t size);

/* Writes a whole file atomically as above; through a symbolic link its target; a device or a pipe
 * takes the bytes and stays what it is. */
int nl_file_write(const char *path, const void *bytes, size_t size, nl_error *err);

/* From here on nl_file_write of this thread asks, when all is on the disk and the old file still
 * stands: an error leaves that, and is returned. NULL: no more. */
typedef int nl_guard(void *context, nl_error *err);
void nl_file_guard(nl_guard *ask, void *context);

/* The path of folder and file; the caller frees. */
char *nl_path(const char *folder, const char *file);
