/* Lists that grow: as many places as the next power of two, so that the count tells the room. */
#pragma once

#include <stdlib.h> // free
#include <string.h> // memcpy

#include "normlab/error.h" // nl_alloc

/* The list of `count` elements with room for one more, perhaps at another address. */
static inline void *nl_grow(void *list, int count, size_t size, const char *what) {
    if (count & (count - 1)) return list;
    void *larger = nl_alloc(count ? 2 * (size_t)count : 1, size, what);
    if (count) memcpy(larger, list, (size_t)count * size);
    free(list);
    return larger;
}
