/* safetensors files: what is written follows the format byte by byte, and comes back; whatever is
 * damaged is refused with NL_EDATA and never touches memory it should not (asan preset). */
#include <criterion/criterion.h>
#include <jansson.h> // json_pack
#include <math.h>    // NAN
#include <stdio.h>   // FILE
#include <stdlib.h>  // free
#include <string.h>  // memcmp
#include <unistd.h>  // truncate

#include "normlab/checkpoint.h"
#include "support/idx_set.h"
#include "support/slurp.h"

static const float WEIGHTS[6] = {1.5f, -0.0f, NAN, INFINITY, -INFINITY, 1e-45f};
static const double SUMS[2] = {0.1, -1e300};
static const uint32_t COUNTS[3] = {1, 0, 0xffffffffu};
static const uint8_t BYTES[5] = {0, 1, 2, 254, 255};

/* The narrow ones first: writing has to sort them. */
static const nl_blob BLOBS[] = {
    {"bytes", NL_U8, 1, {5}, BYTES},     {"conv1.weight", NL_F32, 4, {1, 2, 3, 1}, WEIGHTS},
    {"scalar", NL_F32, 0, {0}, WEIGHTS}, {"counts", NL_U32, 1, {3}, COUNTS},
    {"sums", NL_F64, 2, {2, 1}, SUMS},   {"none", NL_F32, 2, {3, 0}, WEIGHTS},
};
enum { N_BLOBS = sizeof BLOBS / sizeof *BLOBS };

typedef struct fixture {
    char *dir;
    char path[512];
    uint8_t bytes[4096]; /* a good file */
    size_t size;
} fixture;

static void set_up(fixture *f) {
    f->dir = temp_dir_make();
    snprintf(f->path, sizeof f->path, "%s/a.safetensors", f->dir);
    json_t *metadata = json_pack("{s:s}", "config", "{\"a\":1}");
    nl_error err = {0};
    cr_assert(nl_archive_write(f->path, BLOBS, N_BLOBS, metadata, &err) == NL_OK, "%s", err.what);
    cr_assert(json_object_size(metadata) == 1, "the caller's metadata stays as it was");
    json_decref(metadata);
    char *bytes = slurp(f->path, &f->size);
    cr_assert(f->size <= sizeof f->bytes);
    memcpy(f->bytes, bytes, f->size);
    free(bytes);
}

/* Reading must give NL_EDATA with `what` in the message. */
static void expect_failure(const char *path, const char *what, const char *label) {
    nl_archive archive;
    nl_error err = {0};
    const int rc = nl_archive_read(&archive, path, &err);
    cr_assert(rc == NL_EDATA && err.code == NL_EDATA, "%s: exit code %d", label, rc);
    cr_assert(strstr(err.what, what), "%s: %s is not in: %s", label, what, err.what);
    cr_assert_str_eq(err.where, path);
    cr_assert(!archive.bytes && !archive.blobs && !archive.metadata);
}

/* ---- good files ----------------------------------------------------------------------------- */

Test(archive, comes_back_bit_for_bit) {
    fixture f;
    set_up(&f);
    nl_archive archive;
    nl_error err = {0};
    cr_assert(nl_archive_read(&archive, f.path, &err) == NL_OK, "%s", err.what);
    cr_assert(archive.n_blobs == N_BLOBS);
    static const size_t sizes[N_BLOBS] = {5, 24, 4, 12, 16, 0};
    for (int i = 0; i < N_BLOBS; i++) {
        const nl_blob *blob = nl_archive_find(&archive, BLOBS[i].name);
        cr_assert(blob, "%s", BLOBS[i].name);
        cr_assert(blob->dtype == BLOBS[i].dtype && blob->rank == BLOBS[i].rank);
        for (int k = 0; k < blob->rank; k++) cr_assert(blob->shape[k] == BLOBS[i].shape[k]);
        cr_assert(memcmp(blob->data, BLOBS[i].data, sizes[i]) == 0, "%s", BLOBS[i].name);
    }
    cr_assert(!nl_archive_find(&archive, "conv1.bias"));
    const char *config = json_string_value(json_object_get(archive.metadata, "config"));
    cr_assert_str_eq(config, "{\"a\":1}");
    nl_archive_free(&archive);
    temp_dir_remove(f.dir);
}

