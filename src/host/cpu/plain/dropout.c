/* Dropout (Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, 2014, section 4), inverted:
 * with r = Bernoulli(1 - p),
 *     y = r * x / (1 - p)
 * so that the expectation of y is x and evaluation does nothing. The network takes one mask r as a
 * constant, so the gradient is the same map: dx = r * dy / (1 - p). The mask is drawn by image
 * number, not by slot (rng.h): it is recomputed wherever it is needed and never stored. */
#include "normlab/rng.h" // nl_dropout_words, nl_dropout_threshold
#include "real.h"

void OP(dropout)(real *y, const real *x, nl_dropout_spec d) {
    const uint32_t threshold = nl_dropout_threshold(d.p);
    const real scale = (real)(1 / (1 - d.p));
    for (int n = 0; n < d.n; n++) {
        const int64_t at = n * d.count;
        for (int64_t i = 0; i < d.count; i += 4) {
            const nl_philox words =
                nl_dropout_words(d.seed, d.epoch, d.images[n], d.layer, (uint32_t)(i / 4));
            for (int64_t j = 0; j < 4 && i + j < d.count; j++)
                y[at + i + j] = words.v[j] >= threshold ? x[at + i + j] * scale : 0;
        }
    }
}
