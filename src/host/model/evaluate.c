/* An evaluation pass in parts. How it is cut shows in no bit, so the clock may decide. */
#include "base/progress.h"   // nl_clock
#include "normlab/backend.h" // nl_evaluate

/* A part that took less may become so much larger. */
static const double SHORT = 0.05;
enum { GROWTH = 4 };

int nl_evaluate(const nl_evaluator *by, const nl_eval_pass *pass, nl_eval_result *result,
                nl_error *err) {
    const uint64_t end = (uint64_t)pass->first + pass->images;
    uint64_t size = (uint64_t)by->batch * (uint64_t)by->backend->burst;
    nl_eval_pass part = *pass;
    for (uint64_t first = pass->first; first < end; first += part.images) {
        int code = by->ask(by->context, err);
        if (code) return code;
        const double began = nl_clock();
        part.first = (uint32_t)first;
        part.images = (uint32_t)(size < end - first ? size : end - first);
        code = by->backend->evaluate(by->engine, &part, result, err);
        if (code) return code;
        if (nl_clock() - began < SHORT) size *= GROWTH;
    }
    return NL_OK;
}
