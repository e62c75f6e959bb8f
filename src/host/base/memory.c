/* What libraries allocate; see normlab/error.h. */
#include <stdlib.h> // malloc

#include <jansson.h>        // json_set_alloc_funcs
#include <openssl/crypto.h> // CRYPTO_set_mem_functions

#include "normlab/error.h" // nl_out_of_memory

static void *need_bytes(size_t size) {
    void *memory = malloc(size ? size : 1);
    if (!memory) nl_out_of_memory("a library", size);
    return memory;
}

static void *need_crypto(size_t size, const char *file, int line) {
    (void)file, (void)line;
    return size ? need_bytes(size) : NULL;
}

static void *need_more_crypto(void *old, size_t size, const char *file, int line) {
    (void)file, (void)line;
    void *memory = realloc(old, size ? size : 1);
    if (!memory) nl_out_of_memory("a library", size);
    return memory;
}

static void free_crypto(void *memory, const char *file, int line) {
    (void)file, (void)line;
    free(memory);
}

void nl_memory_open(void) {
    json_set_alloc_funcs(need_bytes, free);
    NL_ASSERT(CRYPTO_set_mem_functions(need_crypto, need_more_crypto, free_crypto) == 1);
}
