/* See data_file.h.
 *
 * A .gz is one gzip file in the sense of RFC 1952: any number of members (as of cat a.gz b.gz, or
 * bgzip), of which some may be empty, and zeros behind them, as tapes leave them. */
#include "data_file.h"

#include <errno.h>    // errno
#include <stdlib.h>   // free
#include <string.h>   // strerror, memcpy
#include <sys/stat.h> // fstat

#include "base/content_kind.h" // nl_content_hint
#include "base/regular.h"      // nl_regular_open_large

enum { GZIP_WINDOW = 16 + MAX_WBITS };

int nl_data_file_damaged(nl_error *err) {
    nl_hint(err, "an incomplete or damaged download: get it again, for example with "
                 "scripts/fetch-data.sh");
    return NL_EDATA;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static int read_raw(nl_data_file *s, void *to, size_t want, size_t *got, nl_error *err) {
    *got = fread(to, 1, want, s->file);
    if (ferror(s->file)) {
        return nl_fail(err, NL_EDATA, s->path, "cannot read: %s", strerror(errno));
    }
    return NL_OK;
}

/* More of the compressed file, if all before it is used up; avail_in stays 0 at its end. */
static int refill(nl_data_file *s, nl_error *err) {
    if (s->z.avail_in > 0) return NL_OK;
    size_t length = 0;
    const int rc = read_raw(s, s->input, sizeof s->input, &length, err);
    s->z.next_in = s->input;
    s->z.avail_in = (uInt)length;
    return rc;
}

/* A member has ended: what follows is another one, or zeros up to the end of the file. */
static int next_member(nl_data_file *s, nl_error *err) {
    int rc = refill(s, err);
    while (!rc && s->z.avail_in > 0 && *s->z.next_in == 0) {
        s->z.next_in++;
        s->z.avail_in--;
        rc = refill(s, err);
    }
    if (rc) return rc;
    s->ended = s->z.avail_in == 0;
    if (s->ended) return NL_OK;
    if (*s->z.next_in == 0x1f && inflateReset(&s->z) == Z_OK) return NL_OK;
    nl_fail(err, NL_EDATA, s->path, "the file goes on after the end of the gzip stream");
    nl_hint(err, "gzip -t warns of it too: something was appended; get it again");
    return NL_EDATA;
}

static int read_gzip(nl_data_file *s, void *to, size_t want, size_t *got, nl_error *err) {
    *got = 0;
    while (*got < want && !s->ended) {
        int rc = refill(s, err);
        if (rc) return rc;
        if (s->z.avail_in == 0) {
            nl_fail(err, NL_EDATA, s->path, "truncated gzip stream");
            return nl_data_file_damaged(err);
        }
        const uInt room = want - *got < UINT32_MAX ? (uInt)(want - *got) : UINT32_MAX;
        s->z.next_out = (Bytef *)to + *got;
        s->z.avail_out = room;
        const int status = inflate(&s->z, Z_NO_FLUSH);
        *got += room - s->z.avail_out;
        if (status == Z_STREAM_END) {
            rc = next_member(s, err);
            if (rc) return rc;
        } else if (status != Z_OK) {
            nl_fail(err, NL_EDATA, s->path, "corrupt gzip stream: %s",
                    s->z.msg ? s->z.msg : "cannot be inflated");
            return nl_data_file_damaged(err);
        }
    }
    return NL_OK;
}

int nl_data_file_read(nl_data_file *s, void *to, size_t want, size_t *got, nl_error *err) {
    return s->gzip ? read_gzip(s, to, want, got, err) : read_raw(s, to, want, got, err);
}

int nl_data_file_end(nl_data_file *s, size_t length, nl_error *err) {
    uint8_t extra;
    size_t got = 0;
    const int rc = nl_data_file_read(s, &extra, 1, &got, err);
    if (rc || !got) return rc;
    nl_fail(err, NL_EDATA, s->path, "goes on after its %zu bytes", length);
    return nl_data_file_damaged(err);
}

uint64_t nl_data_file_count(nl_data_file *s, uint64_t most) {
    uint8_t bytes[4096];
    uint64_t count = 0;
    size_t got = 0;
    if (!s->gzip) return s->size;
    rewind(s->file);
    s->z.avail_in = 0;
    s->ended = inflateReset(&s->z) != Z_OK;
    while (count < most && !nl_data_file_read(s, bytes, sizeof bytes, &got, NULL) && got > 0)
        count += got;
    return count;
}

/* ---- opening -------------------------------------------------------------------------------- */

static bool exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

bool nl_data_file_exists(const char *path) {
    char zipped[512];
    snprintf(zipped, sizeof zipped, "%s.gz", path);
    return exists(path) || exists(zipped);
}

int nl_data_file_open(nl_data_file **file, const char *path, nl_error *err) {
    nl_data_file *s = *file = nl_alloc(1, sizeof *s, path);
    s->gzip = !exists(path);
    snprintf(s->path, sizeof s->path, "%s%s", path, s->gzip ? ".gz" : "");
    char reason[NL_REASON];
    struct stat info;
    s->file = nl_regular_open_large(s->path, reason);
    if (!s->file && (errno == EINVAL || errno == EISDIR)) {
        nl_fail(err, NL_EDATA, s->path, "%s", reason);
        nl_hint(err, "the file itself has to be there: scripts/fetch-data.sh gets the right ones");
        return NL_EDATA;
    }
    if (!s->file) return nl_fail(err, NL_EDATA, s->path, "cannot open: %s", reason);
    if (fstat(fileno(s->file), &info)) {
        return nl_fail(err, NL_EDATA, s->path, "cannot read: %s", strerror(errno));
    }
    s->size = (uint64_t)info.st_size;
    if (s->gzip && inflateInit2(&s->z, GZIP_WINDOW) != Z_OK) {
        return nl_fail(err, NL_EINTERNAL, s->path, "cannot start zlib");
    }
    return NL_OK;
}

void nl_data_file_close(nl_data_file *s) {
    if (s->gzip) inflateEnd(&s->z); /* harmless where inflateInit2 was not reached: all zero */
    if (s->file) fclose(s->file);
    free(s);
}

/* ---- what is wrong with it ------------------------------------------------------------------ */

/* The first bytes of the file, of which a .gz keeps the first that it inflates to. */
static size_t read_head(nl_data_file *s, uint8_t head[NL_CONTENT_HEAD], bool *inflated) {
    uint8_t bytes[4096], out[NL_CONTENT_HEAD];
    rewind(s->file);
    const size_t size = fread(bytes, 1, sizeof bytes, s->file);
    const size_t kept = size < sizeof out ? size : sizeof out;
    memcpy(head, bytes, kept);
    *inflated = false;
    if (!s->gzip || inflateReset(&s->z) != Z_OK) return kept;
    s->z.next_in = bytes;
    s->z.avail_in = (uInt)size;
    s->z.next_out = out;
    s->z.avail_out = sizeof out;
    inflate(&s->z, Z_SYNC_FLUSH);
    const size_t got = sizeof out - s->z.avail_out;
    *inflated = got > 0;
    if (got > 0) memcpy(head, out, got);
    return got > 0 ? got : kept;
}

/* What the file seems to be instead. NULL where its beginning is as it should be. */
static const char *describe(nl_data_file *s, const uint8_t *magic) {
    static const uint8_t idx[3] = {0, 0, 8};
    uint8_t head[NL_CONTENT_HEAD];
    bool inflated = false;
    const size_t size = s->size > 0 ? read_head(s, head, &inflated) : 0;
    if (size == 0) return "it is empty: a download or a copy went wrong; get it again";
    if (size >= 4 && memcmp(head, idx, 3) == 0 && s->gzip && !inflated)
        return "it is not compressed: take .gz off its name";
    if (size >= 4 && magic && memcmp(head, magic, 4) == 0) return NULL;
    const bool zipped = size >= 2 && head[0] == 0x1f && head[1] == 0x8b;
    if (zipped && s->gzip) return inflated ? "it is gzipped twice: gunzip it once" : NULL;
    return nl_content_hint(head, size);
}

void nl_data_file_explain(nl_data_file *s, const uint8_t *magic, nl_error *err) {
    char zipped[sizeof s->path + sizeof ".gz"];
    struct stat info;
    const char *kind = s->file ? describe(s, magic) : NULL;
    snprintf(zipped, sizeof zipped, "%s.gz", s->path);
    if (!s->gzip && stat(zipped, &info) == 0 && info.st_size > 0) {
        nl_hint(err, "%s%sif it were gone, %s beside it would be read", kind ? kind : "",
                kind ? "; " : "", zipped);
    } else if (kind) {
        nl_hint(err, "%s", kind);
    }
}

int nl_data_file_other_classes(nl_error *err, int largest, int classes) {
    if (largest < classes) return nl_data_file_damaged(err);
    return nl_hint(err,
                   "it is of a set with other classes, or damaged; for all that is in it a config "
                   "says data.classes: %d, and as many channels in the last convolution",
                   largest + 1);
}
