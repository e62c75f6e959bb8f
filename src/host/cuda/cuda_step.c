/* One step of training or evaluation: the launches in their order.
 *
 * Backward, for each block from the last: the gradient of its output becomes dz, and with it those
 * of bias, gamma and beta; dz gives the gradient of the block's input, which the next launch needs,
 * and that of the filter, which nobody needs before the update: it may go to the branch, a second
 * stream that the first one waits for at the end. In a captured graph the two are parallel
 * branches.
 */
#include "cuda_net.h"

#include <assert.h> // static_assert

#include "cuda/runtime/device.h" // nl_cuda_check
#include "normlab/rng.h"         // nl_dropout_threshold

/* What one step's launches share; the first failure stops the rest. */
typedef struct step {
    nl_cuda_net *net;
    const nl_cuda_form *form;
    const nl_cuda_source *source;
    bool train;
    nl_error *err;
    int code;
} step;

static void launched(step *s, int status, const char *what) {
    if (!s->code) s->code = nl_cuda_check((cudaError_t)status, what, s->err);
}

/* A parameter or its gradient; NULL where the layer has none. */
static float *at(float *arena, const step *s, int tensor) {
    return tensor < 0 ? NULL : arena + s->net->model->tensors[tensor].offset;
}

static const float *param(const step *s, int tensor) {
    return at(s->net->arenas.params, s, tensor);
}

static float *grad(const step *s, int tensor) {
    return at(s->net->grads, s, tensor);
}

static nl_k_shape shape_of(const step *s, const nl_cuda_block *b) {
    nl_k_shape shape = b->shape;
    shape.n = s->form->n;
    return shape;
}

/* NULL where the block has no dropout, or in evaluation. */
static const nl_k_dropout *dropout_of(nl_k_dropout *drop, const step *s, const nl_cuda_block *b) {
    const double p = s->net->model->dropout;
    if (!s->train || !b->pool || !b->pool->dropout || p == 0) return NULL;
    *drop = (nl_k_dropout){.slots = s->net->slots,
                           .state = s->source->state,
                           .layer = (uint32_t)b->pool->dropout,
                           .threshold = nl_dropout_threshold(p),
                           .scale = nl_dropout_scale(p)};
    return drop;
}

/* ---- forward -----------------------------------------------------------------------------------
 */

static void gather(step *s) {
    nl_cuda_net *net = s->net;
    const nl_cuda_source *from = s->source;
    launched(s,
             nl_k_gather(net->x, net->slots, net->picked, from->images, from->labels, from->order,
                         from->rotations, net->table, from->state, s->form->n, net->batch,
                         net->stream),
             "gather");
}

static void convolve(step *s, int index, nl_conv_dir dir, int lane, float *out, const float *a,
                     const float *b) {
    if (s->code) return;
    nl_cuda_net *net = s->net;
    s->code = nl_convs_run(net->convs, s->form->plans[index][dir], lane,
                           lane ? net->branch : net->stream, out, a, b, s->err);
}

/* One block's launches; each of them returns what its launcher does. */
typedef struct place {
    const nl_cuda_block *block;
    nl_k_shape shape;
    const nl_k_dropout *drop; /* NULL: none */
    nl_k_dropout storage;
    const float *bias, *gamma, *beta; /* NULL: none */
} place;

static void place_init(place *p, const step *s, const nl_cuda_block *b) {
    const nl_layer *l = b->conv;
    *p = (place){.block = b, .shape = shape_of(s, b)};
    p->drop = dropout_of(&p->storage, s, b);
    if (!l) return;
    p->bias = param(s, l->bias);
    p->gamma = param(s, l->gamma);
    p->beta = param(s, l->beta);
}

typedef struct norm_over {
    int (*forward)(const step *s, const place *p);
    int (*backward)(const step *s, const place *p, const float *dy);
    int (*evaluate)(const step *s, const place *p);
} norm_over;

static int batch_forward(const step *s, const place *p) {
    const nl_cuda_net *net = s->net;
    const nl_cuda_block *b = p->block;
    return nl_k_norm_batch_forward(
        b->y, b->saved, at(net->fresh, s, b->conv->r_mean), at(net->fresh, s, b->conv->r_var), b->z,
        p->bias, p->gamma, p->beta, &p->shape, net->eps, p->drop, net->scratch, net->stream);
}

static int batch_evaluate(const step *s, const place *p) {
    const nl_cuda_net *net = s->net;
    const nl_cuda_block *b = p->block;
    return nl_k_norm_batch_eval(
        b->y, b->z, p->bias, p->gamma, p->beta, at(net->arenas.buffers, s, b->conv->r_mean),
        at(net->arenas.buffers, s, b->conv->r_var), &p->shape, net->eps, net->stream);
}

static int batch_backward(const step *s, const place *p, const float *dy) {
    const nl_cuda_net *net = s->net;
    const nl_cuda_block *b = p->block;
    const nl_layer *l = b->conv;
    return nl_k_norm_batch_backward(b->dz, grad(s, l->gamma), grad(s, l->beta), grad(s, l->bias),
                                    dy, b->z, p->bias, p->gamma, p->beta, b->saved, &p->shape,
                                    p->drop, net->scratch, net->stream);
}

static int group_forward(const step *s, const place *p) {
    const nl_cuda_net *net = s->net;
    const nl_cuda_block *b = p->block;
    return (b->conv->norm->centres ? nl_k_norm_group_forward : nl_k_norm_rms_forward)(
        b->y, b->saved, b->z, p->bias, p->gamma, p->beta, &p->shape, net->eps, p->drop,
        net->scratch, net->stream);
}

