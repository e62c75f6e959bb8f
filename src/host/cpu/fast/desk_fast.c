/* What the operations of the CPU engine's program share: how they get at an image's tensors. */
#include "normlab/error.h" // NL_ASSERT
#include "ops_fast.h"

static float *place_at(const nl_pass *p, const nl_desk *d, uint32_t tensor) {
    const int bit = __builtin_ctz(tensor), layer = d->now->layer - bit / NL_VALUES;
    const nl_place *place = nl_place_of(p->e, layer, (nl_value)(bit % NL_VALUES));
    return (place->kept ? d->kept : d->own) + place->at;
}

const float *nl_desk_in(const nl_pass *p, const nl_desk *d, uint32_t tensor) {
    NL_ASSERT(d->now->reads & tensor);
    return place_at(p, d, tensor);
}

float *nl_desk_out(const nl_pass *p, const nl_desk *d, uint32_t tensor) {
    NL_ASSERT(d->now->writes & tensor);
    return place_at(p, d, tensor);
}

void nl_op_cells(const nl_pass *p, const nl_desk *d, const float *z) {
    nl_engine *e = p->e;
    nl_layer_fast *f = &e->layers[d->now->layer];
    const nl_layer *l = f->layer;
    if (!l->norm || (!p->training && nl_cuts(l))) return; /* that map stands already */
    nl_cells *cells = &f->cells[d->row];
    p->e->simd->norm->cells(cells, z, f->hw, f->cp);
    if (nl_cuts(l)) return;
    const nl_norm_job job = nl_norm_job_of(e, f, NULL, 1);
    nl_norms_fast[l->norm->sets].forward(nl_desk_map(f, d), cells, &job);
}
