/* One file of a data set, raw or gzipped, read from front to back with nothing believed before it is
 * checked. The formats (idx.c, cifar.c) stand on it.
 */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint8_t, uint64_t
#include <stdio.h>   // FILE
#include <zlib.h>    // z_stream

#include "normlab/error.h" // nl_error

/* deflate cannot expand by more. */
enum { NL_MAX_EXPANSION = 1032 };

typedef struct nl_data_file {
    char path[512]; /* of the file really read: with .gz, if that is the one */
    FILE *file;
    uint64_t size; /* on disk */
    bool gzip, ended;
    z_stream z;
    uint8_t input[1 << 16];
} nl_data_file;

/* Is there `path`, or `path`.gz? (A link that leads nowhere is there: opening it tells why not.) */
bool nl_data_file_exists(const char *path);

/* Opens `path`, or `path`.gz where the former does not exist. The file is to be closed whatever
 * comes back. Errors: NL_EDATA. */
int nl_data_file_open(nl_data_file **file, const char *path, nl_error *err);
void nl_data_file_close(nl_data_file *file);

/* Up to `want` bytes; fewer only at the end. Errors: NL_EDATA, what is wrong with the stream. */
int nl_data_file_read(nl_data_file *file, void *to, size_t want, size_t *got, nl_error *err);

/* NL_OK if the file ends here, after `length` bytes. */
int nl_data_file_end(nl_data_file *file, size_t length, nl_error *err);

/* How many bytes the file has, inflated; counted up to `most`. Reads it from the front: only
 * nl_data_file_explain and closing may follow. */
uint64_t nl_data_file_count(nl_data_file *file, uint64_t most);

/* After an error of the content: a better hint, where the file's beginning or a .gz beside it gives
 * one. `magic`: the first bytes that a right file has, 4 of them, or NULL where it has none. */
void nl_data_file_explain(nl_data_file *file, const uint8_t *magic, nl_error *err);

/* Adds to an error what an incomplete file asks for; returns NL_EDATA. */
int nl_data_file_damaged(nl_error *err);

/* After a label that is none of the config's `classes`; `largest` of the file, counted from 0.
 * NL_EDATA. */
int nl_data_file_other_classes(nl_error *err, int largest, int classes);
