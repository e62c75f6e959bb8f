/* The choice of an instruction set; see isa.h. All give the same bits. */
#include "isa.h"

#include <stdlib.h> // getenv
#include <string.h> // strcmp

#ifdef __x86_64__
/* From the widest; the program does not start without the last (main.c). */
static const nl_simd *const tables[] = {&nl_simd_avx512, &nl_simd_avx2};

static bool is_here(const nl_simd *simd) {
    if (simd == &nl_simd_avx2) return true;
    __builtin_cpu_init(); /* what it finds the system keeps as well */
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#else
static const nl_simd *const tables[] = {&nl_simd_portable};

static bool is_here(const nl_simd *simd) {
    return simd != NULL;
}
#endif

enum { TABLES = sizeof tables / sizeof *tables };

int nl_isa_choose(const nl_simd **simd, nl_error *err) {
    const char *wanted = getenv("NORMLAB_ISA");
    if (wanted && !*wanted) wanted = NULL;
    for (int i = 0; i < TABLES; i++) {
        *simd = tables[i];
        if (wanted ? !strcmp(wanted, tables[i]->name) : is_here(tables[i])) break;
        *simd = NULL;
    }
    if (!*simd) {
        nl_fail(err, NL_EUSAGE, "NORMLAB_ISA", "'%.40s' is no instruction set", wanted);
        return nl_hint(err, "%s or %s; without it the widest that is here",
                       tables[TABLES - 1]->name, tables[0]->name);
    }
    if (is_here(*simd)) return NL_OK;
    nl_fail(err, NL_EDEVICE, "NORMLAB_ISA", "this machine has no %s", wanted);
    return nl_hint(err, "leave it unset: the widest that is here is taken");
}
