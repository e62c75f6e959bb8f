/* The CPU engine's program: which operation follows which, what each one reads and writes, and from
 * that how long each tensor lives and where it lies. See net_fast.h. */
#include <string.h> // memset

#include "net_fast.h"
#include "normlab/error.h" // NL_ASSERT

bool nl_cuts(const nl_layer *l) {
    return l->norm && nl_norms_fast[l->norm->sets].cuts;
}

bool nl_first_fits(const nl_model *model) {
    if (model->n_layers < 2) return false;
    const nl_layer *a = &model->layers[0], *b = &model->layers[1];
    if (a->kind != NL_LAYER_CONV || b->kind != NL_LAYER_CONV) return false;
    const int taps = a->kernel * a->kernel * a->in_c;
    return a->in_c <= NL_PATCH_CHANNELS && taps <= NL_PATCH_TAPS && a->out_h * a->out_w >= taps &&
           b->kernel == 1 && b->pad == 0;
}

/* ---- What an operation reads and writes ---- */

/* Whether the first layer's output has to cross a cut on its way back. */
static bool first_crosses(const nl_model *model) {
    for (int i = 1; i < model->n_layers; i++)
        if (nl_cuts(&model->layers[i])) return true;
    return false;
}

static void state_uses(nl_program_step *s, const nl_model *model, bool training, bool dropout) {
    const nl_layer *l = &model->layers[s->layer];
    const uint32_t z = NL_HERE(l->norm ? NL_Z : NL_Y);
    const bool drops = training && l->dropout && dropout;
    const uint32_t choice = NL_HERE(NL_ARG) | (drops ? NL_HERE(NL_FACTOR) : 0);
    const uint32_t own = first_crosses(model) ? 0 : NL_BELOW(NL_Y); /* else it is made again */
    switch (s->op) {
    case NL_OP_INPUT:
        s->writes = NL_BELOW(NL_Y);
        break;
    case NL_OP_CONV:
        s->reads = NL_BELOW(NL_Y);
        s->writes = z;
        break;
    case NL_OP_APPLY:
        s->reads = z;
        s->writes = NL_HERE(NL_Y);
        break;
    case NL_OP_POOL:
        s->reads = NL_BELOW(NL_Y);
        s->writes = NL_HERE(NL_Y) | choice;
        break;
    case NL_OP_LOSS:
        s->reads = NL_BELOW(NL_Y);
        s->writes = training ? NL_BELOW(NL_G) : 0;
        break;
    case NL_OP_POOL_BACK:
        s->reads = NL_HERE(NL_G) | choice;
        s->writes = NL_BELOW(NL_G);
        break;
    case NL_OP_CELLS_BACK:
        s->reads = NL_HERE(NL_G) | NL_HERE(NL_Z);
        break;
    case NL_OP_DZ_BACK:
        s->reads = NL_HERE(NL_G) | z;
        s->writes = NL_HERE(NL_DZ);
        break;
    case NL_OP_FILTER_BACK:
        s->reads = NL_HERE(NL_DZ) | NL_BELOW(NL_Y);
        break;
    case NL_OP_DATA_BACK:
        s->reads = NL_HERE(NL_DZ);
        s->writes = NL_BELOW(NL_G);
        break;
    case NL_OP_MOMENTS:
        s->reads = NL_BELOW(NL_Y);
        break;
    case NL_OP_FIRST:
        s->reads = NL_UNDER(NL_Y);
        s->writes = z | (training ? own : 0);
        break;
    case NL_OP_FIRST_BACK:
        s->reads = NL_HERE(NL_DZ) | own | NL_UNDER(NL_Y);
        break;
    }
}

/* ---- Order ---- */

/* A program that grows. */
typedef struct list {
    const nl_model *model;
    nl_program_step *steps;
    int count;
    bool training, dropout, fuses_first;
} list;

static void add(list *p, nl_op op, int layer, bool pool_cells) {
    nl_program_step *s = &p->steps[p->count++];
    *s = (nl_program_step){.op = op, .layer = layer, .pool_cells = pool_cells};
    state_uses(s, p->model, p->training, p->dropout);
}

/* Batch norm's evaluation takes its running values, and no moments. */
static void add_moments(list *p) {
    const nl_layer *l = &p->model->layers[0];
    if (l->norm && (p->training || !nl_cuts(l))) add(p, NL_OP_MOMENTS, 0, nl_cuts(l));
}

static void add_forward(list *p) {
    add(p, NL_OP_INPUT, 0, false);
    if (p->fuses_first) add_moments(p);
    for (int i = p->fuses_first; i < p->model->n_layers; i++) {
        const nl_layer *l = &p->model->layers[i];
        const bool first = p->fuses_first && i == 1;
        switch (l->kind) {
        case NL_LAYER_CONV:
            add(p, first ? NL_OP_FIRST : NL_OP_CONV, i, nl_cuts(l) && p->training);
            if (l->norm || l->relu) add(p, NL_OP_APPLY, i, false);
            break;
        case NL_LAYER_MAX_POOL:
            add(p, NL_OP_POOL, i, false);
            break;
        case NL_LAYER_AVG_POOL:
            add(p, NL_OP_LOSS, i, false);
            break;
        }
    }
}

