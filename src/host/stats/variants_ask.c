/* Asking a variant. */
#include "variants.h"

#include <math.h> // NAN

#include <stddef.h> // NULL

const nl_seed_run *nl_variant_run(const nl_variant *variant, uint32_t seed) {
    for (int i = 0; i < variant->n_runs; i++)
        if (variant->runs[i].seed == seed) return &variant->runs[i];
    return NULL;
}

bool nl_variant_counts(const nl_variant *variant, const nl_seed_run *run) {
    return run->finished || variant->n_finished == 0;
}

double nl_metric_of(const nl_seed_run *run, nl_metric metric) {
    if (!run->finished) return NAN;
    return metric == NL_METRIC_LOSS ? run->final.test_loss : run->final.test_accuracy;
}
