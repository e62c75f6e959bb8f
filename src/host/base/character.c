#include "character.h"

#include <stdint.h> // uint32_t

/* The bytes behind the first one that it asks for; -1: it begins no character. */
static int bytes_behind(unsigned char first) {
    if (first < 0x80) return 0;
    if (first < 0xc0 || first > 0xf4) return -1;
    return first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
}

size_t nl_character(bool *printable, const char *text) {
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000}; /* by the bytes behind the first */
    const unsigned char *at = (const unsigned char *)text;
    const int more = bytes_behind(at[0]);
    *printable = false;
    if (more < 0) return 1;
    uint32_t code = more ? at[0] & (0x3fu >> more) : at[0];
    for (int i = 1; i <= more; i++) {
        if ((at[i] & 0xc0) != 0x80) return 1; /* also at the end of the text */
        code = code << 6 | (at[i] & 0x3fu);
    }
    if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 1;
    const bool control = code < ' ' || (code >= 0x7f && code < 0xa0);
    *printable = !control && code != 0xfffe && code != 0xffff;
    return (size_t)more + 1;
}
