/* Does an engine train a set of pictures as double precision does? */
#pragma once

#include "normlab/backend.h"      // nl_backend
#include "support/picture_sets.h" // picture_set

/* Writes the set's files, reads them, trains one epoch on the backend and in double precision, and
 * fails the test where they differ by more than random networks may (normlab/random_net.h). Skips it
 * where the files cannot be made. */
void picture_check(const picture_set *set, const nl_backend *backend);
