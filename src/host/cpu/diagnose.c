/* normlab/diagnose.h: chooses the precision. */
#include "cpu/plain/net_diagnose.h"
#include "base/subnormals.h" // nl_subnormals

void nl_diagnose(char *text, size_t size, const nl_engine_spec *spec, const nl_state *state,
                 int real_size, const nl_epoch *epoch, uint32_t step) {
    const unsigned mode = nl_subnormals(real_size == sizeof(double) ? NL_KEEP : NL_FLUSH);
    if (real_size == sizeof(double))
        nl_net_diagnose_f64(text, size, spec, state, epoch, step);
    else
        nl_net_diagnose_f32(text, size, spec, state, epoch, step);
    nl_subnormals_restore(mode);
}
