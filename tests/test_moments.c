/* The moments of a convolution's input patches, of images and of a batch, against their definition.
 */
#include <criterion/criterion.h>
#include <math.h>   // fabs
#include <stdlib.h> // free

#include "support/first_layers.h"

/* Pictures of several channels too. */
Test(moments, of_several_channels) {
    const nl_simd *simd = first_simd(NULL);
    for (int c = 1; c <= 3; c++) {
        nl_first_fast first;
        simd->first->init(&first, (nl_conv_shape){2, c, 11, 8, 4, 3, 1});
        const nl_patches p = first.patches;
        float x[2][11 * 8 * 3];
        static nl_patch_moments m[2], all;
        double *scratch = nl_alloc((size_t)simd->moments->scratch(&p), sizeof *scratch, "scratch");
        for (int i = 0; i < 2; i++) {
            for (int k = 0; k < 88 * c; k++)
                x[i][k] = 5 * (float)(i + k % c) + first_draw(k, 7 + i);
            simd->moments->take(&m[i], x[i], &p, scratch);
        }
        simd->moments->pool(&all, m, 2, &p);
        for (int t = 0; t < p.taps; t++)
            for (int u = 0; u < p.taps; u++) {
                double sum = 0, a = 0, b = 0;
                for (int q = 0; q < 2 * 88; q++) {
                    double v[2] = {0};
                    for (int k = 0; k < 2; k++) {
                        const int tap = k ? u : t, row = q % 88 / 8 + tap / c / 3 - 1;
                        const int column = q % 8 + tap / c % 3 - 1;
                        if (row >= 0 && row < 11 && column >= 0 && column < 8)
                            v[k] = (double)x[q / 88][(row * 8 + column) * c + tap % c];
                    }
                    sum += v[0] * v[1];
                    a += v[0];
                    b += v[1];
                }
                const double want = sum - a * b / 176, got = all.m[t * p.taps + u];
                cr_assert(fabs(got - want) <= 1e-9 * sum + 1e-9, "%d channels, %d, %d: %g, not %g",
                          c, t, u, got, want);
                cr_assert(fabs(all.centre[t % c] + all.mean[t] - a / 176) <= 1e-12 * fabs(a));
            }
        free(scratch);
        simd->first->free(&first);
    }
}
