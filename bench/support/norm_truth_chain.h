/* Norm, max pool, ReLU and back by the plain operations. Included twice by norm_truth.c, with REAL,
 * OP and CHAIN set: no include guard. The pool comes before the ReLU: the values are the same, and
 * where a window's gradients differ they are zero. */

typedef struct CHAIN(results) {
    REAL *pooled; /* before the ReLU */
    REAL *y, *dx, *dgamma, *dbeta;
} CHAIN(results);

static REAL *CHAIN(of)(const float *x, long count) {
    REAL *to = nl_alloc((size_t)count, sizeof *to, "reference");
    for (long i = 0; x && i < count; i++) to[i] = (REAL)x[i];
    return to;
}

/* gate: dy is zeroed where a result before the ReLU is so close to 0 that rounding decides. */
static CHAIN(results) CHAIN(run)(const norm_host *h, float *gate) {
    const norm_case *s = &h->shape;
    const nl_norm_shape norm = {s->n, s->c, s->h * s->w, s->groups};
    const nl_pool_shape pool = {s->n, s->c, s->h, s->w, s->pool};
    const int pairs = s->n * s->c;
    REAL *x = CHAIN(of)(h->x, h->in), *u = CHAIN(of)(NULL, h->in);
    REAL *gamma = CHAIN(of)(h->gamma, s->c), *beta = CHAIN(of)(h->beta, s->c);
    REAL *mean = CHAIN(of)(NULL, pairs), *rstd = CHAIN(of)(NULL, pairs);
    REAL *running = CHAIN(of)(NULL, 2L * s->c);
    int32_t *arg = nl_alloc((size_t)h->out, sizeof *arg, "reference");
    CHAIN(results)
    r = {CHAIN(of)(NULL, h->out), CHAIN(of)(NULL, h->out), CHAIN(of)(NULL, h->in),
         CHAIN(of)(NULL, s->c), CHAIN(of)(NULL, s->c)};
    if (s->groups)
        OP(norm_group_forward)(u, mean, rstd, x, gamma, beta, norm, 1e-5);
    else
        OP(norm_batch_forward)
    (u, mean, rstd, running, running + s->c, x, gamma, beta, norm, 1e-5, 0.1);
    OP(pool_max_forward)(r.pooled, arg, u, pool);
    OP(relu_forward)(r.y, r.pooled, h->out);
    for (long i = 0; gate && i < h->out; i++)
        if (fabs((double)r.pooled[i]) < 1e-4) gate[i] = 0;
    REAL *dy = CHAIN(of)(h->dy, h->out);
    OP(relu_backward)(dy, dy, r.y, h->out);
    OP(pool_max_backward)(u, dy, arg, pool);
    if (s->groups)
        OP(norm_group_backward)(r.dx, r.dgamma, r.dbeta, u, x, mean, rstd, gamma, norm);
    else
        OP(norm_batch_backward)(r.dx, r.dgamma, r.dbeta, u, x, mean, rstd, gamma, norm);
    void *all[] = {x, u, gamma, beta, mean, rstd, running, arg, dy};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    return r;
}

#undef REAL
#undef OP
#undef CHAIN