Test(archive, follows_the_format) {
    fixture f;
    set_up(&f);
    uint64_t length;
    memcpy(&length, f.bytes, 8);
    cr_assert(length % 8 == 0 && f.bytes[8] == '{' && f.size == 8 + length + 61);
    json_t *header = json_loadb((char *)f.bytes + 8, length, 0, NULL);
    cr_assert(header, "the header is JSON, padded with spaces");
    static const struct {
        const char *name, *dtype;
        int begin, end;
    } want[] = {{"sums", "F64", 0, 16},    {"conv1.weight", "F32", 16, 40},
                {"scalar", "F32", 40, 44}, {"counts", "U32", 44, 56},
                {"none", "F32", 56, 56},   {"bytes", "U8", 56, 61}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const char *dtype;
        int begin, end;
        json_t *entry = json_object_get(header, want[i].name);
        cr_assert(json_unpack(entry, "{s:s, s:[i, i]}", "dtype", &dtype, "data_offsets", &begin,
                              &end) == 0);
        cr_assert_str_eq(dtype, want[i].dtype);
        /* Equal offsets leave the order of an empty tensor open. */
        cr_assert(begin == want[i].begin && end == want[i].end, "%s: %d %d", want[i].name, begin,
                  end);
    }
    char hash[65];
    json_t *metadata = json_object_get(header, "__metadata__");
    cr_assert_str_eq(json_string_value(json_object_get(metadata, "format")), "2");
    static const char head[] = "config\0{\"a\":1}\0format\0002";
    nl_sha256_hex_both(hash, head, sizeof head, f.bytes + 8 + length, f.size - 8 - length);
    cr_assert_str_eq(json_string_value(json_object_get(metadata, "sha256")), hash);
    json_decref(header);
    temp_dir_remove(f.dir);
}

/* ---- damage --------------------------------------------------------------------------------- */

Test(archive, refuses_a_file_cut_anywhere) {
    fixture f;
    set_up(&f);
    for (size_t size = 0; size < f.size; size++) {
        idx_set_save(f.path, f.bytes, size, false);
        nl_archive archive;
        cr_assert(nl_archive_read(&archive, f.path, NULL) == NL_EDATA, "%zu bytes", size);
    }
    f.bytes[f.size] = 0;
    idx_set_save(f.path, f.bytes, f.size + 1, false);
    expect_failure(f.path, "1 bytes behind the last tensor", "one byte more");
    temp_dir_remove(f.dir);
}

/* Flipping any bit is refused, but for harmless ones: of a name, or of a digit of the shape where
 * the product stays. Then the tensors and the metadata still are those of the file; without the
 * name of its hash it counts as one of another program. */
Test(archive, survives_each_flipped_bit) {
    fixture f;
    set_up(&f);
    uint64_t length;
    memcpy(&length, f.bytes, 8);
    nl_archive good;
    cr_assert(nl_archive_read(&good, f.path, NULL) == NL_OK && good.sealed);
    for (size_t at = 0; at < f.size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            f.bytes[at] ^= (uint8_t)(1 << bit);
            idx_set_save(f.path, f.bytes, f.size, false);
            nl_archive archive;
            const int rc = nl_archive_read(&archive, f.path, NULL);
            f.bytes[at] ^= (uint8_t)(1 << bit);
            const bool in_header = at >= 8 && at < 8 + length;
            cr_assert(rc == NL_EDATA || (in_header && rc == NL_OK), "byte %zu bit %d", at, bit);
            if (rc) continue;
            cr_assert(memcmp(archive.bytes, f.bytes + 8 + length, 61) == 0);
            cr_assert(!archive.sealed || json_equal(archive.metadata, good.metadata),
                      "byte %zu bit %d", at, bit);
            nl_archive_free(&archive);
        }
    }
    nl_archive_free(&good);
    temp_dir_remove(f.dir);
}

#define HASH_OF_8 "\"af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc\""
#define META "\"__metadata__\":{\"sha256\":" HASH_OF_8 "}"
#define ENTRY(dtype, shape, offsets)                                                               \
    "{" META ",\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

