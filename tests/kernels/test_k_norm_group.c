/* Group norm (layer norm with one group, instance norm with a channel a group) by the kernels: the
 * rules that every norm keeps, then whole stages around it. */
#include "support/compare.h" // cr_assert
#include "support_device.h"
#include "support_norm.h" // kernel_norm
#include "support_stage.h"

// --- the norm by itself --------------------------------------------------------------------------

static const nl_norm_shape small[] = {{2, 4, 1, 2},  {1, 4, 8, 4},  {3, 6, 35, 2}, {3, 6, 35, 6},
                                      {2, 6, 35, 1}, {4, 9, 33, 3}, {1, 1, 2, 1},  {33, 4, 3, 2}};
enum { SMALL = sizeof small / sizeof *small };

Test(k_norm_group, truth_at_every_input) {
    const norm_ops ops = kernel_norm(NL_NORM_GROUP);
    for (int i = 0; i < SMALL; i++)
        for (int k = 0; k < n_norm_inputs; k++) check_norm_truth(&ops, small[i], norm_inputs[k]);
    check_norm_truth(&ops, (nl_norm_shape){2, 3, 9001, 1}, norm_inputs[2]);
}

Test(k_norm_group, every_batch_size) {
    const norm_ops ops = kernel_norm(NL_NORM_GROUP);
    for (int n = 1; n <= 33; n++)
        check_norm_truth(&ops, (nl_norm_shape){n, 4, 5, 2}, norm_inputs[1]);
}

Test(k_norm_group, rules) {
    const norm_ops ops = kernel_norm(NL_NORM_GROUP);
    check_norm_constant(&ops, (nl_norm_shape){4, 6, 33, 3});
    check_norm_constant(&ops, (nl_norm_shape){2, 2, 9001, 1});
    check_norm_exact(&ops, (nl_norm_shape){1, 3, 2, 1});
    check_norm_exact(&ops, (nl_norm_shape){4, 6, 32, 2});
    check_norm_exact(&ops, (nl_norm_shape){2, 2, 9000, 1});
    check_norm_poison(&ops, (nl_norm_shape){3, 4, 5, 2});
    check_norm_poison(&ops, (nl_norm_shape){2, 4, 5, 1});
}

// --- whole stages -------------------------------------------------------------------------------

/* n, c, h, w, groups, pool, relu */
static const stage_case cases[] = {
    {NL_NORM_GROUP, {2, 4, 1, 1, 2, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 6, 5, 7, 2, 0, 1}, 0, {-2.3, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 6, 5, 7, 1, 0, 0}, 0, {1000, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 5, 5, 7, 5, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {7, 8, 4, 4, 2, 0, 1}, 0, {0.02, 0.003}, 0, false, false, false},
    {NL_NORM_GROUP, {7, 8, 4, 4, 2, 0, 1}, 0, {0, 1}, 1, false, false, false},
    {NL_NORM_GROUP, {2, 16, 28, 28, 4, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {2, 24, 28, 28, 1, 0, 1}, 0, {-2.3, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 7, 49, 51, 1, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {2, 2, 130, 129, 2, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {2, 16, 28, 28, 4, 2, 1}, 0.05, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {2, 24, 28, 28, 1, 2, 1}, 0.05, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {2, 7, 49, 51, 1, 2, 1}, 0.3, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {2, 7, 49, 51, 1, 3, 1}, 0.3, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {4, 8, 12, 12, 2, 2, 1}, 0.05, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 4, 5, 7, 2, 2, 1}, 0.5, {-2.3, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 6, 14, 14, 2, 2, 1}, 0.3, {-2.3, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 3, 7, 8, 3, 3, 0}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 4, 4, 4, 1, 1, 1}, 0.5, {0, 1}, 1, false, false, false},
    {NL_NORM_GROUP, {40, 2, 3, 3, 1, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 4, 4, 6, 2, 2, 1}, 0, {0, 1}, 0, false, false, true},
    {NL_NORM_GROUP, {3, 4, 4, 6, 2, 0, 1}, 0, {0, 1}, 0, false, false, true},
};

Test(k_norm_group, every_stage) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_stage(&cases[i]);
}

Test(k_norm_group, every_stage_without_centring) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage_case c = cases[i];
        c.norm = NL_NORM_RMS;
        check_stage(&c);
    }
}

Test(k_norm_group, one_value_a_group_without_centring) {
    check_stage(
        &(stage_case){NL_NORM_RMS, {3, 4, 1, 1, 4, 0, 0}, 0, {0.5, 1}, 0, false, false, false});
}
