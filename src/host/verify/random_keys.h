/* The table of keys of random networks; its rows are those of nl_random_key. */
#pragma once

/* The values that row i is drawn from, some of them more than once, up to NL_RANDOM_VALUES or the
 * first NULL. Without any the key is drawn elsewhere. */
enum { NL_RANDOM_VALUES = 8 };
const char *const *nl_random_values(int i);
