/* The kernels' launchers of a stage, by the sets of its norm. */
#pragma once

#include <assert.h> // static_assert

#include "normlab/kernels.h" // nl_k_stage
#include "normlab/model.h"   // nl_norm_row

typedef struct nl_launchers {
    int (*forward)(const nl_k_stage *stage, void *stream);
    int (*backward)(const nl_k_stage *stage, void *stream);
    int (*evaluate)(const nl_k_stage *stage, void *stream);
} nl_launchers;

/* norm NULL: none. */
static inline const nl_launchers *nl_launchers_of(const nl_norm_row *norm) {
    static const nl_launchers without = {nl_k_norm_none_forward, nl_k_norm_none_backward,
                                         nl_k_norm_none_forward};
    static const nl_launchers over[] = {
        [NL_SETS_BATCH] = {nl_k_norm_batch_forward, nl_k_norm_batch_backward, nl_k_norm_batch_eval},
        [NL_SETS_GROUPS] = {nl_k_norm_group_forward, nl_k_norm_group_backward,
                            nl_k_norm_group_forward},
    };
    static_assert(sizeof over / sizeof *over == NL_SETS, "a row for each kind of sets");
    return norm ? &over[norm->sets] : &without;
}
