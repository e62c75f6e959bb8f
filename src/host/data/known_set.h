/* Is a data set the one that its config names?
 */
#pragma once

#include "normlab/dataset.h" // nl_dataset

/* MNIST's files share their names and format with those of other sets. Errors: NL_EDATA where the
 * config names another set than MNIST, and the files are MNIST's; where it names MNIST, and as many
 * images as MNIST has are not MNIST's, that is a warning. */
int nl_known_set_check(const nl_dataset *data, const char *dir, nl_error *err);
