/* The prepared division, against the processor's. Between two multiples of the divisor the quotient
 * cannot fall, so it is right everywhere where it is right on both sides of each multiple. */
#include "normlab/divisor.h"

#include <criterion/criterion.h> // cr_assert
#include <limits.h>              // INT_MAX

static void check(int n, int d, nl_divisor by) {
    const int got = nl_divide(n, by);
    cr_assert(got == n / d, "%d / %d is %d", n, d, got);
}

/* Both sides of every multiple of d, up to the largest n. */
static void check_multiples(int d) {
    const nl_divisor by = nl_divisor_make(d);
    for (int64_t n = d; n <= INT_MAX; n += d) {
        if (nl_divide((int)n, by) != (int)n / d) check((int)n, d, by);
        if (nl_divide((int)n - 1, by) != (int)(n - 1) / d) check((int)n - 1, d, by);
    }
    check(INT_MAX, d, by);
    check(0, d, by);
}

Test(divisor, every_number_by_large_divisors) {
    for (int d = 1000; d < 1010; d++) check_multiples(d);
    for (int d = 1 << 15; d < 1 << 22; d = d / 2 * 3 + 1) check_multiples(d);
}

Test(divisor, every_number_by_some_small_ones) {
    const int divisors[] = {1, 2, 3, 7, 14, 28, 49, 96, 196, 784};
    for (int i = 0; i < 10; i++) {
        const int d = divisors[i], most = d < 16 ? 1 << 22 : INT_MAX;
        const nl_divisor by = nl_divisor_make(d);
        for (int64_t n = 0; n < most; n += d < 16 ? 1 : d) check((int)n, d, by);
        for (int64_t n = (int64_t)INT_MAX - 1000; n <= INT_MAX; n++) check((int)n, d, by);
    }
}

/* factor 2^-(31 + shift) is 1 / d and too much by less than what reaches the next whole number: the
 * header's proof, in numbers, for every divisor that a shape can make, and on to the largest. */
Test(divisor, the_bound_of_the_proof) {
    for (int64_t d = 1; d <= 1 << 30; d += d < 1 << 20 ? 1 : d / 4096) {
        const nl_divisor by = nl_divisor_make((int)d);
        const uint64_t power = UINT64_C(1) << (31 + by.shift);
        const uint64_t excess = (uint64_t)by.factor * (uint64_t)d - power;
        cr_assert(excess < (uint64_t)d && (uint64_t)d <= UINT64_C(1) << by.shift, "%d", (int)d);
        check(INT_MAX, (int)d, by);
        check((int)(INT_MAX / d * d), (int)d, by);
        if (d > 1) check((int)(INT_MAX / d * d - 1), (int)d, by);
    }
}
