/* Batch norm by the kernels: the rules that every norm keeps, then whole stages around it. */
#include "support/compare.h" // cr_assert
#include "support_device.h"
#include "support_norm.h" // kernel_norm
#include "support_stage.h"

// --- the norm by itself --------------------------------------------------------------------------

static const nl_norm_shape small[] = {{2, 3, 1, 0},  {1, 4, 8, 0},  {1, 1, 2, 0},
                                      {3, 5, 35, 0}, {4, 7, 33, 0}, {5, 1, 9, 0}};
enum { SMALL = sizeof small / sizeof *small };

Test(k_norm_batch, truth_at_every_input) {
    const norm_ops ops = kernel_norm(NL_NORM_BATCH);
    for (int i = 0; i < SMALL; i++)
        for (int k = 0; k < n_norm_inputs; k++) check_norm_truth(&ops, small[i], norm_inputs[k]);
    check_norm_truth(&ops, (nl_norm_shape){2, 1, 9001, 0}, norm_inputs[2]);
}

Test(k_norm_batch, every_batch_size) {
    const norm_ops ops = kernel_norm(NL_NORM_BATCH);
    for (int n = 1; n <= 33; n++)
        check_norm_truth(&ops, (nl_norm_shape){n, 3, 5, 0}, norm_inputs[1]);
}

Test(k_norm_batch, rules) {
    const norm_ops ops = kernel_norm(NL_NORM_BATCH);
    check_norm_constant(&ops, (nl_norm_shape){4, 7, 33, 0});
    check_norm_constant(&ops, (nl_norm_shape){2, 1, 9001, 0});
    check_norm_exact(&ops, (nl_norm_shape){1, 3, 2, 0});
    check_norm_exact(&ops, (nl_norm_shape){4, 5, 32, 0});
    check_norm_exact(&ops, (nl_norm_shape){2, 1, 9000, 0});
    check_norm_poison(&ops, (nl_norm_shape){3, 4, 5, 0});
}

// --- whole stages -------------------------------------------------------------------------------

/* n, c, h, w, groups, pool, relu */
static const stage_case cases[] = {
    {NL_NORM_BATCH, {2, 4, 1, 1, 0, 0, 1}, 0, {-2.3, 1}, 0, false, false, false},
    {NL_NORM_BATCH, {2, 4, 1, 1, 0, 0, 1}, 0, {0.02, 0.003}, 0, false, false, false},
    {NL_NORM_BATCH, {3, 5, 5, 7, 0, 0, 1}, 0, {-2.3, 1}, 0, false, false, false},
    {NL_NORM_BATCH, {3, 5, 5, 7, 0, 0, 0}, 0, {1000, 1}, 0, false, false, false},
    {NL_NORM_BATCH, {7, 3, 4, 4, 0, 0, 1}, 0, {0.02, 0.003}, 0, false, false, false},
    {NL_NORM_BATCH, {7, 3, 4, 4, 0, 0, 1}, 0, {0, 1}, 1, false, false, false},
    {NL_NORM_BATCH, {5, 4, 28, 28, 0, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_BATCH, {6, 2, 56, 56, 0, 0, 1}, 0, {-2.3, 1}, 0, false, false, false},
    {NL_NORM_BATCH, {7, 2, 49, 51, 0, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_BATCH, {23, 1, 28, 28, 0, 2, 1}, 0.05, {0, 1}, 0, false, false, false},
    {NL_NORM_BATCH, {7, 2, 49, 51, 0, 2, 1}, 0.3, {0, 1}, 0, false, false, false},
    {NL_NORM_BATCH, {7, 1, 49, 51, 0, 3, 1}, 0.3, {0, 1}, 0, false, false, false},
    {NL_NORM_BATCH, {4, 8, 12, 12, 0, 2, 1}, 0.05, {0, 1}, 0, false, false, false},
    {NL_NORM_BATCH, {3, 3, 5, 7, 0, 2, 1}, 0.5, {-2.3, 1}, 0, false, false, false},
    {NL_NORM_BATCH, {3, 5, 14, 14, 0, 2, 1}, 0.3, {-2.3, 1}, 0, false, false, false},
    {NL_NORM_BATCH, {3, 3, 7, 8, 0, 3, 0}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_BATCH, {3, 3, 4, 4, 0, 1, 1}, 0.5, {0, 1}, 1, false, false, false},
    {NL_NORM_BATCH, {3, 5, 5, 7, 0, 0, 1}, 0, {0, 1}, 0, true, false, false},
    {NL_NORM_BATCH, {2, 96, 8, 8, 0, 0, 1}, 0, {0, 1}, 0, true, false, false},
    {NL_NORM_BATCH, {3, 4, 9, 6, 0, 2, 1}, 0, {1000, 1}, 0, true, false, false},
    {NL_NORM_BATCH, {3, 4, 4, 6, 0, 2, 1}, 0, {0, 1}, 0, false, false, true},
    {NL_NORM_BATCH, {3, 4, 4, 6, 0, 0, 1}, 0, {0, 1}, 0, false, false, true},
    {NL_NORM_BATCH, {3, 4, 4, 6, 0, 0, 1}, 0, {0, 1}, 0, true, false, true},
};

Test(k_norm_batch, every_stage) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_stage(&cases[i]);
}

/* A batch size may make a tensor that the kernels cannot count: every launcher says so, and looks
 * at nothing. */
Test(k_norm_batch, a_tensor_that_cannot_be_counted_is_refused) {
    enum { TOO_LARGE = 1 }; /* cudaErrorInvalidValue */
    float *x = device_copy(NULL, 64, sizeof *x, 0);
    void *v = x;
    uint32_t *u = v;
    const nl_k_shape s = {.n = NL_K_MOST_VALUES / (96 * 784) + 1, 96, 28, 28, .groups = 1};
    const nl_k_shape all = {.n = INT32_MAX, INT32_MAX, 4096, 4096, .groups = 1};
    const nl_k_shape *const shapes[] = {&s, &all};
    for (int i = 0; i < 2; i++) {
        const nl_k_shape *t = shapes[i];
        const nl_k_stage k = {.shape = *t,
                              .centres = 1,
                              .z = x,
                              .bias = x,
                              .gamma = x,
                              .beta = x,
                              .running_mean = x,
                              .running_var = x,
                              .y = x,
                              .saved = v,
                              .fresh_mean = x,
                              .fresh_var = x,
                              .dy = x,
                              .dz = x,
                              .dgamma = x,
                              .dbeta = x,
                              .dbias = x,
                              .scratch = v,
                              .counters = u};
        const nl_k_head head = {.n = t->n,
                                .batch = t->n,
                                .classes = 10,
                                .hw = 7842,
                                .z = x,
                                .bias = x,
                                .labels = v,
                                .dz = x,
                                .dbias = x,
                                .records = v,
                                .state = v,
                                .scratch = v,
                                .counters = u};
        const int codes[] = {nl_k_norm_batch_forward(&k, NULL),  nl_k_norm_batch_eval(&k, NULL),
                             nl_k_norm_batch_backward(&k, NULL), nl_k_norm_group_forward(&k, NULL),
                             nl_k_norm_group_backward(&k, NULL), nl_k_norm_none_forward(&k, NULL),
                             nl_k_norm_none_backward(&k, NULL),  nl_k_softmax_loss(&head, NULL)};
        for (size_t j = 0; j < sizeof codes / sizeof *codes; j++)
            cr_assert(codes[j] == TOO_LARGE, "launcher %d: %d", (int)j, codes[j]);
    }
    device_free(x);
}
