/* Softmax and cross-entropy in one (Goodfellow, Bengio, Courville, Deep Learning, 2016, section
 * 6.2.2.3, equations 6.29 and 6.30): for logits z and label t
 *     p_i = exp(z_i) / sum_j exp(z_j),   loss = -log p_t = log sum_j exp(z_j) - z_t
 * Both are unchanged by adding a constant to all z: the largest is taken off first, so that exp
 * never overflows and one term of the sum is 1.
 *
 * Gradient: d loss / d z_i = p_i - [i = t], and 1/n of it for the mean over a batch of n.
 *
 * NaN passes: an exp of it makes the sum NaN; so does inf - inf where a logit has overflowed. */
#include <tgmath.h> // exp, log

#include "real.h"

static int first_largest(const real *z, int classes) {
    int best = 0;
    for (int i = 1; i < classes; i++)
        if (z[i] > z[best]) best = i;
    return best;
}

double OP(softmax_loss)(real *probs, real *dlogits, uint8_t *predictions, uint32_t *hits,
                        const real *logits, const uint8_t *labels, int n, int classes) {
    double loss = 0;
    *hits = 0;
    for (int64_t at = 0; at < n; at++) {
        const real *z = logits + at * classes;
        const int best = first_largest(z, classes), label = labels[at];
        real sum = 0;
        for (int i = 0; i < classes; i++) sum += exp(z[i] - z[best]);
        loss += (double)(log(sum) - (z[label] - z[best]));
        *hits += best == label;
        if (predictions) predictions[at] = (uint8_t)best;
        for (int i = 0; i < classes; i++) {
            const real p = exp(z[i] - z[best]) / sum;
            if (probs) probs[at * classes + i] = p;
            if (dlogits) dlogits[at * classes + i] = (p - (i == label ? 1 : 0)) / (real)n;
        }
    }
    return loss;
}
