/* Stages without a norm by the kernels: bias, ReLU, max pool, dropout, both ways. */
#include "support/compare.h" // cr_assert
#include "support_device.h"
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
    {NL_NORM_NONE, {3, 5, 14, 14, 0, 2, 1}, 0.3, {0, 1}, 0, false, false, false},
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

/* At y = 0 the ReLU's gradient is 0, as on the CPU; the stages above keep away from it. */
Test(k_norm_none, no_gradient_passes_the_relu_at_zero) {
    enum { SIDE = 4, COUNT = SIDE * SIDE };
    for (int pool = 0; pool <= 2; pool += 2) {
        float z[COUNT], dy[COUNT], dz[COUNT];
        for (int i = 0; i < COUNT; i++) z[i] = i % 3 == 1 ? -1.0F : 0.0F, dy[i] = 1;
        const nl_k_shape shape = {.n = 1, .c = 1, .h = SIDE, .w = SIDE, .pool = pool, .relu = 1};
        float *in = device_copy(z, COUNT, sizeof *z, 0), *up = device_copy(dy, COUNT, sizeof *z, 0);
        float *out = device_copy(NULL, COUNT, sizeof *z, 0);
        uint32_t *counters = counters_make(nl_k_counters(&shape));
        const nl_k_stage s = {.shape = shape,
                              .z = in,
                              .dy = up,
                              .dz = out,
                              .scratch = scratch_make(nl_k_scratch_size(&shape)),
                              .counters = counters};
        cr_assert(nl_k_norm_none_backward(&s, NULL) == 0);
        device_read(dz, out, COUNT, sizeof *dz);
        for (int i = 0; i < COUNT; i++)
            cr_assert(dz[i] == 0, "pool %d: dz[%d] is %g", pool, i, dz[i]);
        device_free(in), device_free(up), device_free(out), device_free(s.scratch);
        counters_free(counters, nl_k_counters(&shape));
    }
}
