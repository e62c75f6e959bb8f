/* Reading safetensors files from an untrusted source; one file, because the order of its checks is
 * what makes it safe.
 *
 * Order of the checks: the header's length against the file's size; the JSON; each entry for
 * itself (type, shape, offsets, and that they agree, without overflow); all entries together (no
 * hole, no overlap, the last byte used); only then is memory taken for the tensors and filled, and
 * the hash of __metadata__ compared, where it has one. What the format leaves free is free here:
 * the order of names and of data, alignment, __metadata__. */
#include <errno.h>    // errno
#include <inttypes.h> // PRIu64
#include <jansson.h>  // json_t
#include <stdbool.h>  // bool
#include <stdio.h>    // FILE
#include <stdlib.h>   // free, qsort
#include <string.h>   // strcmp, strerror
#include <sys/stat.h> // fstat

#include "archive.h"
#include "normlab/run_files.h" // NL_FILE_LAST
#include "regular.h"           // nl_regular_open

enum { MAX_HEADER = 1 << 20 };

static const uint64_t MAX_FILE = (uint64_t)1 << 32;

/* An entry of the header: a blob and where its bytes lie. */
typedef struct entry {
    nl_blob blob;
    uint64_t begin, end;
} entry;

/* ---- one entry ------------------------------------------------------------------------------ */

static int check_name(const char *name, const char *path, nl_error *err) {
    const size_t length = strlen(name);
    bool printable = length > 0 && length < sizeof((nl_blob *)0)->name;
    for (size_t i = 0; printable && i < length; i++) printable = name[i] > ' ' && name[i] <= '~';
    if (printable) return NL_OK;
    return nl_fail(err, NL_EDATA, path, "header: a tensor's name is not 1 to %zu printable letters",
                   sizeof((nl_blob *)0)->name - 1);
}

static int parse_dtype(nl_dtype *dtype, const json_t *json, const char *path, const char *name,
                       nl_error *err) {
    const char *text = json_string_value(json);
    for (int i = 0; text && i < NL_DTYPES; i++) {
        if (strcmp(text, nl_dtypes[i].name) == 0) {
            *dtype = (nl_dtype)i;
            return NL_OK;
        }
    }
    nl_fail(err, NL_EDATA, path, "tensor %s: dtype %.20s cannot be read", name,
            text ? text : "(missing)");
    nl_hint(err, "weights are read as F32, F64, F16 or BF16");
    return NL_EDATA;
}

/* Rank, shape and, without overflow, the size in bytes that they make. */
static int parse_shape(nl_blob *blob, uint64_t *size, const json_t *json, const char *path,
                       nl_error *err) {
    const size_t rank = json_array_size(json);
    if (!json_is_array(json) || rank > 4) {
        return nl_fail(err, NL_EDATA, path, "tensor %s: shape is not a list of at most 4 numbers",
                       blob->name);
    }
    blob->rank = (int)rank;
    *size = nl_dtypes[blob->dtype].size;
    for (size_t i = 0; i < rank; i++) {
        const json_t *item = json_array_get(json, i);
        const json_int_t n = json_integer_value(item);
        if (!json_is_integer(item) || n < 0 || (n > 0 && *size > MAX_FILE / (uint64_t)n)) {
            return nl_fail(err, NL_EDATA, path, "tensor %s: shape[%zu] is out of range", blob->name,
                           i);
        }
        blob->shape[i] = n;
        *size *= (uint64_t)n;
    }
    return NL_OK;
}

static int parse_offsets(entry *e, uint64_t size, uint64_t data_size, const json_t *json,
                         const char *path, nl_error *err) {
    const json_t *begin = json_array_get(json, 0), *end = json_array_get(json, 1);
    if (json_array_size(json) != 2 || !json_is_integer(begin) || !json_is_integer(end)) {
        return nl_fail(err, NL_EDATA, path, "tensor %s: data_offsets are not two integers",
                       e->blob.name);
    }
    const json_int_t first = json_integer_value(begin), last = json_integer_value(end);
    if (first < 0 || last < first || (uint64_t)last > data_size) {
        nl_fail(err, NL_EDATA, path,
                "tensor %s: data_offsets [%lld, %lld] lie outside the %" PRIu64 " bytes of data",
                e->blob.name, (long long)first, (long long)last, data_size);
        nl_hint(err, "an incomplete copy: get the file again");
        return NL_EDATA;
    }
    e->begin = (uint64_t)first;
    e->end = (uint64_t)last;
    if (e->end - e->begin != size) {
        return nl_fail(err, NL_EDATA, path,
                       "tensor %s: data_offsets span %" PRIu64 " bytes, its shape takes %" PRIu64,
                       e->blob.name, e->end - e->begin, size);
    }
    return NL_OK;
}

