/* Of fail_at.c: allocations. dlsym itself takes some, so these go to the C library by its own
 * names. */
#include <dlfcn.h>   // dladdr
#include <errno.h>   // ENOMEM
#include <malloc.h>  // malloc_usable_size
#include <stdbool.h> // bool
#include <stdlib.h>  // size_t
#include <string.h>  // strstr

#include "fail_at.h"

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

/* libxlsxwriter dereferences what it did not get, and takes no allocator from outside: the program
 * looks first whether there is enough for it, so here too it always gets its memory, and what it
 * calls. */
bool fails_book_is_open;

void *workbook_new(const char *path);
void *workbook_new(const char *path) {
    fails_book_is_open = true;
    return REAL(workbook_new)(path);
}

int workbook_close(void *book);
int workbook_close(void *book) {
    const int rc = REAL(workbook_close)(book);
    fails_book_is_open = false;
    return rc;
}

static bool is_spared(const void *caller) {
    Dl_info info;
    return fails_book_is_open && !(dladdr(caller, &info) && info.dli_fname &&
                                   strstr(info.dli_fname, program_invocation_short_name));
}

static bool lacks(const void *caller) {
    return !is_spared(caller) && fails("memory", ENOMEM);
}

void *malloc(size_t size) {
    return lacks(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    return lacks(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

/* Giving some of it back takes none. */
void *realloc(void *old, size_t size) {
    if (old && size <= malloc_usable_size(old)) return __libc_realloc(old, size);
    return lacks(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return lacks(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}
