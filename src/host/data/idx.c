/* Reading one IDX file, raw or gzipped, with nothing believed before it is checked.
 *
 * A .gz is one gzip file in the sense of RFC 1952: any number of members (as of cat a.gz b.gz, or
 * bgzip), of which some may be empty, and zeros behind them, as tapes leave them.
 *
 * The header is read first; its sizes must be within limits, and must fit the size of the file on
 * disk (exactly for a raw file; deflate cannot expand by more than 1032 for a .gz) before memory is
 * taken for them. Then exactly the announced bytes are read, and one more is asked for: a file that
 * goes on, or a .gz that inflates further, is refused after that one byte. */
#include <errno.h>    // errno
#include <stdbool.h>  // bool
#include <stdio.h>    // FILE
#include <stdlib.h>   // free
#include <string.h>   // strerror, memmove
#include <sys/stat.h> // fstat
#include <zlib.h>     // inflate

#include "base/content_kind.h" // nl_content_hint
#include "idx.h"
#include "normlab/checkpoint.h" // nl_sha256_hex

enum { MAX_EXPANSION = 1032, GZIP_WINDOW = 16 + MAX_WBITS };

typedef struct stream {
    char path[512];
    FILE *file;
    uint64_t size; /* on disk */
    bool gzip, ended;
    z_stream z;
    uint8_t input[1 << 16];
} stream;