/* Headers before 8 zero bytes of data; those without a message are good. */
static const struct {
    const char *header, *what;
} HEADERS[] = {
    {ENTRY("\"F32\"", "[2]", "[0,8]"), NULL},
    {"{" META ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]},"
     "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
     NULL}, /* the order of the names is free */
    {"", "header, byte"},
    {"[]", "not a JSON object"},
    {" " ENTRY("\"F32\"", "[2]", "[0,8]"), "not a JSON object"},
    {ENTRY("\"F32\"", "[2]", "[0,8]") "x", "end of file expected"},
    {"{" META, "header, byte"},
    {"{" META ",\"a\":1,\"a\":2}", "duplicate object key"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", NULL}, /* no metadata */
    {ENTRY("\"BF16\"", "[4]", "[0,8]"), NULL},
    {"{\"__metadata__\":{},\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
     "\"b\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[7,8]},"
     "\"c\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[3,7]}}",
     NULL}, /* the format asks for no alignment */
    {"{\"__metadata__\":3}", "__metadata__ is not an object"},
    {"{\"__metadata__\":{\"sha256\":3}}", "a value is not a string"},
    {"{\"__metadata__\":{\"sha256\":\"00\"},"
     "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
     "sha256 does not match"},
    {"{" META "}", "8 bytes behind the last tensor"},
    {"{" META ",\"a\":7}", "tensor a: must have dtype, shape and data_offsets"},
    {"{" META ",\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "must have"},
    {"{" META ",\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"b\":1}}",
     "must have"},
    {"{" META ",\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"offsets\":[0,8]}}", "not two integers"},
    {"{" META ",\"\":{}}", "name is not 1 to 63"},
    {"{" META ",\"a b\":{}}", "name is not 1 to 63"},
    {"{" META ",\"a\\u001b\":{}}", "name is not 1 to 63"},
    {"{" META ",\"a\\u0000b\":{}}", "header, byte"},
    {"{" META ",\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":{}}",
     "name is"},
    {ENTRY("\"F16\"", "[2]", "[0,8]"), "span 8 bytes, its shape takes 4"},
    {ENTRY("\"f32\"", "[2]", "[0,8]"), "dtype f32"},
    {ENTRY("7", "[2]", "[0,8]"), "dtype (missing)"},
    {ENTRY("\"F64\"", "[2]", "[0,8]"), "span 8 bytes, its shape takes 16"},
    {ENTRY("\"F32\"", "2", "[0,8]"), "shape is not a list"},
    {ENTRY("\"F32\"", "[1,1,1,1,2]", "[0,8]"), "at most 4"},
    {ENTRY("\"F32\"", "[2.0]", "[0,8]"), "shape[0] is out of range"},
    {ENTRY("\"F32\"", "[1,-2]", "[0,8]"), "shape[1] is out of range"},
    {ENTRY("\"F32\"", "[\"2\"]", "[0,8]"), "shape[0] is out of range"},
    {ENTRY("\"F32\"", "[4294967296,4294967296]", "[0,8]"), "shape[0] is out of range"},
    {ENTRY("\"F32\"", "[65536,65536,65536,65536]", "[0,8]"), "shape[1] is out of range"},
    {ENTRY("\"F32\"", "[2,9223372036854775807]", "[0,8]"), "shape[1] is out of range"},
    {ENTRY("\"F32\"", "[99999999999999999999]", "[0,8]"), "header, byte"},
    {ENTRY("\"F32\"", "[1]", "[0,8]"), "span 8 bytes, its shape takes 4"},
    {ENTRY("\"F32\"", "[0]", "[0,0]"), "8 bytes behind the last tensor"},
    {ENTRY("\"F32\"", "[1]", "[0,4]"), "4 bytes behind the last tensor"},
    {ENTRY("\"F32\"", "[1]", "[4,8]"), "begin at 4, must be 0"},
    {ENTRY("\"U8\"", "[2]", "[0,2,4]"), "not two integers"},
    {ENTRY("\"F32\"", "[2]", "[0]"), "not two integers"},
    {ENTRY("\"F32\"", "[2]", "[0,8.0]"), "not two integers"},
    {ENTRY("\"F32\"", "[2]", "{\"0\":8}"), "not two integers"},
    {ENTRY("\"F32\"", "[2]", "[-8,0]"), "lie outside the 8 bytes"},
    {ENTRY("\"F32\"", "[2]", "[8,0]"), "lie outside the 8 bytes"},
    {ENTRY("\"F32\"", "[2]", "[1,9]"), "lie outside the 8 bytes"},
    {ENTRY("\"F32\"", "[2]", "[0,9223372036854775807]"), "lie outside"},
    {ENTRY("\"F32\"", "[2]", "[9223372036854775800,9223372036854775807]"), "lie outside"},
    {ENTRY("\"F32\"", "[1]", "[1,5]"), "begin at 1, must be 0"},
    {ENTRY("\"F8_E5M2\"", "[8]", "[0,8]"), "dtype F8_E5M2 cannot be read"},
    {"{" META ",\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
     "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
     "tensor b: data_offsets begin at 4, must be 8"},
    {"{" META ",\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}",
     "tensor b: data_offsets begin at 4, must be 3"},
    {"{\"__metadata__\":{\"sha256\":"
     "\"0000000000000000000000000000000000000000000000000000000000000000\"},"
     "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
     "sha256 does not match"},
};

