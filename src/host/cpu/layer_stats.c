/* normlab/layer_stats.h: chooses the precision. */
#include "net_stats.h"

int nl_layer_stats_of(nl_layer_stats stats[NL_MAX_LAYERS], const nl_engine_spec *spec,
                      const nl_state *state, int real_size) {
    return real_size == sizeof(double) ? nl_net_stats_f64(stats, spec, state)
                                       : nl_net_stats_f32(stats, spec, state);
}
