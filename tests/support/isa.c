#include "isa.h"

#include <criterion/criterion.h> // cr_skip
#include <stdlib.h>              // setenv

#include "cpu/fast/isa.h" // nl_isa_choose

const nl_simd *test_isa(const char *name) {
    nl_error err;
    const nl_simd *simd = NULL;
    setenv("NORMLAB_ISA", name, 1);
    const int code = nl_isa_choose(&simd, &err);
    if (code == NL_EDEVICE) cr_skip_test("%s", err.what);
    cr_assert_eq(code, NL_OK, "%s: %s", err.where, err.what);
    cr_assert_str_eq(simd->name, name);
    return simd;
}

nl_engine test_isa_engine(const nl_config *config, const nl_model *model, const nl_dataset *data) {
    nl_engine e;
    const nl_engine_spec spec = {
        .config = config, .model = model, .data = data, .seed = 3, .threads = 1};
    const nl_simd *simd;
    cr_assert_eq(nl_isa_choose(&simd, NULL), NL_OK);
    nl_net_fast_init(&e, &spec, simd);
    return e;
}
