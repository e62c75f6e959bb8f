/* normlab/diagnose.h: chooses the precision. */
#include "net_diagnose.h"

void nl_diagnose(char *text, size_t size, const nl_engine_spec *spec, const nl_state *state,
                 int real_size, const nl_epoch *epoch, uint32_t step) {
    if (real_size == sizeof(double))
        nl_net_diagnose_f64(text, size, spec, state, epoch, step);
    else
        nl_net_diagnose_f32(text, size, spec, state, epoch, step);
}
