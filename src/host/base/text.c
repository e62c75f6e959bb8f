/* Texts that grow in memory; see normlab/error.h. Not open_memstream: where that cannot grow, a
 * text just ends, and no error is seen in the stream (glibc 2.36). */
#include <stdbool.h> // bool
#include <stdio.h>   // fopencookie
#include <stdlib.h>  // realloc
#include <string.h>  // memcpy

#include "normlab/error.h" // nl_out_of_memory

typedef struct growing {
    char **text;
    size_t *size, room;
} growing;

static ssize_t append(void *of, const char *bytes, size_t count) {
    growing *g = of;
    if (*g->size + count + 1 > g->room) {
        g->room = 2 * (*g->size + count) + 1024;
        *g->text = realloc(*g->text, g->room);
        NL_NEED(*g->text);
    }
    memcpy(*g->text + *g->size, bytes, count);
    *g->size += count;
    (*g->text)[*g->size] = '\0';
    return (ssize_t)count;
}

static int release(void *of) {
    free(of);
    return 0;
}

FILE *nl_text_open(char **text, size_t *size) {
    growing *g = nl_alloc(1, sizeof *g, "text");
    *g = (growing){.text = text, .size = size};
    *text = NULL;
    *size = 0;
    append(g, "", 0); /* an empty text is one too */
    FILE *stream = fopencookie(g, "w", (cookie_io_functions_t){.write = append, .close = release});
    NL_NEED(stream);
    return stream;
}

void nl_text_close(FILE *text) {
    const bool whole = !ferror(text);
    NL_NEED(fclose(text) == 0 && whole);
}
