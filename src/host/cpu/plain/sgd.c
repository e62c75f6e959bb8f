/* Stochastic gradient descent with momentum (Sutskever, Martens, Dahl, Hinton, On the importance of
 * initialization and momentum in deep learning, 2013, equations 1 to 4), with the learning rate
 * outside the velocity, and Nesterov's variant written at the point where the gradient was taken
 * (Bengio, Boulanger-Lewandowski, Pascanu, Advances in optimizing recurrent networks, 2012, 3.5):
 *
 *     g = dw + l1 * sign(w) + weight_decay * w
 *     v = momentum * v + g
 *     w = w - lr * v                    classical
 *     w = w - lr * (g + momentum * v)   Nesterov
 *
 * Weight decay is the gradient of weight_decay / 2 * sum w^2. l1 * sign(w) is the subgradient of
 * l1 * sum |w| that is 0 at 0: a weight at 0 (a beta at the start) is not pushed. */
#include "real.h"

static real sign(real w) {
    return (real)((w > 0) - (w < 0));
}

void OP(sgd_update)(real *w, real *v, const real *dw, int64_t count, nl_sgd s) {
    const real lr = (real)s.lr, momentum = (real)s.momentum;
    const real l1 = (real)s.l1, decay = (real)s.weight_decay;
    for (int64_t i = 0; i < count; i++) {
        const real g = dw[i] + l1 * sign(w[i]) + decay * w[i];
        v[i] = momentum * v[i] + g;
        w[i] -= lr * (s.nesterov ? g + momentum * v[i] : v[i]);
    }
}

double OP(sum_abs)(const real *w, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += w[i] < 0 ? -(double)w[i] : (double)w[i];
    return sum;
}