static int parse_entry(entry *e, const char *name, const json_t *json, uint64_t data_size,
                       const char *path, nl_error *err) {
    uint64_t size = 0;
    int rc = check_name(name, path, err);
    if (rc) return rc;
    snprintf(e->blob.name, sizeof e->blob.name, "%s", name);
    if (!json_is_object(json) || json_object_size(json) != 3) {
        return nl_fail(err, NL_EDATA, path, "tensor %s: must have dtype, shape and data_offsets",
                       name);
    }
    rc = parse_dtype(&e->blob.dtype, json_object_get(json, "dtype"), path, name, err);
    if (!rc) rc = parse_shape(&e->blob, &size, json_object_get(json, "shape"), path, err);
    if (rc) return rc;
    return parse_offsets(e, size, data_size, json_object_get(json, "data_offsets"), path, err);
}

/* ---- the header ----------------------------------------------------------------------------- */

static int check_metadata(json_t *metadata, const char *path, nl_error *err) {
    const char *key;
    if (!json_is_object(metadata))
        return nl_fail(err, NL_EDATA, path, "header: __metadata__ is not an object");
    const json_t *value;
    json_object_foreach(metadata, key, value) {
        if (json_is_string(value)) continue;
        return nl_fail(err, NL_EDATA, path, "__metadata__: a value is not a string");
    }
    return NL_OK;
}

static int compare_entries(const void *left, const void *right) {
    const entry *a = left, *b = right;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    return a->end < b->end ? -1 : a->end > b->end;
}

/* Sorts the entries by place; they must cover the data, each byte once. */
static int check_cover(entry *entries, size_t n, uint64_t data_size, const char *path,
                       nl_error *err) {
    qsort(entries, n, sizeof *entries, compare_entries);
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (entries[i].begin != at) {
            return nl_fail(err, NL_EDATA, path,
                           "tensor %s: data_offsets begin at %" PRIu64 ", must be %" PRIu64,
                           entries[i].blob.name, entries[i].begin, at);
        }
        at = entries[i].end;
    }
    if (at == data_size) return NL_OK;
    nl_fail(err, NL_EDATA, path, "%" PRIu64 " bytes behind the last tensor", data_size - at);
    return nl_hint(err, "a damaged copy: get the file again");
}

/* Fills entries (room for every key of header); *n counts them. *metadata: a reference. */
static int parse_header(entry *entries, size_t *n, json_t **metadata, json_t *header,
                        uint64_t data_size, const char *path, nl_error *err) {
    const char *key;
    json_t *value;
    *n = 0;
    json_object_foreach(header, key, value) {
        if (strcmp(key, "__metadata__") == 0) {
            *metadata = json_incref(value);
            continue;
        }
        const int rc = parse_entry(&entries[*n], key, value, data_size, path, err);
        if (rc) return rc;
        (*n)++;
    }
    if (!*metadata) *metadata = json_object();
    const int rc = check_metadata(*metadata, path, err);
    return rc ? rc : check_cover(entries, *n, data_size, path, err);
}

/* ---- the file ------------------------------------------------------------------------------- */

static int read_exactly(void *to, size_t size, FILE *file, const char *path, nl_error *err) {
    if (fread(to, 1, size, file) == size) return NL_OK;
    return nl_fail(err, NL_EDATA, path, "cannot read: %s",
                   ferror(file) ? strerror(errno) : "it ends too early");
}

/* Adds to an error what the file seems to be, by its first bytes. */
static int hint_format(nl_error *err, FILE *file) {
    char head[8] = "";
    rewind(file);
    const size_t size = fread(head, 1, sizeof head, file);
    const char *hint = "checkpoints are safetensors files; this is another, or incomplete";
    if (size == 0)
        hint = "it is empty: what wrote it did not come to its end";
    else if (memcmp(head, "PK\3\4", 4) == 0 || memcmp(head, "\x80\2", 2) == 0)
        hint = "of torch.save? safetensors.torch.save_file(model.state_dict(), FILE) writes the "
               "weights in the format that is read";
    else if (memcmp(head, "version", 7) == 0)
        hint = "a pointer of Git LFS: 'git lfs pull' gets the file itself";
    nl_hint(err, "%s", hint);
    return NL_EDATA;
}

