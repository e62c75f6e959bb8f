/* How the metrics are spoken of. */
#include "findings.h"

const nl_metric_words nl_metric_words_of[NL_METRICS] = {
    [NL_METRIC_ACCURACY] = {"accuracy", " points", 3}, [NL_METRIC_LOSS] = {"loss", "", 5}};
