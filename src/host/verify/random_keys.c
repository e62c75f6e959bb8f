/* The keys of a random network's config, and the values that are drawn for them. */
#include <string.h> // strcmp

#include "normlab/random_net.h"
#include "random_keys.h"

/* In the order of the file. Those without values are drawn elsewhere. */
static const struct {
    const char *key, *values[NL_RANDOM_VALUES];
} choices[] = {
    {"data.set", {NULL}},
    {"data.shape", {NULL}},
    {"data.classes", {NULL}},
    {"data.class_names", {NULL}},
    {"data.mean", {NULL}},
    {"data.std", {NULL}},
    {"train.vary", {NULL}},
    {"data.rotate", {"7", "0", "30", "180"}},
    {"data.shuffle", {"true", "false"}},
    {"data.batch", {NULL}},
    {"model.norm", {"batch", "layer", "group", "instance", "none", "batch", "group", "group"}},
    {"model.group_size", {"1", "2", "3", "4", "5", "8", "10"}},
    {"model.eps", {"1e-5", "1e-4", "1e-3", "0.1"}},
    {"model.dropout", {"0.05", "0", "0.3", "0.5"}},
    {"train.epochs", {"2", "3", "20"}},
    {"train.lr", {"0.01", "0.003", "0.001"}},
    {"train.momentum", {"0.9", "0.5", "0"}},
    {"train.nesterov", {"false", "true"}},
    {"train.l1", {"0", "0.001", "1e-4"}},
    {"train.weight_decay", {"0", "5e-4", "0.01"}},
    {"train.norm_momentum", {"0.1", "0", "0.5", "1"}},
    {"train.schedule.kind", {"step", "constant", "cosine"}},
    {"train.schedule.every", {"1", "2", "5"}},
    {"train.schedule.factor", {"0.1", "0.5", "2"}},
    {"train.seed", {"1", "0", "77", "4294967295"}},
    {"train.math", {"fp32", "tf32"}},
};

enum { CHOICES = sizeof choices / sizeof *choices };

const char *nl_random_key(int i) {
    return i < CHOICES ? choices[i].key : NULL;
}

int nl_random_row(const char *key) {
    int i = 0;
    while (i < CHOICES && strcmp(choices[i].key, key) != 0) i++;
    NL_ASSERT(i < CHOICES);
    return i;
}

const char *const *nl_random_values(int i) {
    return choices[i].values;
}
