/* normlab --version [--verbose]: what this program is, what it was built with and what it finds on
 * this machine; the long form is meant for reports of faults. */
#include <stdbool.h> // bool
#include <stdio.h>   // printf
#include <string.h>  // strcmp
#include <unistd.h>  // sysconf

#include <gnu/libc-version.h> // gnu_get_libc_version
#include <jansson.h>          // jansson_version_str
#include <openssl/crypto.h>   // OpenSSL_version
#include <sys/utsname.h>      // uname
#include <yaml.h>             // yaml_get_version_string
#include <zlib.h>             // zlibVersion

#include "base/processor.h" // nl_processor_name
#include "commands.h"
#include "cpu/fast/isa.h"   // nl_isa_choose
#include "normlab/commit.h" // nl_commit
#include "normlab/error.h"  // nl_fail

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif
#ifdef __OPTIMIZE__
#define OPTIMISED "optimised"
#else
#define OPTIMISED "not optimised"
#endif
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED ", with sanitizers"
#else
#define SANITIZED ""
#endif

/* The features that a report of a wrong or slow result needs; those of x86-64-v3 are always there.
 */
static void print_features(void) {
#ifdef __x86_64__
#define FEATURE(name)                                                                              \
    if (__builtin_cpu_supports(name)) printf(" " name);
    __builtin_cpu_init();
    FEATURE("avx2")
    FEATURE("fma")
    FEATURE("avx512f")
    FEATURE("avx512vl")
    FEATURE("avx512bw")
    FEATURE("avx512dq")
    FEATURE("avx512vnni")
#endif
}

static void print_processor(void) {
    char name[256];
    nl_processor_name(name, sizeof name);
    printf("processor  %s, %ld online:", name, sysconf(_SC_NPROCESSORS_ONLN));
    print_features();
    printf("\n");
}

static void print_build(void) {
    struct utsname system;
    printf("compiler   " COMPILER ", " OPTIMISED SANITIZED "\n");
    printf("libraries  libyaml %s, jansson %s, zlib %s, %s\n", yaml_get_version_string(),
           jansson_version_str(), zlibVersion(), OpenSSL_version(OPENSSL_VERSION));
    if (uname(&system) == 0)
        printf("system     %s %s %s, glibc %s\n", system.sysname, system.release, system.machine,
               gnu_get_libc_version());
}

int nl_cmd_version(int argc, char **argv) {
    const bool verbose = argc == 2 && !strcmp(argv[1], "--verbose");
    if (argc > 1 && !verbose) {
        nl_error err;
        nl_fail(&err, NL_EUSAGE, "--version", "'%.40s' is no argument of it", argv[1]);
        nl_hint(&err, "--version, or --version --verbose");
        nl_error_print(&err);
        return NL_EUSAGE;
    }
    printf("normlab %s, backends: %s\n", NL_VERSION, nl_backends_built());
    if (!verbose) return NL_OK;
    nl_error err;
    const nl_simd *simd;
    if (nl_isa_choose(&simd, &err)) {
        nl_error_print(&err);
        return err.code;
    }
    if (*nl_commit()) printf("commit     %s\n", nl_commit());
    print_build();
    print_processor();
    printf("computes   with %s, %d floats at once\n", simd->name, simd->lanes);
    nl_backends_about(stdout);
    return NL_OK;
}
