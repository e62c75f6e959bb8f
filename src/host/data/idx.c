/* Reading one IDX file, with nothing believed before it is checked.
 *
 * The header is read first; its sizes must be within limits, and must fit the size of the file on
 * disk (exactly for a raw file; deflate cannot expand by more than 1032 for a .gz) before memory is
 * taken for them. Then exactly the announced bytes are read, and one more is asked for: a file that
 * goes on, or a .gz that inflates further, is refused after that one byte. */
#include "idx.h"

#include <stdlib.h> // free
#include <string.h> // memmove

#include "cifar.h" // NL_CIFAR10_RECORD
#include "data_file.h"
#include "normlab/checkpoint.h" // nl_sha256_hex

/* ---- header --------------------------------------------------------------------------------- */

enum { HEADER = 20 }; /* the longest */

/* What the header of a file says. */
typedef struct layout {
    uint32_t magic, count, channels, height, width; /* of labels: 1 x 1 x 1 */
    size_t header;                                  /* bytes */
} layout;

static uint32_t big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The magic number that a file has to have; images of one channel may have that of 4 dimensions. */
static uint32_t wanted_magic(const nl_image_shape *shape, uint32_t found) {
    if (!shape) return 0x801;
    return found == 0x804 || (shape->channels > 1 && found != 0x803) ? 0x804 : 0x803;
}

static int read_header(nl_data_file *file, uint8_t bytes[HEADER], layout *l,
                       const nl_image_shape *shape, nl_error *err) {
    size_t got = 0, more = 0;
    const size_t first = shape ? 16 : 8;
    int rc = nl_data_file_read(file, bytes, first, &got, err);
    if (rc) return rc;
    const uint32_t magic = got < 4 ? 0 : big_endian(bytes);
    *l = (layout){magic, 0, 1, 1, 1, shape && magic == 0x804 ? 20 : first};
    if (got == first && l->header > first) {
        rc = nl_data_file_read(file, bytes + first, l->header - first, &more, err);
        if (rc) return rc;
    }
    if (got + more < l->header) {
        nl_fail(err, NL_EDATA, file->path, "truncated: ends within the header, after %zu bytes",
                got + more);
        return nl_data_file_damaged(err);
    }
    l->count = big_endian(bytes + 4);
    if (!shape) return NL_OK;
    if (l->header == HEADER) l->channels = big_endian(bytes + 8);
    l->height = big_endian(bytes + l->header - 8);
    l->width = big_endian(bytes + l->header - 4);
    return NL_OK;
}

static int check_shape(const nl_data_file *file, const layout *l, const nl_image_shape *want,
                       nl_error *err) {
    char found[64], wanted[64];
    if (l->channels == (uint32_t)want->channels && l->height == (uint32_t)want->height &&
        l->width == (uint32_t)want->width)
        return NL_OK;
    snprintf(found, sizeof found, "%u x %u", l->height, l->width);
    if (l->header == HEADER)
        snprintf(found, sizeof found, "%u x %u x %u", l->channels, l->height, l->width);
    snprintf(wanted, sizeof wanted, "%d x %d", want->height, want->width);
    if (l->header == HEADER || want->channels > 1)
        snprintf(wanted, sizeof wanted, "%d x %d x %d", want->channels, want->height, want->width);
    nl_fail(err, NL_EDATA, file->path, "images of %s at byte 8, must be %s", found, wanted);
    return nl_hint(err,
                   "data.shape of the config, [%d, %d, %d], has to be that of the files: take "
                   "a config for this set, or another folder (--data)",
                   want->channels, want->height, want->width);
}

static int check_header(const nl_data_file *file, const layout *l, const nl_image_shape *shape,
                        nl_error *err) {
    const uint32_t want = wanted_magic(shape, l->magic);
    const char *what = shape ? "images" : "labels";
    if (l->magic != want) {
        return nl_fail(err, NL_EDATA, file->path,
                       "magic number 0x%08x at byte 0, must be 0x%08x (%s)", l->magic, want, what);
    }
    if (l->count < 1 || l->count > NL_MAX_IMAGES) {
        return nl_fail(err, NL_EDATA, file->path, "count %u at byte 4, must be 1 to %d", l->count,
                       NL_MAX_IMAGES);
    }
    const int rc = shape ? check_shape(file, l, shape, err) : NL_OK;
    if (rc) return rc;
    const uint64_t length = l->header + (uint64_t)l->count * l->channels * l->height * l->width;
    if (file->gzip ? length / NL_MAX_EXPANSION > file->size : length != file->size) {
        nl_fail(err, NL_EDATA, file->path, "%s: %llu bytes, but %u %s take %llu",
                file->size < length ? "truncated" : "too long", (unsigned long long)file->size,
                l->count, what, (unsigned long long)length);
        return nl_data_file_damaged(err);
    }
    return NL_OK;
}

/* ---- the file ------------------------------------------------------------------------------- */

/* The content, header included, into *bytes of *length. */
static int read_content(uint8_t **bytes, size_t *length, layout *l, nl_data_file *file,
                        const nl_image_shape *shape, nl_error *err) {
    uint8_t header[HEADER];
    size_t got = 0;
    int rc = read_header(file, header, l, shape, err);
    if (!rc) rc = check_header(file, l, shape, err);
    if (rc) return rc;

    *length = l->header + (size_t)l->count * l->channels * l->height * l->width;
    *bytes = nl_alloc(*length, 1, file->path);
    memcpy(*bytes, header, l->header);
    rc = nl_data_file_read(file, *bytes + l->header, *length - l->header, &got, err);
    if (rc) return rc;
    if (got < *length - l->header) {
        nl_fail(err, NL_EDATA, file->path, "truncated: %zu of %zu bytes", got + l->header, *length);
        return nl_data_file_damaged(err);
    }
    return nl_data_file_end(file, *length, err);
}

/* What a file that was refused is instead. */
static void explain(nl_data_file *file, const layout *l, const nl_image_shape *shape,
                    nl_error *err) {
    const uint32_t want = wanted_magic(shape, l->magic);
    const uint8_t magic[4] = {0, 0, 8, (uint8_t)want};
    if (l->magic != want && nl_cifar_hint(file, err)) return;
    nl_data_file_explain(file, magic, err);
}

int nl_idx_read(uint8_t **bytes, uint32_t *count, char sha256[65], const char *path,
                const nl_image_shape *images, nl_error *err) {
    nl_data_file *file = NULL;
    uint8_t *content = NULL;
    size_t length = 0;
    layout l = {0};
    int rc = nl_data_file_open(&file, path, err);
    if (!rc) {
        rc = read_content(&content, &length, &l, file, images, err);
        if (rc == NL_EDATA) explain(file, &l, images, err);
    }
    nl_data_file_close(file);
    if (rc) {
        free(content);
        return rc;
    }
    nl_sha256_hex(sha256, content, length);
    *count = l.count;
    memmove(content, content + l.header, length - l.header);
    *bytes = content;
    return NL_OK;
}
