#include "sealed.h"

#include <jansson.h> // json_loadb
#include <stdlib.h>  // free
#include <string.h>  // memmem

#include "base/archive.h" // nl_archive_hash
#include "fuzz.h"

static void seal(uint8_t *file, size_t size) {
    static const char key[] = "\"sha256\":\"";
    uint64_t length;
    if (size < sizeof length) return;
    memcpy(&length, file, sizeof length);
    if (length > size - sizeof length) return;
    uint8_t *header = file + sizeof length, *end = header + length;
    uint8_t *at = memmem(header, length, key, sizeof key - 1);
    if (!at || (size_t)(end - at) < sizeof key - 1 + 64) return;
    json_t *json = json_loadb((const char *)header, length, JSON_REJECT_DUPLICATES, NULL);
    json_t *metadata = json_object_get(json, "__metadata__"), *value;
    const char *name;
    bool strings = json_is_object(metadata);
    json_object_foreach(metadata, name, value) strings = strings && json_is_string(value);
    if (strings) {
        char sha256[65];
        nl_archive_hash(sha256, metadata, end, size - sizeof length - length);
        memcpy(at + sizeof key - 1, sha256, 64);
    }
    json_decref(json);
}

const char *fuzz_sealed_file(const char *name, const uint8_t *data, size_t size) {
    uint8_t *file = nl_alloc(size, 1, "file");
    if (size) memcpy(file, data, size);
    seal(file, size);
    const char *path = fuzz_file(name, file, size);
    free(file);
    return path;
}
