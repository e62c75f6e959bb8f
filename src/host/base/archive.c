/* Writing safetensors files, and what does not depend on a file's content.
 *
 * Layout: 8 bytes header length N, little-endian; N bytes of JSON, padded with spaces to a multiple
 * of 8; the tensors, little-endian, without holes. Each tensor's data_offsets [begin, end) count
 * from the end of the header. Wide elements come first, so that every tensor is aligned. */
#include "archive.h"

#include <jansson.h> // json_t
#include <stdio.h>   // fprintf
#include <stdlib.h>  // free, qsort
#include <string.h>  // memcpy, strcmp

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors files are little-endian; this machine would have to swap bytes"
#endif

/* Of __metadata__: since it is there, the hash covers the other entries as well. */
#define FORMAT "2"

const nl_dtype_info nl_dtypes[NL_DTYPES] = {
    [NL_F32] = {"F32", 4},  [NL_F64] = {"F64", 8}, [NL_F16] = {"F16", 2}, [NL_BF16] = {"BF16", 2},
    [NL_U64] = {"U64", 8},  [NL_U32] = {"U32", 4}, [NL_U16] = {"U16", 2}, [NL_U8] = {"U8", 1},
    [NL_I64] = {"I64", 8},  [NL_I32] = {"I32", 4}, [NL_I16] = {"I16", 2}, [NL_I8] = {"I8", 1},
    [NL_BOOL] = {"BOOL", 1}};

void nl_archive_free(nl_archive *archive) {
    free(archive->blobs);
    json_decref(archive->metadata);
    free(archive->bytes);
    memset(archive, 0, sizeof *archive);
}

const nl_blob *nl_archive_find(const nl_archive *archive, const char *name) {
    for (int i = 0; i < archive->n_blobs; i++) {
        if (strcmp(archive->blobs[i].name, name) == 0) return &archive->blobs[i];
    }
    return NULL;
}

/* ---- the hash ------------------------------------------------------------------------------- */

static int compare_keys(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* All entries but the hash, sorted by key: each as key, NUL, value, NUL. The caller frees. */
static char *flatten(size_t *size, const json_t *metadata) {
    const size_t room = json_object_size(metadata);
    const char **keys = nl_alloc(room, sizeof *keys, "metadata"), *key;
    size_t n = 0;
    json_t *value;
    json_object_foreach((json_t *)metadata, key, value) {
        if (strcmp(key, "sha256") != 0) keys[n++] = key;
    }
    qsort(keys, n, sizeof *keys, compare_keys);
    char *text = NULL;
    FILE *out = nl_text_open(&text, size);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%s%c%s%c", keys[i], 0, json_string_value(json_object_get(metadata, keys[i])),
                0);
    nl_text_close(out);
    free(keys);
    return text;
}

void nl_archive_hash(char text[65], const json_t *metadata, const void *data, size_t size) {
    size_t head_size = 0;
    char *head = json_object_get(metadata, "format") ? flatten(&head_size, metadata) : NULL;
    nl_sha256_hex_both(text, head, head_size, data, size);
    free(head);
}

/* ---- writing -------------------------------------------------------------------------------- */

static size_t blob_size(const nl_blob *blob) {
    size_t size = nl_dtypes[blob->dtype].size;
    for (int i = 0; i < blob->rank; i++) size *= (size_t)blob->shape[i];
    return size;
}

/* Fills order[] with the blobs' indices, wide elements first, else as given. */
static void sort_by_width(int *order, const nl_blob *blobs, int n) {
    int count = 0;
    for (size_t width = 8; width >= 1; width /= 2) {
        for (int i = 0; i < n; i++) {
            if (nl_dtypes[blobs[i].dtype].size == width) order[count++] = i;
        }
    }
    NL_ASSERT(count == n);
}

static json_t *describe_blob(const nl_blob *blob, size_t begin) {
    json_t *shape = json_array();
    for (int i = 0; i < blob->rank; i++) {
        json_array_append_new(shape, json_integer(blob->shape[i]));
    }
    const json_int_t first = (json_int_t)begin, last = (json_int_t)(begin + blob_size(blob));
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", nl_dtypes[blob->dtype].name, "shape",
                              shape, "data_offsets", first, last);
    NL_NEED(entry);
    return entry;
}

/* The header's text, padded; *size is a multiple of 8. The caller frees. */
static char *make_header(size_t *size, const nl_blob *blobs, const int *order, int n,
                         json_t *metadata) {
    json_t *header = json_object();
    json_object_set(header, "__metadata__", metadata);
    size_t begin = 0;
    for (int i = 0; i < n; i++) {
        const nl_blob *blob = &blobs[order[i]];
        NL_ASSERT(!json_object_get(header, blob->name));
        json_object_set_new(header, blob->name, describe_blob(blob, begin));
        begin += blob_size(blob);
    }
    char *text = json_dumps(header, JSON_COMPACT);
    NL_NEED(text);
    const size_t length = strlen(text);
    *size = (length + 7) / 8 * 8;
    char *padded = nl_alloc(*size, 1, "checkpoint");
    memset(padded, ' ', *size);
    memcpy(padded, text, length);
    free(text);
    json_decref(header);
    return padded;
}

int nl_archive_write(const char *path, const nl_blob *blobs, int n_blobs, const json_t *metadata,
                     nl_error *err) {
    int *order = nl_alloc((size_t)n_blobs, sizeof *order, path);
    sort_by_width(order, blobs, n_blobs);
    size_t data_size = 0;
    for (int i = 0; i < n_blobs; i++) data_size += blob_size(&blobs[i]);
    char *data = nl_alloc(data_size, 1, path), *end = data;
    for (int i = 0; i < n_blobs; i++) {
        const nl_blob *blob = &blobs[order[i]];
        memcpy(end, blob->data, blob_size(blob));
        end += blob_size(blob);
    }
    json_t *strings = metadata ? json_copy((json_t *)metadata) : json_object();
    json_object_set_new(strings, "format", json_string(FORMAT));
    char sha256[65];
    nl_archive_hash(sha256, strings, data, data_size);
    json_object_set_new(strings, "sha256", json_string(sha256));

    size_t header_size = 0;
    char *header = make_header(&header_size, blobs, order, n_blobs, strings);
    json_decref(strings);
    const uint64_t prefix = header_size;
    const size_t size = sizeof prefix + header_size + data_size;
    char *bytes = nl_alloc(size, 1, path);
    memcpy(bytes, &prefix, sizeof prefix);
    memcpy(bytes + sizeof prefix, header, header_size);
    memcpy(bytes + sizeof prefix + header_size, data, data_size);
    const int rc = nl_file_write(path, bytes, size, err);
    free(bytes), free(header), free(data), free(order);
    return rc;
}
