/* The verdict on a step: its distance from the truth, with as many measures of plain float's error
 * as it takes. */
#include "step_truth.h"

enum { SAMPLES = 24 };

nl_step_verdict nl_truth_check(const nl_engine_spec *spec, const float *params,
                               const float *buffers, const nl_epoch *epoch, const double *left) {
    nl_step_truth t;
    nl_step_verdict v = {0};
    int worst;
    nl_truth_open(&t, spec, params, buffers, epoch);
    v.share = nl_truth_distance(&t, left, &worst, &v.ties);
    if (!(v.share <= 1)) nl_truth_scale(&t);
    for (uint32_t i = 1; i <= SAMPLES && !(v.share <= 1); i++) {
        nl_truth_sample(&t, params, buffers, epoch, i);
        v.share = nl_truth_distance(&t, left, &worst, &v.ties);
    }
    v.tensor = spec->model->tensors[worst].name;
    v.bound = nl_truth_bound(&t, worst);
    v.plain = t.error[worst];
    nl_truth_close(&t);
    return v;
}
