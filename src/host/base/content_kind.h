/* What a file that is not what its name says really is, told by its first bytes. */
#pragma once

#include <stddef.h> // size_t
#include <stdint.h> // uint8_t

/* Enough of a file for all that is told apart. */
enum { NL_CONTENT_HEAD = 64 };

/* A hint that says what `size` first bytes of a file, 1 or more, are and what to do; NULL where
 * they tell nothing. For files that should be IDX data. */
const char *nl_content_hint(const uint8_t *head, size_t size);
