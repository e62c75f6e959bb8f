#include "fuzz.h"

#include <ctype.h>    // iscntrl
#include <dirent.h>   // opendir
#include <fcntl.h>    // open
#include <stdio.h>    // snprintf
#include <stdlib.h>   // mkdtemp
#include <string.h>   // memset
#include <sys/stat.h> // stat
#include <unistd.h>   // write
#include <zlib.h>     // deflate

int fuzz_taken, fuzz_refused;

void fuzz_count(bool taken) {
    ++*(taken ? &fuzz_taken : &fuzz_refused);
}

/* Standard error may be another stream just now. */
void fuzz_fail(const char *expr, const char *file, int line) {
    dprintf(STDERR_FILENO, "%s:%d: does not hold: %s\n", file, line, expr);
    abort();
}

/* ---- files ---------------------------------------------------------------------------------- */

static char folder[4000];

static void remove_folder(void) {
    DIR *list = opendir(folder);
    for (struct dirent *e; list && (e = readdir(list));) unlinkat(dirfd(list), e->d_name, 0);
    if (list) closedir(list);
    rmdir(folder);
}

static void make_folder(void) {
    const char *given = getenv("TMPDIR");
    const bool memory = access("/dev/shm", W_OK) == 0;
    snprintf(folder, sizeof folder, "%s/normlab-fuzz.XXXXXX",
             given && *given ? given
             : memory        ? "/dev/shm"
                             : "/tmp");
    HOLDS(mkdtemp(folder));
    atexit(remove_folder);
}

const char *fuzz_path(const char *name) {
    static char paths[4][4096];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    if (!folder[0]) make_folder();
    snprintf(path, sizeof *paths, "%s/%s", folder, name);
    return path;
}

const char *fuzz_file(const char *name, const void *bytes, size_t size) {
    const char *path = fuzz_path(name);
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    HOLDS(file >= 0);
    HOLDS(size == 0 || write(file, bytes, size) == (ssize_t)size);
    HOLDS(close(file) == 0);
    return path;
}

void fuzz_remove(const char *name) {
    unlink(fuzz_path(name));
}

/* The caller frees. */
static uint8_t *gzip(size_t *zipped, const void *bytes, size_t size) {
    z_stream z = {0};
    HOLDS(deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    const uLong room = deflateBound(&z, size);
    uint8_t *out = nl_alloc(room, 1, "gzip");
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)size;
    z.next_out = out;
    z.avail_out = (uInt)room;
    HOLDS(deflate(&z, Z_FINISH) == Z_STREAM_END);
    *zipped = room - z.avail_out;
    deflateEnd(&z);
    return out;
}

const char *fuzz_data_file(const char *name, unsigned how, const void *bytes, size_t size) {
    char zipped[64];
    snprintf(zipped, sizeof zipped, "%s.gz", name);
    how &= 3;
    fuzz_remove(how == 0 || how == 3 ? zipped : name);
    if (how == 1) {
        fuzz_file(zipped, bytes, size);
    } else if (how == 2) {
        size_t length;
        uint8_t *content = gzip(&length, bytes, size);
        fuzz_file(zipped, content, length);
        free(content);
    } else {
        fuzz_file(name, bytes, size);
    }
    return fuzz_path(name);
}

/* ---- what is said --------------------------------------------------------------------------- */

void fuzz_no_error(nl_error *err) {
    memset(err, 0x5a, sizeof *err);
}

static bool is_line(const char *text, size_t room) {
    const size_t length = strnlen(text, room);
    for (size_t i = 0; i < length; i++)
        if (iscntrl((unsigned char)text[i])) return false;
    return length < room;
}

bool fuzz_went_well(int rc, int code, const nl_error *err) {
    if (rc == NL_OK) return true;
    HOLDS(rc == code && err->code == code);
    HOLDS(is_line(err->where, sizeof err->where) && err->where[0]);
    HOLDS(is_line(err->what, sizeof err->what) && err->what[0]);
    HOLDS(is_line(err->hint, sizeof err->hint));
    return false;
}

static FILE *before, *kept;
static char *said;
static size_t said_size;

void fuzz_hear(void) {
    before = stderr;
    kept = open_memstream(&said, &said_size);
    HOLDS(kept);
    stderr = kept;
}

int fuzz_heard(void) {
    int lines = 0;
    stderr = before;
    HOLDS(fclose(kept) == 0);
    for (char *line = said, *end; line < said + said_size; line = end + 1) {
        end = memchr(line, '\n', (size_t)(said + said_size - line));
        HOLDS(end);
        *end = '\0';
        HOLDS(strlen(line) == (size_t)(end - line) && is_line(line, SIZE_MAX));
        HOLDS(strncmp(line, "normlab: ", 9) == 0);
        lines++;
    }
    free(said);
    return lines;
}
