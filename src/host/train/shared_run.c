/* A run that another process may have taken over: seeing it, and leaving it alone. */
#include "trainer.h"

int nl_run_holds(nl_run *run, nl_error *err) {
    run->asked = nl_clock();
    if (!run->lost) run->lost = nl_claim_is_lost(&run->unit.claim);
    if (!run->lost) return NL_OK;
    return nl_fail(err, NL_EUSAGE, run->unit.folder,
                   "another process has taken this run over, as this one stood still for too long: "
                   "it is left alone");
}

int nl_run_holds_still(nl_run *run, nl_error *err) {
    return nl_clock() - run->asked < nl_claim_patience() / 10 ? NL_OK : nl_run_holds(run, err);
}

int nl_run_write_metrics(nl_run *run, const nl_metrics_record *record, nl_error *err) {
    const int code = nl_run_holds(run, err);
    return code ? code : nl_metrics_write(&run->metrics, record, err);
}

void nl_run_leave_to_other(nl_run *run, const nl_error *err) {
    nl_crew *crew = run->crew;
    const uint64_t whole = (uint64_t)run->config->train.epochs * run->steps;
    nl_progress_drop(&crew->progress, atomic_load(&crew->left[run->number]) - whole, 0);
    atomic_store(&crew->left[run->number], whole);
    nl_progress_did(&crew->progress, 0, -(int)run->at.epoch);
    nl_progress_pause(&crew->progress);
    nl_warn(err->where, "%s", err->what);
    nl_progress_go_on(&crew->progress);
}
