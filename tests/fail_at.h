/* Of fail_at.c, and what plays its calls. */
#pragma once

#include <stdbool.h> // bool
#include <stdio.h>   // FILE

/* The C library's own. */
#define REAL(name) (__extension__(__typeof__(&name)) dlsym(RTLD_NEXT, #name))

/* Whether this call, of that kind, is the one that fails: then errno is that number. */
bool fails(const char *of, int number);

extern bool fails_book_is_open; /* libxlsxwriter is at work */

/* Whether reading from a stream fails now. Not static, as the C library's getline may be inline. */
bool stream_fails(FILE *stream);