/* What gives layer i its output's gradient: the layer above. */
static void add_gradient(list *p, int i) {
    switch (p->model->layers[i + 1].kind) {
    case NL_LAYER_CONV:
        add(p, NL_OP_DATA_BACK, i + 1, false);
        break;
    case NL_LAYER_MAX_POOL:
        add(p, NL_OP_POOL_BACK, i + 1, false);
        break;
    case NL_LAYER_AVG_POOL: /* the loss has written it already */
        break;
    }
}

/* Down to the first convolution: what lies below has no parameters. Behind a batch norm's cut g of
 * its layer and y of the layer below are made again, which costs less than keeping them. */
static void add_backward(list *p) {
    int lowest = p->fuses_first;
    while (p->model->layers[lowest].kind != NL_LAYER_CONV) lowest++;
    for (int i = p->model->n_layers - 2; i >= lowest; i--) {
        const nl_layer *l = &p->model->layers[i];
        add_gradient(p, i);
        if (l->kind != NL_LAYER_CONV) continue;
        if (l->norm) add(p, NL_OP_CELLS_BACK, i, nl_cuts(l));
        if (nl_cuts(l)) add_gradient(p, i);
        const bool first = p->fuses_first && i == 1; /* keeps what it needs */
        if (i > 0 && nl_cuts(l - 1) && !first) add(p, NL_OP_APPLY, i - 1, false);
        add(p, NL_OP_DZ_BACK, i, false);
        add(p, first ? NL_OP_FIRST_BACK : NL_OP_FILTER_BACK, i, false);
    }
}

/* ---- Lifetimes ---- */

nl_place *nl_place_of(nl_engine *e, int layer, nl_value value) {
    NL_ASSERT(layer >= 0 || value == NL_Y);
    return layer < 0 ? &e->input : &e->layers[layer].places[value];
}

/* A tensor is read in a segment, which was written (last) in `written`; -1: never, or it was
 * overwritten. */
typedef void on_read(nl_place *place, int written, int segment);

static void note_crossing(nl_place *place, int written, int segment) {
    if (written != segment) place->kept = true;
}

static void demand_life(nl_place *place, int written, int segment) {
    NL_ASSERT(written >= 0 && (place->kept || written == segment));
}

static void follow(nl_engine *e, const nl_program_step *steps, int count, on_read *read) {
    int written[NL_MAX_LAYERS + 1][NL_VALUES], segment = 0;
    memset(written, -1, sizeof written);
    for (const nl_program_step *s = steps; s < steps + count; s++) {
        for (int bit = 0; bit < 3 * NL_VALUES; bit++) {
            const int layer = s->layer - bit / NL_VALUES, value = bit % NL_VALUES;
            if (s->reads >> bit & 1)
                read(nl_place_of(e, layer, (nl_value)value), written[layer + 1][value], segment);
        }
        for (int bit = 0; bit < 3 * NL_VALUES; bit++) {
            if (!(s->writes >> bit & 1)) continue;
            const int layer = s->layer - bit / NL_VALUES, value = bit % NL_VALUES;
            if (layer >= 0 && e->layers[layer].in_place) {
                if (value == NL_G) written[layer + 1][NL_DZ] = -1;
                if (value == NL_DZ) written[layer + 1][NL_G] = -1;
            }
            written[layer + 1][value] = segment;
        }
        segment += s->pool_cells;
    }
}

/* dz takes the place of g, but where dz alone has to be kept: writing g there as well would only
 * drive other tensors out of the cache. Without a norm dz is made in place. */
static void share_gradients(nl_layer_fast *f) {
    nl_place *g = &f->places[NL_G], *dz = &f->places[NL_DZ];
    f->in_place = !f->layer->norm || g->kept || !dz->kept;
    if (f->in_place) g->kept = dz->kept = g->kept || dz->kept;
}

void nl_program_fast_init(nl_engine *e) {
    e->fuses_first = nl_first_fits(e->model);
    list forward = {.model = e->model, .steps = e->forward, .fuses_first = e->fuses_first};
    add_forward(&forward);
    e->n_forward = forward.count;
    list train = {.model = e->model,
                  .steps = e->train,
                  .training = true,
                  .dropout = e->spec.config->model.dropout > 0,
                  .fuses_first = e->fuses_first};
    add_forward(&train);
    add_backward(&train);
    e->n_train = train.count;
    follow(e, e->train, e->n_train, note_crossing);
    for (int i = 0; i < e->model->n_layers; i++) share_gradients(&e->layers[i]);
    nl_program_fast_check(e);
}

void nl_program_fast_check(nl_engine *e) {
    follow(e, e->forward, e->n_forward, demand_life);
    follow(e, e->train, e->n_train, demand_life);
}
