/* Philox4x32-10, the counter-based generator of all randomness (Salmon, Moraes, Dror, Shaw:
 * Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011, section 4.3). Header only: the host's
 * compiler and the device's compile the same lines, so CPU and GPU draw the same bits.
 */
#pragma once

#include <stdint.h> // uint32_t

#if defined(__CUDACC__)
#define NL_HD __host__ __device__
#else
#define NL_HD
#endif

typedef struct nl_philox {
    uint32_t v[4];
} nl_philox;

/* The four words for counter (c0, c1, c2, c3) under key (k0, k1). */
NL_HD static inline nl_philox nl_philox4x32(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3,
                                            uint32_t k0, uint32_t k1) {
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    nl_philox out = {{c0, c1, c2, c3}};
    return out;
}
