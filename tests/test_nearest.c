/* Mistyped words. */
#include <criterion/criterion.h>

#include "base/nearest.h"

Test(nearest, words) {
    static const char *const words[] = {"train", "summary", "eval"};
    cr_expect_eq(nl_edit_distance("", "abc"), 3u);
    cr_expect_eq(nl_edit_distance("abc", "abc"), 0u);
    cr_expect_eq(nl_edit_distance("nrom", "norm"), 1u); /* a swap */
    cr_expect_eq(nl_edit_distance("kitten", "sitting"), 3u);
    cr_expect_str_eq(nl_nearest("trian", words, 3), "train");
    cr_expect_str_eq(nl_nearest("sumary", words, 3), "summary");
    cr_expect_null(nl_nearest("report", words, 3));
    cr_expect_null(nl_nearest("", words, 3));
}
