/* Runs a target over files: replay [--tap=FILE] PATH...: each a file, or a folder of them, of which
 * every one is read; all of them in the order of their names. A promise that is not kept aborts, and
 * the last name said is the file's; so does a folder of which all is taken, or all refused. */
#include "fuzz.h"

#include <dirent.h>   // scandir
#include <stdio.h>    // fopen
#include <stdlib.h>   // malloc
#include <string.h>   // strncmp
#include <sys/stat.h> // stat

static void replay(const char *path) {
    struct stat info;
    FILE *file = fopen(path, "rb");
    HOLDS(file && fstat(fileno(file), &info) == 0);
    /* exactly as large as the input, so that a sanitizer sees a byte read behind it */
    const size_t size = (size_t)info.st_size;
    uint8_t *bytes = malloc(size ? size : 1);
    HOLDS(bytes && fread(bytes, 1, size, file) == size);
    fclose(file);
    fprintf(stderr, "%s\n", path);
    HOLDS(LLVMFuzzerTestOneInput(bytes, size) == 0);
    free(bytes);
}

static int is_entry(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static int replay_all(const char *path) {
    struct dirent **entries;
    char name[4096];
    const int n = scandir(path, &entries, is_entry, alphasort);
    if (n < 0) return replay(path), 1;
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        replay(name);
        free(entries[i]);
    }
    free(entries);
    return n;
}

int main(int argc, char **argv) {
    const char *tap = NULL;
    int inputs = 0;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--tap=", 6) == 0)
            tap = argv[i] + 6;
        else
            inputs += replay_all(argv[i]);
    }
    HOLDS(inputs > 0);
    printf("%d inputs, %d taken, %d refused\n", inputs, fuzz_taken, fuzz_refused);
    HOLDS(fuzz_taken > 0 && fuzz_refused > 0);
    FILE *results = tap ? fopen(tap, "w") : NULL;
    if (tap) HOLDS(results && fprintf(results, "1..1\nok - %d inputs\n", inputs) > 0);
    if (tap) HOLDS(fclose(results) == 0);
    return 0;
}
