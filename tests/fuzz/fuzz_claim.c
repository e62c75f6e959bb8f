/* .claim: who holds a run's folder, says a file that another machine wrote. */
#include "fuzz.h"

#include <errno.h>  // EBADMSG
#include <string.h> // strlen

#include "base/claim_file.h" // nl_claim_read

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nl_claim_owner who, back;
    const char *path = fuzz_file("claim", data, size);
    const int rc = nl_claim_read(&who, path);
    HOLDS(rc == 0 || rc == EBADMSG);
    fuzz_count(!rc);
    if (rc) return 0;
    HOLDS(strlen(who.id) == NL_CLAIM_ID - 1 && who.process.pid > 0);
    HOLDS(strspn(who.id, "0123456789abcdef") == NL_CLAIM_ID - 1);
    fuzz_remove("claim");
    const char *end = strrchr(path, '/');
    char folder[4096];
    snprintf(folder, sizeof folder, "%.*s", (int)(end - path), path);
    HOLDS(nl_claim_make(path, folder, &who) == 0 && nl_claim_read(&back, path) == 0);
    HOLDS(strcmp(back.id, who.id) == 0 && back.locks == who.locks && back.beat == 0);
    HOLDS(back.process.pid == who.process.pid && back.process.start == who.process.start);
    HOLDS(strcmp(back.process.boot, who.process.boot) == 0);
    HOLDS(strcmp(back.process.space, who.process.space) == 0);
    HOLDS(strcmp(back.process.host, who.process.host) == 0);
    nl_claim_beat(path, who.id, 5);
    HOLDS(nl_claim_read(&back, path) == 0 && back.beat == 5);
    return 0;
}
