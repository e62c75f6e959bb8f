/* Included twice by ops.h, with NL_REAL and NL_OP set: no include guard. Outputs first. Outputs
 * never overlap inputs unless it says so. Gradients are written, not added to. */

/* y = conv(x, w) + bias. */
void NL_OP(conv_forward)(NL_REAL *y /* (n,o,oh,ow) */, const NL_REAL *x /* (n,c,h,w) */,
                         const NL_REAL *w /* (o,c,k,k) */, const NL_REAL *bias /* (o) */,
                         nl_conv_shape s);
void NL_OP(conv_backward_data)(NL_REAL *dx, const NL_REAL *dy, const NL_REAL *w, nl_conv_shape s);
void NL_OP(conv_backward_filter)(NL_REAL *dw, NL_REAL *dbias, const NL_REAL *dy, const NL_REAL *x,
                                 nl_conv_shape s);

/* Batch norm (Ioffe, Szegedy 2015, algorithm 1): y = gamma (x - mean) rstd + beta per channel, rstd
 * = 1 / sqrt(var + eps), biased variance. Running values: r = (1 - momentum) r + momentum *
 * batch's, the running variance with the unbiased one. A constant channel gives exactly beta. */
void NL_OP(norm_batch_forward)(NL_REAL *y, NL_REAL *mean /* (c) */, NL_REAL *rstd /* (c) */,
                               NL_REAL *running_mean /* (c), updated */,
                               NL_REAL *running_var /* (c), updated */,
                               const NL_REAL *x /* (n,c,hw) */, const NL_REAL *gamma /* (c) */,
                               const NL_REAL *beta /* (c) */, nl_norm_shape s, double eps,
                               double momentum);
void NL_OP(norm_batch_eval)(NL_REAL *y, const NL_REAL *x, const NL_REAL *gamma, const NL_REAL *beta,
                            const NL_REAL *running_mean, const NL_REAL *running_var,
                            nl_norm_shape s, double eps);
void NL_OP(norm_batch_backward)(NL_REAL *dx, NL_REAL *dgamma, NL_REAL *dbeta, const NL_REAL *dy,
                                const NL_REAL *x, const NL_REAL *mean, const NL_REAL *rstd,
                                const NL_REAL *gamma, nl_norm_shape s);

/* Group norm (Wu, He 2018, equations 1, 2, 7); one group: layer norm over (c, h, w) of an image; c
 * groups: instance norm. gamma and beta per channel. */
void NL_OP(norm_group_forward)(NL_REAL *y, NL_REAL *mean /* (n,groups) */,
                               NL_REAL *rstd /* (n,groups) */, const NL_REAL *x /* (n,c,hw) */,
                               const NL_REAL *gamma, const NL_REAL *beta, nl_norm_shape s,
                               double eps);
void NL_OP(norm_group_backward)(NL_REAL *dx, NL_REAL *dgamma, NL_REAL *dbeta, const NL_REAL *dy,
                                const NL_REAL *x, const NL_REAL *mean, const NL_REAL *rstd,
                                const NL_REAL *gamma, nl_norm_shape s);

/* The same about zero: without centring, mean is 0 and rstd is 1 / sqrt(mean(x^2) + eps). */
void NL_OP(norm_rms_forward)(NL_REAL *y, NL_REAL *mean /* (n,groups) */,
                             NL_REAL *rstd /* (n,groups) */, const NL_REAL *x /* (n,c,hw) */,
                             const NL_REAL *gamma, const NL_REAL *beta, nl_norm_shape s,
                             double eps);
void NL_OP(norm_rms_backward)(NL_REAL *dx, NL_REAL *dgamma, NL_REAL *dbeta, const NL_REAL *dy,
                              const NL_REAL *x, const NL_REAL *mean, const NL_REAL *rstd,
                              const NL_REAL *gamma, nl_norm_shape s);

/* y = x < 0 ? 0 : x, in place allowed; dx = y <= 0 ? 0 : dy (NaN passes both). */
void NL_OP(relu_forward)(NL_REAL *y, const NL_REAL *x, int64_t count);
void NL_OP(relu_backward)(NL_REAL *dx, const NL_REAL *dy, const NL_REAL *y, int64_t count);

/* arg: index within the image's channel plane of the first largest value; a NaN counts as largest.
 */
void NL_OP(pool_max_forward)(NL_REAL *y, int32_t *arg /* like y */, const NL_REAL *x,
                             nl_pool_shape s);
void NL_OP(pool_max_backward)(NL_REAL *dx, const NL_REAL *dy, const int32_t *arg, nl_pool_shape s);

/* y = kept ? x * scale : 0, in place allowed; the gradient is the same map on dy. NaN passes where
 * kept. */
void NL_OP(dropout)(NL_REAL *y, const NL_REAL *x, nl_dropout_spec d);

/* Mean over hw. */
void NL_OP(pool_avg_forward)(NL_REAL *y /* (n,c) */, const NL_REAL *x /* (n,c,hw) */, int n, int c,
                             int hw);
void NL_OP(pool_avg_backward)(NL_REAL *dx, const NL_REAL *dy, int n, int c, int hw);

/* Cross-entropy on logits. probs and dlogits may be NULL; dlogits is of the batch's mean. Ties: the
 * first largest logit is the prediction. Returns the sum of the losses; *hits counts right
 * predictions. */
double NL_OP(softmax_loss)(NL_REAL *probs /* (n,classes) */, NL_REAL *dlogits /* (n,classes) */,
                           uint8_t *predictions /* (n) or NULL */, uint32_t *hits,
                           const NL_REAL *logits /* (n,classes) */, const uint8_t *labels /* (n) */,
                           int n, int classes);

/* g = dw + l1 sign(w) + weight_decay w; v = momentum v + g; w -= lr (nesterov ? g + momentum v :
 * v). */
void NL_OP(sgd_update)(NL_REAL *w, NL_REAL *v, const NL_REAL *dw, int64_t count, nl_sgd s);

/* sum |w|, summed in double. */
double NL_OP(sum_abs)(const NL_REAL *w, int64_t count);

/* x[i] = table of the rotated pixels of image order[i]; outside: that of byte 0. rotations by image
 * number, or NULL. */
void NL_OP(gather)(NL_REAL *x /* (n,c,h,w) */, const uint8_t *images /* (count,c,h,w) */,
                   nl_image_shape shape, const uint32_t *order, const nl_rotation *rotations,
                   const nl_pixel_table *table, int n);
