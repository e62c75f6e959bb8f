/* nl_layer_stats_of (normlab/layer_stats.h), in the precision of the state. */
#pragma once

#include "normlab/layer_stats.h" // nl_layer_stats, nl_engine_spec, nl_state

int nl_net_layer_stats_f32(nl_layer_stats layers[NL_MAX_LAYERS], const nl_engine_spec *spec,
                           const nl_state *state);
int nl_net_layer_stats_f64(nl_layer_stats layers[NL_MAX_LAYERS], const nl_engine_spec *spec,
                           const nl_state *state);
