/* An evaluation pass in parts against the same pass at once. */
#pragma once

#include "normlab/backend.h" // nl_backend

/* However it is cut, and with rotations or without: the same bits in sums, scores and predictions,
 * and nothing written outside of a part. */
void parts_check(const nl_backend *backend);
