/* Of fail_at.c: every call of a kind fails, each in a copy of the process of its own, which is made
 * there and goes on until it ends; the process itself never sees a failure. What a copy may not do
 * is change anything outside of it: before it would, it ends. */
#pragma once

#include <stdbool.h> // bool

enum { FAIL_EACH_WENT_ON = 77 }; /* the code of a copy that would have changed something */

/* True in the copy, in which call n is to fail. In the process: waits for the copy and adds a line
 * to the file list, "n code words": its exit code or minus its signal, and what it said; but none
 * for a copy that ends with 1 and "out of memory". able: false where none can be made, as where the
 * C library is about to start a thread; it is told as one that went on. */
bool fail_each(long n, bool able, const char *list);

/* Whether this is a copy. */
bool fail_each_is_copy(void);
