/* The known word that a mistyped one probably meant. */
#pragma once

#include <stddef.h> // size_t

/* Edits (insert, delete, replace, swap of neighbours) that turn a into b. */
size_t nl_edit_distance(const char *a, const char *b);

/* The word of the list nearest to the given one, or NULL where none is near enough to be meant:
 * at most a third of the letters, and at least one, may be wrong. The first of equals wins. */
const char *nl_nearest(const char *word, const char *const *list, size_t count);
