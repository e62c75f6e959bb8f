/* Part of first_layers.c, included once for each precision: with `real`, OP(name) for the plain
 * operation of that precision, and OWN(name) for a function here. */
static real *OWN(numbers)(int64_t count) {
    return nl_alloc((size_t)count, sizeof(real), "plain");
}

static void OWN(give)(double *to, real *from, int64_t count) {
    for (int64_t i = 0; i < count; i++) to[i] = (double)from[i];
    free(from);
}

void OWN(run)(outputs *r, const problem *p) {
    const int64_t size = p->out_count[U], o = p->one.o;
    const nl_norm_shape s = {p->one.n, p->one.o, p->two.h * p->two.w, p->groups};
    real *in[INPUTS], *z = OWN(numbers)(size), *u = OWN(numbers)(size), *y = OWN(numbers)(size);
    for (int i = 0; i < INPUTS; i++) {
        in[i] = OWN(numbers)(p->in_count[i]);
        for (int64_t k = 0; k < p->in_count[i]; k++) in[i][k] = (real)p->in[i][k];
    }
    real *mean = OWN(numbers)(s.n * o), *rstd = OWN(numbers)(s.n * o);
    real *running[2] = {OWN(numbers)(o), OWN(numbers)(o)};
    real *z2 = OWN(numbers)(p->out_count[Z2]), *dw2 = OWN(numbers)(p->out_count[DW2]);
    real *db2 = OWN(numbers)(p->two.o), *g = OWN(numbers)(size), *dz = OWN(numbers)(size);
    real *dw1 = OWN(numbers)(p->out_count[DW1]), *db1 = OWN(numbers)(o);
    real *dgamma = OWN(numbers)(o), *dbeta = OWN(numbers)(o);
    OP(conv_forward)(z, in[X], in[W1], in[B1], p->one);
    if (!p->norm)
        memcpy(u, z, sizeof *u * (size_t)size);
    else if (p->norm->sets == NL_SETS_BATCH)
        OP(norm_batch_forward)
    (u, mean, rstd, running[0], running[1], z, in[GAMMA], in[BETA], s, EPS, 1);
    else(p->norm->centres ? OP(norm_group_forward)
                          : OP(norm_rms_forward))(u, mean, rstd, z, in[GAMMA], in[BETA], s, EPS);
    memcpy(y, u, sizeof *y * (size_t)size);
    if (p->relu) OP(relu_forward)(y, u, size);
    OP(conv_forward)(z2, y, in[W2], in[B2], p->two);
    OP(conv_backward_filter)(dw2, db2, in[DZ2], y, p->two);
    OP(conv_backward_data)(g, in[DZ2], in[W2], p->two);
    if (p->relu) OP(relu_backward)(g, g, y, size);
    if (!p->norm)
        memcpy(dz, g, sizeof *dz * (size_t)size);
    else if (p->norm->sets == NL_SETS_BATCH)
        OP(norm_batch_backward)(dz, dgamma, dbeta, g, z, mean, rstd, in[GAMMA], s);
    else
        (p->norm->centres ? OP(norm_group_backward) : OP(norm_rms_backward))(
            dz, dgamma, dbeta, g, z, mean, rstd, in[GAMMA], s);
    OP(conv_backward_filter)(dw1, db1, dz, in[X], p->one);
    real *const out[OUTPUTS] = {z2, dw1, db1, dgamma, dbeta, dw2, running[0], running[1], u, dz};
    for (int i = 0; i < OUTPUTS; i++) OWN(give)(r->of[i], out[i], p->out_count[i]);
    void *rest[] = {z, y, g, mean, rstd, db2};
    for (int i = 0; i < COUNT(rest); i++) free(rest[i]);
    for (int i = 0; i < INPUTS; i++) free(in[i]);
}
