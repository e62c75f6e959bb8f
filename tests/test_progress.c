/* The words of the progress line. */
#include <criterion/criterion.h>
#include <math.h> // NAN

#include "../src/host/core/progress.h"

Test(progress, clocks) {
    char text[32];
    cr_expect_str_eq(nl_clock_text(text, 0), "00:00");
    cr_expect_str_eq(nl_clock_text(text, 83.9), "01:23");
    cr_expect_str_eq(nl_clock_text(text, 3599), "59:59");
    cr_expect_str_eq(nl_clock_text(text, 7283), "2:01:23");
    cr_expect_str_eq(nl_clock_text(text, NAN), "?");
    cr_expect_str_eq(nl_clock_text(text, INFINITY), "?");
}

Test(progress, rates) {
    char text[32];
    cr_expect_str_eq(nl_rate_text(text, 938, 32), "29.31it/s");
    cr_expect_str_eq(nl_rate_text(text, 2, 3.06), "1.53s/it");
    cr_expect_str_eq(nl_rate_text(text, 0, 3), "?it/s");
    cr_expect_str_eq(nl_rate_text(text, 0, 0), "?it/s");
}
