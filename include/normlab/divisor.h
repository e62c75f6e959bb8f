/* Division by a number that the host knows, as a multiplication and a shift: a processor without an
 * instruction for it takes some 25 others (Granlund, Montgomery, Division by Invariant Integers
 * using Multiplication, PLDI 1994). With 2^(s - 1) < d <= 2^s and
 *
 *     factor = ceil(2^(31 + s) / d) = (2^(31 + s) + e) / d,  0 <= e < d
 *
 * n factor / 2^(31 + s) is n / d + n e / (d 2^(31 + s)). For n < 2^31 the second term is smaller
 * than e / (d 2^s) < 1 / d, too small to reach the next whole number: the quotient is exact.
 */
#pragma once

#include <stdint.h> // uint32_t

#include "normlab/philox.h" // NL_HD

typedef struct nl_divisor {
    uint32_t factor;
    uint32_t shift;
} nl_divisor;

/* d: 1 to 2^30 */
static inline nl_divisor nl_divisor_make(int d) {
    uint32_t shift = 0;
    while ((UINT32_C(1) << shift) < (uint32_t)d) shift++;
    const uint64_t power = UINT64_C(1) << (31 + shift);
    const nl_divisor made = {(uint32_t)((power + (uint32_t)d - 1) / (uint32_t)d), shift};
    return made;
}

/* n / d, for n of 0 or more */
NL_HD static inline int nl_divide(int n, nl_divisor d) {
    return (int)(((uint64_t)(2 * (uint32_t)n) * d.factor >> 32) >> d.shift);
}
