/* All charts of a report, one after the other. */
#include "charts.h"

#include "curves.h"            // nl_curves_write
#include "normlab/run_files.h" // NL_REPORT_VERDICTS

const char *const nl_chart_names[NL_CHARTS] = {
    [NL_CHART_LOSS] = "validation_loss",     [NL_CHART_ACCURACY] = "validation_accuracy",
    [NL_CHART_TRAIN] = "train_against_test", [NL_CHART_SEEDS] = "accuracy_by_seed",
    [NL_CHART_SEEDS_LOSS] = "loss_by_seed",  [NL_CHART_VERDICTS] = NL_REPORT_VERDICTS,
    [NL_CHART_EFFECTS] = NL_REPORT_EFFECTS,  [NL_CHART_BATCHES] = NL_REPORT_BATCHES,
    [NL_CHART_LAYERS] = "layer_statistics"};

void nl_charts_draw(const nl_figures *figures, const char *dir) {
    const bool progress = nl_curves_write(figures, dir);
    nl_chart_curves(figures, dir, nl_chart_names[NL_CHART_LOSS], false, progress);
    nl_chart_curves(figures, dir, nl_chart_names[NL_CHART_ACCURACY], true, progress);
    nl_chart_train(figures, dir, nl_chart_names[NL_CHART_TRAIN], progress);
    nl_chart_seeds(figures, dir, nl_chart_names[NL_CHART_SEEDS],
                   nl_chart_names[NL_CHART_SEEDS_LOSS]);
    nl_chart_verdicts(figures, dir, nl_chart_names[NL_CHART_VERDICTS]);
    nl_chart_effects(figures, dir, nl_chart_names[NL_CHART_EFFECTS]);
    nl_chart_batches(figures, dir, nl_chart_names[NL_CHART_BATCHES]);
    nl_chart_layers(figures, dir, nl_chart_names[NL_CHART_LAYERS]);
}
