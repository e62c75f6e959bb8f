/* One step of training or evaluation: the launches in their order.
 *
 * Backward, for each block from the last: the gradient of its output becomes dz, and with it those
 * of bias, gamma and beta; dz gives the gradient of the block's input, which the next launch needs,
 * and that of the filter, which nobody needs before the update: it may go to the branch, a second
 * stream that the first one waits for at the end. In a captured graph the two are parallel
 * branches.
 *
 * Where the first block goes by kernels of its own, these stand for both convolutions and all that
 * is between them.
 */
#include "cuda_net.h"

#include "cuda/runtime/device.h" // nl_cuda_check
#include "first_cuda.h"          // nl_cuda_first_of
#include "launchers.h"           // nl_launchers_of

/* What one step's launches share; the first failure stops the rest. */
typedef struct step {
    nl_cuda_net *net;
    const nl_cuda_form *form;
    const nl_cuda_source *source;
    bool train;
    bool forked; /* something is on the branch */
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

/* A block's stage in this step. */
static nl_k_stage stage_of(const step *s, const nl_cuda_block *b) {
    nl_k_stage stage = b->stage;
    stage.shape.n = s->form->n;
    stage.drop.state = s->source->state;
    if (!s->train) stage.drop.slots = NULL;
    return stage;
}

/* ---- forward --------------------------------------------------------------------------------- */

static void gather(step *s) {
    nl_cuda_net *net = s->net;
    const nl_cuda_source *from = s->source;
    const nl_k_input in = {.x = net->x,
                           .slots = net->slots,
                           .picked = net->picked,
                           .images = from->images,
                           .labels = from->labels,
                           .shape = net->model->picture.shape,
                           .order = from->order,
                           .rotations = from->rotations,
                           .table = net->table,
                           .state = from->state,
                           .n = s->form->n,
                           .batch = net->batch};
    launched(s, nl_k_gather(&in, net->stream), "gather");
}

static void convolve(step *s, int index, nl_conv_dir dir, int lane, float *out, const float *a,
                     const float *b) {
    if (s->code) return;
    nl_cuda_net *net = s->net;
    s->code = nl_convs_run(net->convs, s->form->plans[index][dir], lane, out, a, b, s->err);
}

static const nl_launchers *launchers_of(const nl_cuda_block *b) {
    return nl_launchers_of(b->conv ? b->conv->norm : NULL);
}

static const char *label_of(const nl_cuda_block *b) {
    return b->conv ? b->conv->label : b->pool->label;
}

static void normalise(step *s, const nl_cuda_block *b) {
    const nl_k_stage stage = stage_of(s, b);
    const nl_launchers *l = launchers_of(b);
    launched(s, (s->train ? l->forward : l->evaluate)(&stage, s->net->stream), label_of(b));
}

/* z of block 1. */
static void first_forward(step *s) {
    const nl_cuda_block *b = &s->net->blocks[0];
    const nl_k_stage stage = stage_of(s, b);
    const nl_k_first f = nl_cuda_first_of(s->net, &stage, s->train);
    if (f.sets != NL_K_SETS_NONE && !f.running)
        launched(s, nl_k_first_moments(&f, s->net->stream), label_of(b));
    launched(s, nl_k_first_forward(&f, s->net->stream), label_of(b));
}

static void forward(step *s) {
    gather(s);
    const bool own = s->net->own_first;
    if (own) first_forward(s);
    for (int i = own; i < s->net->n_blocks && !s->code; i++) {
        const nl_cuda_block *b = &s->net->blocks[i];
        if (b->conv && !(own && i == 1)) {
            convolve(s, i, NL_CONV_FORWARD, 0, b->z, b->in, param(s, b->conv->weight));
        }
        if (!b->to_loss) normalise(s, b);
    }
}

/* With the last block's bias where nothing else stands between the two. */
static void loss(step *s, const nl_k_outputs *out) {
    nl_cuda_net *net = s->net;
    const nl_cuda_block *last = &net->blocks[net->n_blocks - 1];
    const nl_k_stage *stage = &last->stage;
    const int pool = stage->shape.pool ? stage->shape.pool : 1;
    nl_k_head h = {.n = s->form->n,
                   .batch = net->batch,
                   .classes = net->model->picture.classes,
                   .hw = stage->shape.h / pool * (stage->shape.w / pool),
                   .z = last->to_loss ? stage->z : stage->y,
                   .bias = last->to_loss ? stage->bias : NULL,
                   .labels = net->picked,
                   .records = s->source->records,
                   .state = s->source->state,
                   .scratch = net->scratch,
                   .counters = net->counters};
    if (s->train) {
        h.dz = last->to_loss ? stage->dz : net->dy;
        h.dbias = last->to_loss ? stage->dbias : NULL;
    } else {
        h.out = *out;
    }
    launched(s, nl_k_softmax_loss(&h, net->stream), "loss");
}

/* ---- backward -------------------------------------------------------------------------------- */

static void denormalise(step *s, const nl_cuda_block *b) {
    const nl_k_stage stage = stage_of(s, b);
    launched(s, launchers_of(b)->backward(&stage, s->net->stream), label_of(b));
}

/* The filter's gradient; a branch has to know that dz is there. */
static void filter_gradient(step *s, int index) {
    nl_cuda_net *net = s->net;
    const nl_cuda_block *b = &net->blocks[index];
    s->forked = s->forked || net->fork;
    if (net->fork) {
        launched(s, (int)cudaEventRecord(b->ready, net->stream), "event");
        launched(s, (int)cudaStreamWaitEvent(net->branch, b->ready, 0), "event");
    }
    convolve(s, index, NL_CONV_FILTER, net->fork, grad(s, b->conv->weight), b->stage.dz, b->in);
}

/* From dz of block 1. */
static void first_backward(step *s) {
    const nl_cuda_block *b = &s->net->blocks[0];
    const nl_k_stage stage = stage_of(s, b);
    const nl_k_first f = nl_cuda_first_of(s->net, &stage, true);
    launched(s, nl_k_first_backward(&f, s->net->stream), label_of(b));
    launched(s, nl_k_first_gradient(&f, s->net->stream), label_of(b));
}

static void backward(step *s) {
    nl_cuda_net *net = s->net;
    for (int i = net->n_blocks - 1; i >= 0 && !s->code; i--) {
        const nl_cuda_block *b = &net->blocks[i];
        if (!b->conv && i == 0) break; /* nothing in front of it learns */
        if (!b->to_loss) denormalise(s, b);
        if (!b->conv) continue;
        if (net->own_first && i == 1) {
            first_backward(s);
            break;
        }
        filter_gradient(s, i);
        if (i == 0) break;
        convolve(s, i, NL_CONV_DATA, 0, net->dy, b->stage.dz, param(s, b->conv->weight));
    }
    if (!s->forked) return;
    launched(s, (int)cudaEventRecord(net->joined, net->branch), "event");
    launched(s, (int)cudaStreamWaitEvent(net->stream, net->joined, 0), "event");
}

/* ---- steps ----------------------------------------------------------------------------------- */

int nl_cuda_train_step(nl_cuda_net *net, const nl_cuda_form *form, const nl_cuda_source *source,
                       nl_error *err) {
    NL_ASSERT(form->train);
    step s = {.net = net, .form = form, .source = source, .train = true, .err = err};
    forward(&s);
    loss(&s, NULL);
    backward(&s);
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
    loss(&s, out);
    return s.code;
}
