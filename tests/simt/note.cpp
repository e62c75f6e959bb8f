/* What the tests covered: one line each into a file, for summary.sh. */
#include "simt.h"

#include <cstdio>  // fprintf
#include <cstdlib> // getenv
#include <set>     // std::set
#include <string>  // std::string

#include <fcntl.h>  // open
#include <unistd.h> // write

/* Appends to the file that NL_SIMT_LOG names; tests/simt/summary.sh counts the different lines. */
void simt_note(const char *kind, const char *text) {
    static std::set<std::string> seen;
    const char *path = getenv("NL_SIMT_LOG");
    const std::string line = std::string(kind) + " " + text + "\n";
    if (!path || !seen.insert(line).second) return;
    const int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (file < 0 || write(file, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
        fprintf(stderr, "simt: cannot write %s\n", path);
        abort();
    }
    close(file);
}
