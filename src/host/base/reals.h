/* Arrays of numbers of either precision, told apart by the bytes of an element: float 4, double 8.
 */
#pragma once

#include <stdint.h> // int64_t

/* to[i] = from[i], rounded where it is narrower. The arrays do not overlap. */
void nl_reals_copy(void *to, int to_size, const void *from, int from_size, int64_t count);