/* Adds to an error what an incomplete file asks for. */
static int hint_again(nl_error *err) {
    nl_hint(err, "an incomplete or damaged download: get it again, for example with "
                 "scripts/fetch-mnist.sh");
    return NL_EDATA;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static int read_raw(stream *s, void *to, size_t want, size_t *got, nl_error *err) {
    *got = fread(to, 1, want, s->file);
    if (ferror(s->file)) {
        return nl_fail(err, NL_EDATA, s->path, "cannot read: %s", strerror(errno));
    }
    return NL_OK;
}

/* More of the compressed file, if all before it is used up; avail_in stays 0 at its end. */
static int refill(stream *s, nl_error *err) {
    if (s->z.avail_in > 0) return NL_OK;
    size_t length = 0;
    const int rc = read_raw(s, s->input, sizeof s->input, &length, err);
    s->z.next_in = s->input;
    s->z.avail_in = (uInt)length;
    return rc;
}

/* A member has ended: what follows is another one, or zeros up to the end of the file. */
static int next_member(stream *s, nl_error *err) {
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

static int read_gzip(stream *s, void *to, size_t want, size_t *got, nl_error *err) {
    *got = 0;
    while (*got < want && !s->ended) {
        int rc = refill(s, err);
        if (rc) return rc;
        if (s->z.avail_in == 0) {
            nl_fail(err, NL_EDATA, s->path, "truncated gzip stream");
            return hint_again(err);
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
            return hint_again(err);
        }
    }
    return NL_OK;
}

/* Up to `want` bytes; fewer only at the end. */
static int read_bytes(stream *s, void *to, size_t want, size_t *got, nl_error *err) {
    return s->gzip ? read_gzip(s, to, want, got, err) : read_raw(s, to, want, got, err);
}

/* ---- opening -------------------------------------------------------------------------------- */

static int open_stream(stream *s, bool *missing, const char *path, nl_error *err) {
    snprintf(s->path, sizeof s->path, "%s", path);
    s->file = fopen(s->path, "rb");
    if (!s->file && (errno == ENOENT || errno == ENOTDIR)) {
        snprintf(s->path, sizeof s->path, "%s.gz", path);
        s->file = fopen(s->path, "rb");
        s->gzip = true;
        *missing = !s->file && (errno == ENOENT || errno == ENOTDIR);
        if (*missing) return nl_fail(err, NL_EDATA, path, "no such file, and none with .gz");
    }
    if (!s->file) return nl_fail(err, NL_EDATA, s->path, "cannot open: %s", strerror(errno));
    struct stat info;
    if (fstat(fileno(s->file), &info)) {
        return nl_fail(err, NL_EDATA, s->path, "cannot read: %s", strerror(errno));
    }
    if (!S_ISREG(info.st_mode)) {
        nl_fail(err, NL_EDATA, s->path, "is not a regular file");
        nl_hint(err, "the file itself has to be there: scripts/fetch-mnist.sh gets the right ones");
        return NL_EDATA;
    }
    s->size = (uint64_t)info.st_size;
    if (s->gzip && inflateInit2(&s->z, GZIP_WINDOW) != Z_OK) {
        return nl_fail(err, NL_EINTERNAL, s->path, "cannot start zlib");
    }
    return NL_OK;
}

static void close_stream(stream *s) {
    if (s->gzip) inflateEnd(&s->z); /* harmless where inflateInit2 was not reached: all zero */
    if (s->file) fclose(s->file);
    free(s);
}

/* ---- header --------------------------------------------------------------------------------- */

static uint32_t big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The layout of a file: dimensions in its header, bytes of the header and of an item. */
typedef struct layout {
    const nl_image_shape *shape; /* NULL: labels */
    uint32_t rank;
    size_t header, item;
} layout;

static layout layout_of(const nl_image_shape *shape) {
    if (!shape) return (layout){NULL, 1, 8, 1};
    const uint32_t rank = shape->channels > 1 ? 4 : 3;
    return (layout){shape, rank, 4 + 4 * rank, (size_t)nl_image_bytes(*shape)};
}

static int check_shape(const stream *s, const uint8_t *header, const layout *l, nl_error *err) {
    const nl_image_shape *want = l->shape;
    const uint32_t channels = l->rank == 4 ? big_endian(header + 8) : 1;
    const uint32_t rows = big_endian(header + l->header - 8),
                   columns = big_endian(header + l->header - 4);
    if (channels == (uint32_t)want->channels && rows == (uint32_t)want->height &&
        columns == (uint32_t)want->width)
        return NL_OK;
    if (l->rank == 3)
        nl_fail(err, NL_EDATA, s->path, "images of %u x %u at byte 8, must be %d x %d", rows,
                columns, want->height, want->width);
    else
        nl_fail(err, NL_EDATA, s->path, "images of %u x %u x %u at byte 8, must be %d x %d x %d",
                channels, rows, columns, want->channels, want->height, want->width);
    return nl_hint(err, "data.shape of the config has to be that of the files");
}

static int check_header(const stream *s, const uint8_t *header, const layout *l, uint64_t length,
                        nl_error *err) {
    const uint32_t magic = big_endian(header), want = 0x800u + l->rank;
    if (magic != want) {
        return nl_fail(err, NL_EDATA, s->path, "magic number 0x%08x at byte 0, must be 0x%08x (%s)",
                       magic, want, l->shape ? "images" : "labels");
    }
    const uint32_t count = big_endian(header + 4);
    if (count < 1 || count > NL_MAX_IMAGES) {
        return nl_fail(err, NL_EDATA, s->path, "count %u at byte 4, must be 1 to %d", count,
                       NL_MAX_IMAGES);
    }
    const int rc = l->shape ? check_shape(s, header, l, err) : NL_OK;
    if (rc) return rc;
    if (s->gzip ? length / MAX_EXPANSION > s->size : length != s->size) {
        nl_fail(err, NL_EDATA, s->path, "%s: %llu bytes, but %u %s take %llu",
                s->size < length ? "truncated" : "too long", (unsigned long long)s->size, count,
                l->shape ? "images" : "labels", (unsigned long long)length);
        return hint_again(err);
    }
    return NL_OK;
}

/* ---- what is wrong with it ------------------------------------------------------------------ */

/* The first bytes of the file, of which a .gz keeps the first that it inflates to. */
static size_t read_head(stream *s, uint8_t head[NL_CONTENT_HEAD], bool *inflated) {
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
static const char *describe(stream *s, uint32_t rank) {
    uint8_t head[NL_CONTENT_HEAD];
    bool inflated = false;
    const size_t size = s->size > 0 ? read_head(s, head, &inflated) : 0;
    if (size == 0) return "it is empty: a download or a copy went wrong; get it again";
    const bool idx = size >= 4 && head[0] == 0 && head[1] == 0 && head[2] == 8 &&
                     (head[3] == 1 || head[3] == 3 || head[3] == 4);
    if (idx && s->gzip && !inflated) return "it is not compressed: take .gz off its name";
    if (idx && head[3] == rank) return NULL;
    const bool zipped = size >= 2 && head[0] == 0x1f && head[1] == 0x8b;
    if (zipped && s->gzip) return inflated ? "it is gzipped twice: gunzip it once" : NULL;
    return nl_content_hint(head, size);
}

/* A better hint, where the file's beginning or a .gz beside it gives one. */
static void explain(stream *s, uint32_t rank, nl_error *err) {
    char zipped[sizeof s->path + sizeof ".gz"];
    struct stat info;
    const char *kind = describe(s, rank);
    snprintf(zipped, sizeof zipped, "%s.gz", s->path);
    if (!s->gzip && stat(zipped, &info) == 0 && info.st_size > 0) {
        nl_hint(err, "%s%sif it were gone, %s beside it would be read", kind ? kind : "",
                kind ? "; " : "", zipped);
    } else if (kind) {
        nl_hint(err, "%s", kind);
    }
}

/* ---- the file ------------------------------------------------------------------------------- */

/* The content, header included, into *bytes of *length. */
static int read_content(uint8_t **bytes, size_t *length, stream *s, const layout *l,
                        nl_error *err) {
    uint8_t header[20];
    const size_t header_size = l->header;
    size_t got = 0;
    int rc = read_bytes(s, header, header_size, &got, err);
    if (rc) return rc;
    if (got < header_size) {
        nl_fail(err, NL_EDATA, s->path, "truncated: ends within the header, after %zu bytes", got);
        return hint_again(err);
    }
    const uint64_t size = header_size + (uint64_t)big_endian(header + 4) * l->item;
    rc = check_header(s, header, l, size, err);
    if (rc) return rc;

    *length = (size_t)size;
    *bytes = nl_alloc(*length, 1, s->path);
    memcpy(*bytes, header, header_size);
    rc = read_bytes(s, *bytes + header_size, *length - header_size, &got, err);
    if (rc) return rc;
    if (got < *length - header_size) {
        nl_fail(err, NL_EDATA, s->path, "truncated: %zu of %zu bytes", got + header_size, *length);
        return hint_again(err);
    }
    uint8_t extra;
    rc = read_bytes(s, &extra, 1, &got, err);
    if (rc) return rc;
    if (!got) return NL_OK;
    nl_fail(err, NL_EDATA, s->path, "goes on after its %zu bytes", *length);
    return hint_again(err);
}

int nl_idx_read(uint8_t **bytes, uint32_t *count, char sha256[65], bool *missing, const char *path,
                const nl_image_shape *images, nl_error *err) {
    const layout l = layout_of(images);
    stream *s = nl_alloc(1, sizeof *s, path);
    uint8_t *content = NULL;
    size_t length = 0;
    *missing = false;
    int rc = open_stream(s, missing, path, err);
    if (!rc) {
        rc = read_content(&content, &length, s, &l, err);
        if (rc == NL_EDATA) explain(s, l.rank, err);
    }
    close_stream(s);
    if (rc) {
        free(content);
        return rc;
    }
    nl_sha256_hex(sha256, content, length);
    *count = big_endian(content + 4);
    memmove(content, content + l.header, length - l.header);
    *bytes = content;
    return NL_OK;
}
