/* What lies where the data should be: each impostor is named, with what to do about it. */
#include <criterion/criterion.h>
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // strstr
#include <unistd.h> // unlink

#include "normlab/dataset.h"
#include "support/idx_set.h"
#include "support/slurp.h"

enum { TRAIN = 12, TEST = 5 };

static const char *path_of(const char *dir, enum nl_file file, bool gzip) {
    static char path[512];
    snprintf(path, sizeof path, "%s/%s%s", dir, nl_file_name(file), gzip ? ".gz" : "");
    return path;
}

#define PAGE "<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not Found</body></html>"
#define POINTER "version https://git-lfs.github.com/spec/v1\noid sha256:f7ae60f92e00ec6debd23\n"
#define BYTES(text) text, sizeof(text) - 1

static const struct {
    const char *bytes;
    size_t size;
    const char *hint; /* part of it */
} IMPOSTORS[] = {
    {BYTES(""), "it is empty"},
    {BYTES(PAGE), "web page"},
    {BYTES("\xef\xbb\xbf\r\n<html>"), "web page"},
    {BYTES("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>"), "web page"},
    {BYTES("404: Not Found"), "it is text"},
    {BYTES("{\"message\": \"API rate limit exceeded\"}"), "it is text"},
    {BYTES(POINTER), "git lfs pull"},
    {BYTES("PK\3\4\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0"), "zip archive"},
    {BYTES("BZh91AY&SY\x01\x02\x03\x04\x05\x06\x07"), "bunzip2"},
    {BYTES("\xfd\x37zXZ\0\0\4\xe6\xd6\xb4\x46\0\0\0\0\0\0"), "unxz"},
    {BYTES("\x28\xb5\x2f\xfd\4\0\1\0\0\0\0\0\0\0\0\0\0"), "unzstd"},
    {BYTES("\x93NUMPY\1\0\x76\0{'descr': '|u1', "), "NumPy"},
    {BYTES("\0\0\x08\1\0\0\0\5\1\2\3\4\5\0\0\0\0\0"), "it holds labels"},
    {BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), "begins with zeros"},
};

static void expect_hint(const char *dir, const char *hint) {
    nl_dataset data;
    nl_error err = {0};
    cr_assert(nl_dataset_load(&data, dir, idx_set_picture(), &err) == NL_EDATA);
    cr_assert(strstr(err.where, nl_file_name(NL_TEST_IMAGES)), "%s", err.where);
    cr_assert(strstr(err.hint, hint), "'%s' is not in '%s' for: %s", hint, err.hint, err.what);
}

Test(content_kind, says_what_a_file_is_instead) {
    char *dir = temp_dir_make();
    for (size_t i = 0; i < sizeof IMPOSTORS / sizeof *IMPOSTORS; i++) {
        const char *hint = IMPOSTORS[i].hint;
        idx_set_write(dir, TRAIN, TEST, false);
        idx_set_save(path_of(dir, NL_TEST_IMAGES, false), IMPOSTORS[i].bytes, IMPOSTORS[i].size,
                     false);
        expect_hint(dir, hint);
        unlink(path_of(dir, NL_TEST_IMAGES, false)); /* as it is, but with .gz in its name */
        idx_set_save(path_of(dir, NL_TEST_IMAGES, true), IMPOSTORS[i].bytes, IMPOSTORS[i].size,
                     false);
        expect_hint(dir, strstr(hint, "labels") ? "take .gz off its name" : hint);
        if (IMPOSTORS[i].size == 0) continue;
        idx_set_save(path_of(dir, NL_TEST_IMAGES, true), IMPOSTORS[i].bytes, IMPOSTORS[i].size,
                     true);
        expect_hint(dir, hint);
        unlink(path_of(dir, NL_TEST_IMAGES, true));
    }
    temp_dir_remove(dir);
}

Test(content_kind, hints_at_names_that_do_not_fit_the_content) {
    char *dir = temp_dir_make(), other[600];
    size_t size = 0, zipped_size = 0;
    uint8_t *raw = idx_set_content(&size, 20, TEST, 3);
    idx_set_write(dir, TRAIN, TEST, false);
    unlink(path_of(dir, NL_TEST_IMAGES, false));
    const char *path = path_of(dir, NL_TEST_IMAGES, true);
    idx_set_save(path, raw, size, false);
    expect_hint(dir, "take .gz off its name");
    idx_set_save(path, raw, size, true);
    char *zipped = slurp(path, &zipped_size);
    idx_set_save(path, zipped, zipped_size, true);
    expect_hint(dir, "gzipped twice");
    idx_set_save(path, zipped, zipped_size, false);
    idx_set_save(path_of(dir, NL_TEST_IMAGES, false), "", 0, false); /* beside a good one */
    expect_hint(dir, "t10k-images-idx3-ubyte.gz beside it would be read");
    unlink(path_of(dir, NL_TEST_IMAGES, false));
    unlink(path_of(dir, NL_TEST_IMAGES, true));
    snprintf(other, sizeof other, "%s/t10k-images.idx3-ubyte", dir);
    idx_set_save(other, raw, size, false);
    nl_dataset data;
    nl_error err = {0};
    cr_assert(nl_dataset_load(&data, dir, idx_set_picture(), &err) == NL_EDATA);
    cr_assert(strstr(err.hint, "t10k-images.idx3-ubyte is there"), "%s", err.hint);
    free(raw), free(zipped);
    temp_dir_remove(dir);
}
