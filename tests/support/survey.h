/* Many random networks on one backend: each is checked (normlab/random_net.h), failures are shrunk
 * and printed as configs, and how often each kind occurred is counted.
 *
 *     survey s;
 *     survey_run(&s, &nl_backend_cpu, survey_first(), survey_count(100), 100000);
 *     survey_print(&s);
 *     cr_assert_eq(s.failed, 0);
 */
#pragma once

#include "normlab/random_net.h" // nl_random_net

enum { SURVEY_KINDS = 160 };

typedef struct survey {
    const nl_backend *backend;
    int networks, failed, ties; /* ties: networks in which one was taken the other way */
    double loss, step;          /* the worst of nl_random_outcome */
    struct {
        char name[48];
        int count;
    } kinds[SURVEY_KINDS];
    int n_kinds;
    char first_failure[512];
} survey;

/* $NL_ANY_FIRST, or 1; $NL_ANY_COUNT, or the number given. */
uint32_t survey_first(void);
uint32_t survey_count(uint32_t otherwise);

/* Networks of the seeds first .. first + count - 1. */
void survey_run(survey *s, const nl_backend *backend, uint32_t first, uint32_t count, int64_t macs);

/* The same without training: counts alone. */
void survey_draw(survey *s, uint32_t first, uint32_t count, int64_t macs);

/* How often a kind occurred. */
int survey_kind(const survey *s, const char *name);

/* The counts on standard output, lines that begin with `any:`. */
void survey_print(const survey *s);

/* Takes away from a network that fails what it fails without. */
void survey_shrink(nl_random_net *net, const nl_backend *backend);

/* The config, and what it does not say, on standard output. */
void survey_show(const nl_random_net *net);
