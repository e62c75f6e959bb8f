/* safetensors files: the header and that the tensors fit into it, whatever is in them. */
#include "fuzz.h"

#include <jansson.h> // json_object_size
#include <stdlib.h>  // malloc
#include <string.h>  // strcmp

#include "base/archive.h"

static size_t size_of(const nl_blob *blob) {
    size_t size = nl_dtypes[blob->dtype].size;
    for (int i = 0; i < blob->rank; i++) size *= (size_t)blob->shape[i];
    return size;
}

static void check_blob(const nl_archive *archive, const nl_blob *blob, size_t most) {
    HOLDS(memchr(blob->name, '\0', sizeof blob->name) && blob->name[0]);
    HOLDS((int)blob->dtype >= 0 && (int)blob->dtype < NL_DTYPES);
    HOLDS(blob->rank >= 0 && blob->rank <= 4);
    for (int i = 0; i < blob->rank; i++) HOLDS(blob->shape[i] >= 0);
    HOLDS(nl_archive_find(archive, blob->name) == blob); /* no name twice */
    HOLDS((const char *)blob->data >= (const char *)archive->bytes);
    HOLDS((const char *)blob->data + size_of(blob) <= (const char *)archive->bytes + most);
}

/* A finite value that a float cannot hold is refused, all others are taken. */
static void check_floats(const nl_blob *blob) {
    const size_t count = size_of(blob) / nl_dtypes[blob->dtype].size;
    float *values = malloc(count * sizeof *values + 1);
    nl_error err;
    HOLDS(values);
    fuzz_no_error(&err);
    const int rc = nl_blob_to_floats(values, blob, (int64_t)count, "fuzz", &err);
    if (fuzz_went_well(rc, NL_EDATA, &err)) HOLDS(blob->dtype <= NL_BF16);
    free(values);
}

static void check_same(const nl_archive *a, const nl_archive *b) {
    HOLDS(a->n_blobs == b->n_blobs && b->sealed);
    for (int i = 0; i < a->n_blobs; i++) {
        const nl_blob *x = &a->blobs[i], *y = nl_archive_find(b, x->name);
        HOLDS(y && y->dtype == x->dtype && y->rank == x->rank);
        HOLDS(memcmp(x->shape, y->shape, sizeof x->shape) == 0);
        HOLDS(memcmp(x->data, y->data, size_of(x)) == 0);
    }
    const char *key;
    json_t *value;
    json_object_foreach(a->metadata, key, value) {
        if (strcmp(key, "format") != 0 && strcmp(key, "sha256") != 0)
            HOLDS(json_equal(value, json_object_get(b->metadata, key)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nl_archive archive, back;
    nl_error err;
    fuzz_no_error(&err);
    const char *path = fuzz_file("a.safetensors", data, size);
    fuzz_hear();
    const int rc = nl_archive_read(&archive, path, &err);
    HOLDS(fuzz_heard() == 0);
    fuzz_count(!rc);
    if (!fuzz_went_well(rc, NL_EDATA, &err)) {
        HOLDS(!archive.blobs && !archive.metadata && !archive.bytes);
        return 0;
    }
    size_t total = 0;
    for (int i = 0; i < archive.n_blobs; i++) {
        check_blob(&archive, &archive.blobs[i], size);
        check_floats(&archive.blobs[i]);
        total += size_of(&archive.blobs[i]);
    }
    HOLDS(total + 8 <= size);
    path = fuzz_path("b.safetensors");
    HOLDS(nl_archive_write(path, archive.blobs, archive.n_blobs, archive.metadata, &err) == NL_OK);
    HOLDS(nl_archive_read(&back, path, &err) == NL_OK);
    check_same(&archive, &back);
    nl_archive_free(&archive);
    nl_archive_free(&back);
    return 0;
}
