/* The comparator of all other tests: it has to fail where it should. */
#include <math.h>   // NAN, INFINITY
#include <string.h> // strstr

#include "support/compare.h"

static char text[COMPARE_TEXT];

Test(compare, equal_passes) {
    const double a[] = {1, -2, 0, INFINITY, NAN}, b[] = {1, -2, -0.0, INFINITY, NAN};
    cr_assert(compare_f64(text, a, b, 5, 0, 0));
    const float c[] = {1, -2, 0, INFINITY, NAN};
    cr_assert(compare_f32(text, c, b, 5, 0, 0));
}

Test(compare, nan_against_number_fails) {
    const double a[] = {1, NAN, 3}, b[] = {1, 2, 3};
    const float c[] = {1, NAN, 3};
    cr_assert_not(compare_f64(text, a, b, 3, 1e300, 0));
    cr_assert(strstr(text, "element 1: got nan, want 2") != NULL, "%s", text);
    cr_assert_not(compare_f64(text, b, a, 3, 1e300, 0));
    cr_assert_not(compare_f32(text, c, b, 3, 1e300, 0));
}

Test(compare, nan_as_tolerance_fails) {
    const double a[] = {1}, b[] = {2}, bound[] = {NAN};
    const float c[] = {1};
    cr_assert_not(compare_f64(text, a, b, 1, NAN, 0));
    cr_assert_not(compare_f64(text, a, b, 1, 0, NAN));
    cr_assert_not(compare_bounds_f32(text, c, b, bound, 1));
}

Test(compare, infinity_is_only_itself) {
    const double a[] = {1e308}, b[] = {INFINITY}, c[] = {-INFINITY};
    cr_assert_not(compare_f64(text, a, b, 1, 0, 1e-3));
    cr_assert_not(compare_f64(text, c, b, 1, 0, 1e-3));
    cr_assert_not(compare_f64(text, b, a, 1, 0, 1e-3));
}

Test(compare, zeros_against_values_fail) {
    const double zeros[4] = {0}, values[] = {0, 1e-3, -5, 0};
    cr_assert_not(compare_f64(text, zeros, values, 4, 1e-6, 1e-3));
    cr_assert(strstr(text, "element 2: got 0, want -5") != NULL, "%s", text);
    cr_assert(strstr(text, "2 of 4 wrong") != NULL, "%s", text);
    cr_assert_not(compare_f64(text, values, zeros, 4, 1e-6, 1e-3));
}

Test(compare, bounds_are_inclusive_and_sharp) {
    const double a[] = {1.5}, b[] = {1};
    cr_assert(compare_f64(text, a, b, 1, 0.5, 0));
    cr_assert_not(compare_f64(text, a, b, 1, nextafter(0.5, 0), 0));
    cr_assert(compare_f64(text, a, b, 1, 0, 0.5));
    const float c[] = {1.5F, 2};
    const double want[] = {1, 2}, wide[] = {0.5, 0}, narrow[] = {0.25, 9};
    cr_assert(compare_bounds_f32(text, c, want, wide, 2));
    cr_assert_not(compare_bounds_f32(text, c, want, narrow, 2));
}

Test(compare, ulp) {
    cr_assert_eq(ulp_f64(1, 1), 0u);
    cr_assert_eq(ulp_f64(0.0, -0.0), 0u);
    cr_assert_eq(ulp_f64(1, nextafter(1, 2)), 1u);
    cr_assert_eq(ulp_f64(0x1p-1074, -0x1p-1074), 2u);
    cr_assert_eq(ulp_f32(1, nextafterf(nextafterf(1, 0), 0)), 2u);
    cr_assert_eq(ulp_f32(-1, 1), 2u * 0x3f800000u);
    cr_assert_eq(ulp_f64(NAN, 1), UINT64_MAX);
}

Test(compare, guards_notice_a_write_on_either_side) {
    float *x = guarded_f32(3);
    cr_assert(isnan(x[0]) && isnan(x[2]));
    cr_assert(guarded_intact(x));
    const float below = x[-1], above = x[3];
    x[3] = 0;
    cr_assert_not(guarded_intact(x));
    x[3] = above;
    x[-1] = 0;
    cr_assert_not(guarded_intact(x));
    x[-1] = below;
    cr_assert(guarded_intact(x));
    guarded_free(x);
}
