#include "support/slurp.h"

#include <criterion/criterion.h>

#include "base/regular.h" // nl_regular_read

char *slurp(const char *path, size_t *size) {
    char reason[NL_REASON], *text = nl_regular_read(path, size, reason);
    cr_assert(text, "%s: %s", path, reason);
    return text;
}
