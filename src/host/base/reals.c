/* Between float and double; see reals.h. */
#include "reals.h"

#include <string.h> // memcpy

#include "normlab/error.h" // NL_ASSERT

void nl_reals_copy(void *to, int to_size, const void *from, int from_size, int64_t count) {
    enum { SINGLE = sizeof(float), DOUBLE = sizeof(double) };
    NL_ASSERT((to_size == SINGLE || to_size == DOUBLE) &&
              (from_size == SINGLE || from_size == DOUBLE));
    if (count == 0) return; /* there may be no array */
    if (to_size == from_size)
        memcpy(to, from, (size_t)count * (size_t)to_size);
    else if (to_size == DOUBLE)
        for (int64_t i = 0; i < count; i++) ((double *)to)[i] = (double)((const float *)from)[i];
    else
        for (int64_t i = 0; i < count; i++) ((float *)to)[i] = (float)((const double *)from)[i];
}
