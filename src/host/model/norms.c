/* The table of norms. A norm is added here, as a value of nl_norm (config.h) and as its name in a
 * config (config_keys.c); what its columns do not say is no norm of this program. Nor is all that
 * they can say: over the batch only what centres is computed (the kernels assert it), and as a config
 * names a row, no user can ask for another. */
#include <assert.h> // static_assert

#include "normlab/model.h"

static int one_group(int channels, int group_size) {
    (void)channels, (void)group_size;
    return 1;
}

static int by_size(int channels, int group_size) {
    return channels % group_size ? 0 : channels / group_size;
}

static int each_channel(int channels, int group_size) {
    (void)group_size;
    return channels;
}

// clang-format off
static const nl_norm_row rows[] = {
    [NL_NORM_BATCH] = {NL_SETS_BATCH, NULL, true, true,
                       "Ioffe, Szegedy 2015, Batch Normalization, algorithms 1 and 2"},
    [NL_NORM_LAYER] = {NL_SETS_GROUPS, one_group, true, false,
                       "Ba, Kiros, Hinton 2016, Layer Normalization, equations 3 and 4"},
    [NL_NORM_GROUP] = {NL_SETS_GROUPS, by_size, true, false,
                       "Wu, He 2018, Group Normalization, equations 1, 2 and 7"},
    [NL_NORM_INSTANCE] = {NL_SETS_GROUPS, each_channel, true, false,
                          "Ulyanov, Vedaldi, Lempitsky 2016, Instance Normalization"},
    [NL_NORM_RMS] = {NL_SETS_GROUPS, one_group, false, false,
                     "Zhang, Sennrich 2019, Root Mean Square Layer Normalization, equation 4"},
};
// clang-format on
static_assert(sizeof rows / sizeof *rows == NL_NORMS, "a row for each norm");

const nl_norm_row *nl_norm_find(nl_norm norm) {
    return norm == NL_NORM_NONE ? NULL : &rows[norm];
}

int64_t nl_norm_sets(const nl_layer *l, int images) {
    return l->groups ? (int64_t)images * l->groups : l->out_c;
}

int64_t nl_norm_set_of(const nl_layer *l, int64_t image, int channel) {
    if (!l->groups) return channel;
    return image * l->groups + channel / (l->out_c / l->groups);
}
