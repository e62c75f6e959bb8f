#include "normlab/commit.h"

#ifndef NL_COMMIT
#define NL_COMMIT "" /* not built by CMake */
#endif

const char *nl_commit(void) {
    return NL_COMMIT;
}
