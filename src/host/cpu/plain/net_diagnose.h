/* nl_diagnose (normlab/diagnose.h), in the precision of the state. */
#pragma once

#include "normlab/diagnose.h" // nl_engine_spec, nl_state, nl_epoch

void nl_net_diagnose_f32(char *text, size_t size, const nl_engine_spec *spec, const nl_state *state,
                         const nl_epoch *epoch, uint32_t step);
void nl_net_diagnose_f64(char *text, size_t size, const nl_engine_spec *spec, const nl_state *state,
                         const nl_epoch *epoch, uint32_t step);