static int hint_place(nl_error *err) {
    return nl_hint(err, "a run keeps its weights in OUT/<config name>/seed-<S>/" NL_FILE_LAST);
}

/* The parsed header into *header (the caller releases it), the bytes behind it into *data_size. */
static int read_header(json_t **header, uint64_t *data_size, FILE *file, const char *path,
                       nl_error *err) {
    struct stat info;
    if (fstat(fileno(file), &info))
        return nl_fail(err, NL_EDATA, path, "cannot read: %s", strerror(errno));
    const uint64_t size = (uint64_t)info.st_size;
    uint64_t length = 0;
    if (size < sizeof length || size > MAX_FILE) {
        nl_fail(err, NL_EDATA, path, "%" PRIu64 " bytes: not a checkpoint", size);
        return hint_format(err, file);
    }
    int rc = read_exactly(&length, sizeof length, file, path, err);
    if (rc) return rc;
    if (length > MAX_HEADER || length > size - sizeof length) {
        nl_fail(err, NL_EDATA, path,
                "header length %" PRIu64 " at byte 0: the file has %" PRIu64
                " bytes, a header at most %d",
                length, size, MAX_HEADER);
        return hint_format(err, file);
    }
    char *text = nl_alloc((size_t)length, 1, path);
    rc = read_exactly(text, (size_t)length, file, path, err);
    if (!rc) {
        json_error_t error;
        *header = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &error);
        *data_size = size - sizeof length - length;
        if (!*header) {
            rc =
                nl_fail(err, NL_EDATA, path, "header, byte %d: %.160s", error.position, error.text);
        } else if (!json_is_object(*header) || text[0] != '{') {
            rc = nl_fail(err, NL_EDATA, path, "header: not a JSON object");
        }
    }
    free(text);
    return rc;
}

/* A file without a hash is of another program, and as good as its reader believes. */
static int check_hash(nl_archive *archive, size_t size, const char *path, nl_error *err) {
    const char *hash = json_string_value(json_object_get(archive->metadata, "sha256"));
    char sha256[65];
    if (!hash) return NL_OK;
    nl_archive_hash(sha256, archive->metadata, archive->bytes, size);
    archive->sealed = strcmp(sha256, hash) == 0;
    if (archive->sealed) return NL_OK;
    nl_fail(err, NL_EDATA, path,
            "__metadata__.sha256 does not match the tensors and the other entries: corrupt");
    nl_hint(err, "if another program wrote new tensors with the old metadata, let it leave "
                 "sha256 out");
    return NL_EDATA;
}

static int read_data(nl_archive *archive, const entry *entries, size_t n, size_t size, FILE *file,
                     const char *path, nl_error *err) {
    archive->bytes = nl_alloc(size, 1, path);
    archive->blobs = nl_alloc(n, sizeof *archive->blobs, path);
    archive->n_blobs = (int)n;
    const int rc = read_exactly(archive->bytes, size, file, path, err);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        archive->blobs[i] = entries[i].blob;
        archive->blobs[i].data = (const char *)archive->bytes + entries[i].begin;
    }
    return check_hash(archive, size, path, err);
}

int nl_archive_read(nl_archive *archive, const char *path, nl_error *err) {
    memset(archive, 0, sizeof *archive);
    char reason[NL_REASON];
    FILE *file = nl_regular_open(path, reason);
    if (!file) {
        nl_fail(err, NL_EDATA, path, "cannot open: %s", reason);
        return hint_place(err);
    }
    json_t *header = NULL;
    entry *entries = NULL;
    uint64_t data_size = 0;
    int rc = read_header(&header, &data_size, file, path, err);
    if (!rc) {
        size_t n = 0;
        entries = nl_alloc(json_object_size(header), sizeof *entries, path);
        rc = parse_header(entries, &n, &archive->metadata, header, data_size, path, err);
        if (!rc) rc = read_data(archive, entries, n, (size_t)data_size, file, path, err);
    }
    free(entries);
    json_decref(header);
    fclose(file);
    if (rc) nl_archive_free(archive);
    return rc;
}
