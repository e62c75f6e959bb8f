/* normlab verify: the CPU passes, and something that is wrong does not. */
#include <criterion/criterion.h>
#include <math.h>   // NAN
#include <string.h> // strstr

#include "normlab/verify.h"
#include "support/program.h"
#include "support/isa.h" // TEST_IN_EACH_SET

/* ---- the command -------------------------------------------------------------------------------
 */

static void the_cpu_is_as_it_should_be(void) {
    program_result r = RUN_NORMLAB("verify", "--device", "cpu");
    cr_assert(r.code == 0, "exit %d: %s%s", r.code, r.out, r.err);
    static const char *const all[] = {"relu",
                                      "conv",
                                      "softmax_loss",
                                      "sgd_update",
                                      "dgamma",
                                      "0 failed",
                                      "random network, seed 1:",
                                      "\neval_batch "};
    for (int norm = NL_NORM_NONE + 1; norm < NL_NORMS; norm++) {
        char name[32];
        snprintf(name, sizeof name, "\nnorm_%s ", nl_norm_words[norm]);
        cr_assert(strstr(r.out, name), "%s is missing in %s", name, r.out);
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        cr_assert(strstr(r.out, all[i]), "%s is missing in %s", all[i], r.out);
    program_free(&r);
}

TEST_IN_EACH_SET(verify, the_cpu_is_as_it_should_be)

Test(verify, another_seed_is_another_network) {
    program_result r = RUN_NORMLAB("verify", "--device", "cpu", "--seed", "2");
    cr_assert(r.code == 0 && strstr(r.out, "random network, seed 2:"), "exit %d: %s%s", r.code,
              r.out, r.err);
    program_free(&r);
    static const char *const wrong[] = {"", "-1", "x", "3x", "4294967296"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        r = RUN_NORMLAB("verify", "--seed", wrong[i]);
        cr_assert(r.code == 2 && strstr(r.err, "--seed"), "%s: exit %d: %s", wrong[i], r.code,
                  r.err);
        program_free(&r);
    }
}

Test(verify, usage) {
    static const char *const wrong[] = {"cpu64", "banana", "cuda:x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        program_result r = RUN_NORMLAB("verify", "--device", wrong[i]);
        cr_assert(r.code == 2 && r.err[0], "%s: exit %d: %s", wrong[i], r.code, r.err);
        program_free(&r);
    }
    program_result r = RUN_NORMLAB("verify", "something");
    cr_assert(r.code == 2, "exit %d", r.code);
    program_free(&r);
}

/* ---- what it finds -----------------------------------------------------------------------------
 */

typedef struct fault {
    nl_verify_op op;
    int output;
    double factor; /* of the output's first element */
    bool seen;
} fault;

/* The plain float operations with one wrong number. */
static int spoiled(double *const out[], const nl_verify_case *c, void *context, nl_error *err) {
    fault *f = context;
    const int code = nl_verify_plain_f32(out, c, NULL, err);
    if (c->op == f->op && c->out_count[f->output] > 0) {
        double largest = 0;
        for (int64_t i = 0; i < c->out_count[f->output]; i++)
            largest = fmax(largest, fabs(out[f->output][i]));
        out[f->output][0] += f->factor * largest;
        f->seen = true;
    }
    return code;
}

Test(verify, every_output_counts) {
    static const int outputs[NL_V_OPS] = {7, 3, 4, 3};
    for (int op = 0; op < NL_V_OPS; op++)
        for (int k = 0; k < outputs[op]; k++) {
            fault f = {.op = (nl_verify_op)op, .output = k, .factor = 1e-2};
            nl_error err = {0};
            const int code = nl_verify("A spoiled device", spoiled, &f, &err);
            cr_assert(f.seen && code == NL_EINTERNAL, "operation %d, output %d", op, k);
        }
}

Test(verify, nan_is_a_failure_and_plain_float_is_none) {
    fault f = {.op = NL_V_BLOCK, .output = 0, .factor = NAN};
    nl_error err = {0};
    cr_assert(nl_verify("NaN", spoiled, &f, &err) == NL_EINTERNAL);
    f.factor = 0;
    cr_assert(nl_verify("The plain operations in float", spoiled, &f, &err) == NL_OK);
}

/* ---- the comparison ----------------------------------------------------------------------------
 */

static nl_verify_finding compared(double got, double plain, double want) {
    return nl_verify_compare(&got, &plain, &want, 1, 0);
}

Test(verify, nan_and_infinity_equal_only_themselves) {
    cr_assert(compared(NAN, NAN, NAN).right && compared(INFINITY, INFINITY, INFINITY).right);
    cr_assert(!compared(1, NAN, NAN).right && !compared(-INFINITY, INFINITY, INFINITY).right);
    cr_assert(!compared(NAN, 1, 1).right && !compared(INFINITY, 1, 1).right);
}

Test(verify, what_plain_float_cannot_do_is_no_measure) {
    cr_assert(!compared(NAN, NAN, 1).right && !compared(INFINITY, INFINITY, 1).right);
    cr_assert(!compared(1.1, NAN, 1).right && compared(1, NAN, 1).right);
}

Test(verify, the_worst_element_is_named) {
    const double want[] = {1, 2, 3, 4}, got[] = {1, 2.5, 3.75, 4.5};
    const nl_verify_finding f = nl_verify_compare(got, want, want, 4, 0);
    cr_assert(!f.right && f.at == 2 && f.error == 0.75 && f.largest == 4);
    cr_assert(f.allowed == 4 * nl_verify_ulp(4));
    cr_assert(nl_verify_compare(got, want, want, 4, 1e7).right, "terms of 1e7");
}
