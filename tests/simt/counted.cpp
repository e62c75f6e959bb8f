/* What the compiler calls before an access to memory that is no local variable, where kernels are
 * compiled with -fsanitize=thread to be counted: nothing is linked with the sanitizer itself.
 */
#include "simt.h"       // simt::touch
#include "simt_bytes.h" // SIMT_READ

#include <cstring> // memcpy

#pragma GCC diagnostic ignored "-Wmissing-declarations"

#define ACCESS(size)                                                                               \
    void __tsan_read##size(void *p) {                                                              \
        simt::touch(p, size, SIMT_READ);                                                           \
    }                                                                                              \
    void __tsan_write##size(void *p) {                                                             \
        simt::touch(p, size, SIMT_WRITTEN);                                                        \
    }                                                                                              \
    void __tsan_unaligned_read##size(void *p) {                                                    \
        simt::touch(p, size, SIMT_READ);                                                           \
    }                                                                                              \
    void __tsan_unaligned_write##size(void *p) {                                                   \
        simt::touch(p, size, SIMT_WRITTEN);                                                        \
    }

extern "C" {
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)
void __tsan_read_range(void *p, size_t size) {
    simt::touch(p, size, SIMT_READ);
}
void __tsan_write_range(void *p, size_t size) {
    simt::touch(p, size, SIMT_WRITTEN);
}
void *__tsan_memcpy(void *to, const void *from, size_t size) {
    simt::touch(from, size, SIMT_READ);
    simt::touch(to, size, SIMT_WRITTEN);
    return memcpy(to, from, size);
}
void *__tsan_memset(void *to, int value, size_t size) {
    simt::touch(to, size, SIMT_WRITTEN);
    return memset(to, value, size);
}
void __tsan_init() {
}
void __tsan_func_entry(void *) {
}
void __tsan_func_exit() {
}
void __tsan_vptr_update(void *, void *) {
}
void __tsan_vptr_read(void *) {
}
}