static int group_backward(const step *s, const place *p, const float *dy) {
    const nl_cuda_net *net = s->net;
    const nl_cuda_block *b = p->block;
    const nl_layer *l = b->conv;
    return (l->norm->centres ? nl_k_norm_group_backward : nl_k_norm_rms_backward)(
        b->dz, grad(s, l->gamma), grad(s, l->beta), grad(s, l->bias), dy, b->z, p->bias, p->gamma,
        p->beta, b->saved, &p->shape, p->drop, net->scratch, net->counters, net->stream);
}

static const norm_over norms[] = {
    [NL_SETS_BATCH] = {batch_forward, batch_backward, batch_evaluate},
    [NL_SETS_GROUPS] = {group_forward, group_backward, group_forward},
};
static_assert(sizeof norms / sizeof *norms == NL_SETS, "a row for each kind of sets");

static const norm_over *norm_of(const nl_layer *l) {
    return l && l->norm ? &norms[l->norm->sets] : NULL;
}

static void normalise(step *s, const nl_cuda_block *b) {
    const nl_layer *l = b->conv;
    const norm_over *over = norm_of(l);
    place p;
    place_init(&p, s, b);
    const int status =
        over ? (s->train ? over->forward : over->evaluate)(s, &p)
             : nl_k_relu_forward(b->y, l ? b->z : b->in, p.bias, &p.shape, p.drop, s->net->stream);
    launched(s, status, l ? l->label : b->pool->label);
}

static void forward(step *s) {
    gather(s);
    for (int i = 0; i < s->net->n_blocks && !s->code; i++) {
        const nl_cuda_block *b = &s->net->blocks[i];
        if (b->conv) {
            convolve(s, i, NL_CONV_FORWARD, 0, b->z, b->in, param(s, b->conv->weight));
        }
        if (!b->to_loss) normalise(s, b);
    }
}

/* Returns the gradient of the last block's y, or NULL where the loss wrote its dz. */
static const float *loss(step *s, const nl_k_outputs *out) {
    nl_cuda_net *net = s->net;
    const nl_cuda_block *last = &net->blocks[net->n_blocks - 1];
    const int pool = last->shape.pool ? last->shape.pool : 1;
    const int hw = last->shape.h / pool * (last->shape.w / pool);
    const bool direct = last->to_loss;
    float *dz = direct ? last->dz : net->dy;
    const float *bias = direct ? param(s, last->conv->bias) : NULL;
    float *dbias = direct ? grad(s, last->conv->bias) : NULL;
    const int status = nl_k_softmax_loss(
        s->train ? dz : NULL, s->train ? dbias : NULL, out, s->source->records, s->source->state,
        direct ? last->z : last->y, bias, net->picked, s->form->n, net->batch, NL_CLASSES, hw,
        net->scratch, net->counters, net->stream);
    launched(s, status, "loss");
    return direct ? NULL : net->dy;
}

/* ---- backward ----------------------------------------------------------------------------------
 */

static void denormalise(step *s, const nl_cuda_block *b, const float *dy) {
    nl_cuda_net *net = s->net;
    const nl_layer *l = b->conv;
    const norm_over *over = norm_of(l);
    place p;
    place_init(&p, s, b);
    const int status =
        over ? over->backward(s, &p, dy)
             : nl_k_relu_backward(b->dz, l ? grad(s, l->bias) : NULL, dy, l ? b->z : b->in, p.bias,
                                  &p.shape, p.drop, net->scratch, net->counters, net->stream);
    launched(s, status, l ? l->label : b->pool->label);
}

/* The filter's gradient; a branch has to know that dz is there. */
static void filter_gradient(step *s, int index) {
    nl_cuda_net *net = s->net;
    const nl_cuda_block *b = &net->blocks[index];
    if (net->fork) {
        launched(s, (int)cudaEventRecord(b->ready, net->stream), "event");
        launched(s, (int)cudaStreamWaitEvent(net->branch, b->ready, 0), "event");
    }
    convolve(s, index, NL_CONV_FILTER, net->fork, grad(s, b->conv->weight), b->dz, b->in);
}

static void backward(step *s, const float *dy) {
    nl_cuda_net *net = s->net;
    for (int i = net->n_blocks - 1; i >= 0 && !s->code; i--) {
        const nl_cuda_block *b = &net->blocks[i];
        if (!b->conv && i == 0) break; /* nothing in front of it learns */
        if (!b->to_loss) denormalise(s, b, dy);
        dy = b->dz;
        if (!b->conv) continue;
        filter_gradient(s, i);
        if (i == 0) break;
        convolve(s, i, NL_CONV_DATA, 0, net->dy, b->dz, param(s, b->conv->weight));
        dy = net->dy;
    }
    if (!net->fork) return;
    launched(s, (int)cudaEventRecord(net->joined, net->branch), "event");
    launched(s, (int)cudaStreamWaitEvent(net->stream, net->joined, 0), "event");
}

/* ---- steps -------------------------------------------------------------------------------------
 */

int nl_cuda_train_step(nl_cuda_net *net, const nl_cuda_form *form, const nl_cuda_source *source,
                       nl_error *err) {
    NL_ASSERT(form->train);
    step s = {.net = net, .form = form, .source = source, .train = true, .err = err};
    forward(&s);
    backward(&s, loss(&s, NULL));
    launched(&s,
             nl_k_update(&net->arenas, net->rule, source->records, source->state, net->scratch,
                         net->counters, net->stream),
             "update");
    return s.code;
}

int nl_cuda_eval_step(nl_cuda_net *net, const nl_cuda_form *form, const nl_cuda_source *source,
                      const nl_k_outputs *out, nl_error *err) {
    step s = {.net = net, .form = form, .source = source, .err = err};
    forward(&s);
    (void)loss(&s, out);
    return s.code;
}
