/* The stage by the plain operations. Included twice by support_stage.c, with REAL, PLAIN and OPS
 * set: no include guard. Results are widened to double. */

static REAL *PLAIN(narrowed)(const double *x, int64_t count) {
    REAL *y = malloc((size_t)count * sizeof *y + 1);
    for (int64_t i = 0; i < count; i++) y[i] = (REAL)x[i];
    return y;
}

static REAL *PLAIN(buffer)(int64_t count) {
    return calloc((size_t)count + 1, sizeof(REAL));
}

static void PLAIN(widen)(double *to, const REAL *from, int64_t count) {
    for (int64_t i = 0; i < count; i++) to[i] = (double)from[i];
}

/* One run; u is what comes out of the norm. */
typedef struct PLAIN(plain_run) {
    REAL *x, *u, *mean, *rstd, *gamma, *beta, *r_mean, *r_var;
} PLAIN(plain_run);

static PLAIN(plain_run) PLAIN(norm_forward)(const stage *t) {
    const int c = t->norm.c;
    PLAIN(plain_run)
    r = {PLAIN(narrowed)(t->z, t->in),  PLAIN(buffer)(t->in),         PLAIN(buffer)(t->pairs),
         PLAIN(buffer)(t->pairs),       PLAIN(narrowed)(t->gamma, c), PLAIN(narrowed)(t->beta, c),
         PLAIN(narrowed)(t->r_mean, c), PLAIN(narrowed)(t->r_var, c)};
    for (int64_t i = 0; i < t->in; i++) r.x[i] += (REAL)t->bias[i / t->norm.hw % c];
    if (t->c->norm == STAGE_PLAIN) {
        memcpy(r.u, r.x, (size_t)t->in * sizeof(REAL));
    } else if (t->c->eval) {
        OPS(norm_batch_eval)(r.u, r.x, r.gamma, r.beta, r.r_mean, r.r_var, t->norm, NORM_EPS);
    } else if (t->c->norm == STAGE_BATCH) {
        OPS(norm_batch_forward)
        (r.u, r.mean, r.rstd, r.r_mean, r.r_var, r.x, r.gamma, r.beta, t->norm, NORM_EPS, 1);
    } else {
        (t->c->norm == STAGE_RMS ? OPS(norm_rms_forward) : OPS(norm_group_forward))(
            r.u, r.mean, r.rstd, r.x, r.gamma, r.beta, t->norm, NORM_EPS);
    }
    return r;
}

static void PLAIN(run_free)(PLAIN(plain_run) * r) {
    REAL *all[] = {r->x, r->u, r->mean, r->rstd, r->gamma, r->beta, r->r_mean, r->r_var};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static nl_dropout_spec PLAIN(dropout_of)(const stage *t) {
    return (nl_dropout_spec){t->c->drop,        SEED, EPOCH, LAYER, t->slots, t->norm.n,
                             t->out / t->norm.n};
}

static void PLAIN(norm_backward)(const stage *t, results *to, const PLAIN(plain_run) * r, REAL *g) {
    const int c = t->norm.c;
    REAL *dz = PLAIN(buffer)(t->in), *dgamma = PLAIN(buffer)(c), *dbeta = PLAIN(buffer)(c);
    REAL *dbias = PLAIN(buffer)(c);
    if (t->c->norm == STAGE_PLAIN) memcpy(dz, g, (size_t)t->in * sizeof(REAL));
    if (t->c->norm == STAGE_BATCH)
        OPS(norm_batch_backward)(dz, dgamma, dbeta, g, r->x, r->mean, r->rstd, r->gamma, t->norm);
    if (t->c->norm == STAGE_GROUP)
        OPS(norm_group_backward)(dz, dgamma, dbeta, g, r->x, r->mean, r->rstd, r->gamma, t->norm);
    if (t->c->norm == STAGE_RMS)
        OPS(norm_rms_backward)(dz, dgamma, dbeta, g, r->x, r->mean, r->rstd, r->gamma, t->norm);
    for (int64_t i = 0; i < t->in; i++) dbias[i / t->norm.hw % c] += dz[i];
    PLAIN(widen)(to->dz, dz, t->in);
    PLAIN(widen)(to->dgamma, dgamma, c);
    PLAIN(widen)(to->dbeta, dbeta, c);
    PLAIN(widen)(to->dbias, dbias, c);
    free(dz), free(dgamma), free(dbeta), free(dbias);
}

/* The whole stage, both ways. */
static void PLAIN(plain)(const stage *t, results *to) {
    PLAIN(plain_run) r = PLAIN(norm_forward)(t);
    REAL *v = PLAIN(buffer)(t->in), *y = PLAIN(buffer)(t->out), *g = PLAIN(narrowed)(t->dy, t->out);
    REAL *up = PLAIN(buffer)(t->in);
    int32_t *arg = malloc((size_t)t->out * sizeof *arg);
    memcpy(v, r.u, (size_t)t->in * sizeof *v);
    if (t->c->s.relu) OPS(relu_forward)(v, r.u, t->in);
    OPS(pool_max_forward)(y, arg, v, t->pool);
    if (t->c->drop > 0) OPS(dropout)(y, y, PLAIN(dropout_of)(t));
    PLAIN(widen)(to->y, y, t->out);
    if (t->c->drop > 0) OPS(dropout)(g, g, PLAIN(dropout_of)(t));
    OPS(pool_max_backward)(up, g, arg, t->pool);
    if (t->c->s.relu) OPS(relu_backward)(up, up, v, t->in);
    if (!t->c->eval) PLAIN(norm_backward)(t, to, &r, up);
    PLAIN(widen)(to->fresh_mean, r.r_mean, t->norm.c);
    PLAIN(widen)(to->fresh_var, r.r_var, t->norm.c);
    free(v), free(y), free(g), free(up), free(arg);
    PLAIN(run_free)(&r);
}

/* What comes out of the norm, before the ReLU. */
__attribute__((unused)) static void PLAIN(normed)(const stage *t, double *u) {
    PLAIN(plain_run) r = PLAIN(norm_forward)(t);
    PLAIN(widen)(u, r.u, t->in);
    PLAIN(run_free)(&r);
}