static void save_with_header(const char *path, const char *header, uint64_t length) {
    static uint8_t bytes[4096];
    const size_t size = strlen(header);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, size);
    memset(bytes + 8 + size, 0, 8);
    idx_set_save(path, bytes, 16 + size, false);
}

Test(archive, refuses_each_bad_header) {
    char *dir = temp_dir_make(), path[512];
    snprintf(path, sizeof path, "%s/bad.safetensors", dir);
    for (size_t i = 0; i < sizeof HEADERS / sizeof *HEADERS; i++) {
        save_with_header(path, HEADERS[i].header, strlen(HEADERS[i].header));
        if (HEADERS[i].what) {
            expect_failure(path, HEADERS[i].what, HEADERS[i].header);
        } else {
            nl_archive archive;
            nl_error err = {0};
            cr_assert(nl_archive_read(&archive, path, &err) == NL_OK, "%s", err.what);
            nl_archive_free(&archive);
        }
    }
    temp_dir_remove(dir);
}

Test(archive, refuses_each_bad_header_length) {
    static const uint64_t lengths[] = {
        UINT64_MAX,        (uint64_t)1 << 63, ((uint64_t)1 << 63) - 1,
        (uint64_t)1 << 32, 1 << 20,           (1 << 20) + 1};
    char *dir = temp_dir_make(), path[512];
    snprintf(path, sizeof path, "%s/bad.safetensors", dir);
    const char *good = HEADERS[0].header;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        save_with_header(path, good, lengths[i]);
        expect_failure(path, "header length", "length");
    }
    save_with_header(path, good, strlen(good) + 9); /* one past the end of the file */
    expect_failure(path, "header length", "one past the end");
    save_with_header(path, good, 0);
    expect_failure(path, "header, byte", "no header");
    temp_dir_remove(dir);
}

/* Well-formed, but larger than any header or checkpoint of ours. */
Test(archive, refuses_what_is_far_too_large) {
    enum { LENGTH = (1 << 20) + 8 };
    char *dir = temp_dir_make(), path[512];
    snprintf(path, sizeof path, "%s/large.safetensors", dir);
    char *bytes = nl_alloc(16 + LENGTH, 1, "test");
    const uint64_t length = LENGTH;
    const char *good = HEADERS[0].header;
    memcpy(bytes, &length, 8);
    memset(bytes + 8, ' ', LENGTH);
    memcpy(bytes + 8, good, strlen(good));
    idx_set_save(path, bytes, 16 + LENGTH, false);
    expect_failure(path, "header length 1048584", "large header");
    cr_assert(truncate(path, ((off_t)1 << 32) + 1) == 0); /* takes no room on the disk */
    expect_failure(path, "is larger than 4 GiB", "large file");
    free(bytes);
    temp_dir_remove(dir);
}

Test(archive, refuses_deep_nesting) {
    enum { DEPTH = 500000 };
    char *dir = temp_dir_make(), path[512];
    snprintf(path, sizeof path, "%s/deep.safetensors", dir);
    char *bytes = nl_alloc(16 + DEPTH, 1, "test");
    const uint64_t length = DEPTH;
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, "{\"a\":", 5);
    memset(bytes + 13, '[', DEPTH - 5);
    idx_set_save(path, bytes, 16 + DEPTH, false);
    expect_failure(path, "maximum parsing depth", "deep");
    free(bytes);
    temp_dir_remove(dir);
}

Test(archive, refuses_what_is_not_a_file) {
    char *dir = temp_dir_make();
    expect_failure(dir, "is a folder", "folder");
    expect_failure("/nonexistent/a.safetensors", "cannot open: No such file", "missing");
    temp_dir_remove(dir);
}
