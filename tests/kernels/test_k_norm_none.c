/* Stages without a norm by the kernels: bias, ReLU, max pool, dropout, both ways. */
#include "support/compare.h" // cr_assert
#include "support_stage.h"

/* n, c, h, w, groups, pool, relu */
static const stage_case cases[] = {
    {NL_NORM_NONE, {1, 1, 1, 1, 0, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_NONE, {3, 5, 7, 9, 0, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_NONE, {4, 3, 4, 4, 0, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_NONE, {4, 3, 4, 4, 0, 0, 1}, 0, {0, 1}, 1, false, false, false},
    {NL_NORM_NONE, {2, 3, 4, 4, 0, 0, 0}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_NONE, {2, 96, 28, 28, 0, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_NONE, {33, 2, 1, 5, 0, 0, 1}, 0, {-2.3, 1}, 0, false, false, false},
    {NL_NORM_NONE, {11, 2, 28, 28, 0, 2, 1}, 0.05, {0, 1}, 0, false, false, false},
    {NL_NORM_NONE, {3, 5, 7, 9, 0, 2, 1}, 0.5, {0, 1}, 0, false, false, false},
    {NL_NORM_NONE, {3, 5, 7, 9, 0, 3, 1}, 0.3, {0, 1}, 0, false, false, false},
    {NL_NORM_NONE, {3, 5, 7, 9, 0, 1, 1}, 0.3, {0, 1}, 0, false, false, false},
    {NL_NORM_NONE, {2, 8, 12, 12, 0, 2, 0}, 0, {0, 1}, 1, false, false, false},
    {NL_NORM_NONE, {2, 7, 5, 4, 0, 2, 0}, 0, {0, 1}, 0, false, true, false},
    {NL_NORM_NONE, {1, 3, 4, 4, 0, 4, 1}, 0.9, {0, 1}, 0, false, false, false},
    {NL_NORM_NONE, {2, 3, 4, 6, 0, 2, 1}, 0, {1, 0}, 0, false, false, false},
    {NL_NORM_NONE, {2, 3, 4, 6, 0, 2, 1}, 0, {0, 1}, 0, false, false, true},
    {NL_NORM_NONE, {2, 3, 4, 6, 0, 0, 1}, 0, {0, 1}, 0, false, false, true},
};

Test(k_norm_none, every_shape) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_stage(&cases[i]);
}
