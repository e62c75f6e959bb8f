/* normlab/layer_stats.h: chooses the precision. */
#include "cpu/plain/net_layer_stats.h"
#include "base/subnormals.h" // nl_subnormals

int nl_layer_stats_of(nl_layer_stats layers[NL_MAX_LAYERS], const nl_engine_spec *spec,
                      const nl_state *state, int real_size) {
    const unsigned mode = nl_subnormals(real_size == sizeof(double) ? NL_KEEP : NL_FLUSH);
    const int count = real_size == sizeof(double) ? nl_net_layer_stats_f64(layers, spec, state)
                                                  : nl_net_layer_stats_f32(layers, spec, state);
    nl_subnormals_restore(mode);
    return count;
}
