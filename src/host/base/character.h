/* Text of others, character by character.
 */
#pragma once

#include <stdbool.h> // bool
#include <stddef.h>  // size_t

/* The bytes of the first character of a text, which is not empty. *printable: it can stand in a line
 * of text, in HTML and in XML. What cannot: a control character (also DEL and U+0080 to U+009F),
 * U+FFFE and U+FFFF, which XML does not know, and a byte that is no UTF-8. */
size_t nl_character(bool *printable, const char *text);
