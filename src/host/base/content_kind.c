/* A table of beginnings; see content_kind.h. What people have in place of data: pages and messages
 * of servers, pointers of Git LFS, archives that were not unpacked, other formats. */
#include "content_kind.h"

#include <ctype.h>   // isprint, isspace
#include <stdbool.h> // bool
#include <string.h>  // memcmp, memchr

#define AGAIN "; get it again, for example with scripts/fetch-data.sh"

static const struct {
    const char *begin;
    size_t size;
    const char *hint;
} kinds[] = {
    {"version https://git-lfs", 23,
     "it is a pointer of Git LFS, not the data: 'git lfs pull' in that repository gets it"},
    {"\x1f\x8b", 2, "it is gzipped: add .gz to its name"},
    {"PK\3\4", 4, "it is a zip archive: unpack it"},
    {"BZh", 3, "it is compressed with bzip2: bunzip2 unpacks it"},
    {"\xfd\x37zXZ", 5, "it is compressed with xz: unxz unpacks it"},
    {"\x28\xb5\x2f\xfd", 4, "it is compressed with zstd: unzstd unpacks it"},
    {"\x93NUMPY", 6, "it is an array of NumPy, not an IDX file" AGAIN},
    {"\x89PNG", 4, "it is a picture, not an IDX file" AGAIN},
    {"\x89HDF", 4, "it is an HDF5 file, not an IDX file" AGAIN},
    {"\0\0\x08\x01", 4, "it holds labels, as an IDX file: is its name that of another one?"},
    {"\0\0\x08\x03", 4, "it holds images, as an IDX file: is its name that of another one?"},
    {"\0\0\x08\x04", 4, "it holds images, as an IDX file: is its name that of another one?"},
    {"\0\0\0\0", 4, "it begins with zeros, as an incomplete download does" AGAIN},
};

/* White space and a byte order mark are behind this. */
static size_t skip_space(const uint8_t *head, size_t size) {
    size_t at = size >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < size && isspace(head[at])) at++;
    return at;
}

static bool is_text(const uint8_t *head, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (head[i] < 0x80 && !isprint(head[i]) && !isspace(head[i])) return false;
    return true;
}

const char *nl_content_hint(const uint8_t *head, size_t size) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (size >= kinds[i].size && memcmp(head, kinds[i].begin, kinds[i].size) == 0)
            return kinds[i].hint;
    const size_t at = skip_space(head, size);
    if (at < size && head[at] == '<' && is_text(head, size))
        return "it is a web page or a server's message (HTML or XML), not the data: the download "
               "went wrong" AGAIN;
    if (is_text(head, size)) return "it is text, not the data: the download went wrong" AGAIN;
    return NULL;
}
