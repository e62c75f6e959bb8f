#include "normlab/commit.h"

const char *nl_commit(void) {
    return NL_COMMIT;
}
