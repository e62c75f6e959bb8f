/* All charts of a report, one after the other. */
#include "charts.h"

#include "curves.h" // nl_curves_write

const char *const nl_chart_names[NL_CHARTS] = {"validation_loss", "validation_accuracy",
                                               "train_against_test", "accuracy_by_seed",
                                               "layer_statistics"};

void nl_charts_draw(const nl_figures *figures, const char *dir) {
    const bool progress = nl_curves_write(figures, dir);
    nl_chart_curves(figures, dir, nl_chart_names[0], false, progress);
    nl_chart_curves(figures, dir, nl_chart_names[1], true, progress);
    nl_chart_train(figures, dir, nl_chart_names[2], progress);
    nl_chart_seeds(figures, dir, nl_chart_names[3]);
    nl_chart_layers(figures, dir, nl_chart_names[NL_CHART_LAYERS]);
}
