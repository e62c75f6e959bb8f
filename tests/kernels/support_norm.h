/* A norm by itself by the kernels, without bias, ReLU and pool. */
#pragma once

#include "support/norm_ops.h" // norm_ops

/* NL_NORM_BATCH or NL_NORM_GROUP under the signature of the plain operations, beside the plain one
 * in double. backward takes the moments that the forward before it saved. */
norm_ops kernel_norm(nl_norm norm);
