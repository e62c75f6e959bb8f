/* Building one descriptor of cuDNN's backend API: new, set ..., finish. The first failure is kept
 * and makes the rest do nothing, so that only the end needs a check.
 */
#pragma once

#include "cudnn_api.h" // nl_cudnn

typedef struct nl_desc {
    const nl_cudnn *api;
    cudnnBackendDescriptor_t handle;
    cudnnStatus_t status;
} nl_desc;

nl_desc nl_desc_new(const nl_cudnn *api, cudnnBackendDescriptorType_t type);
void nl_desc_set(nl_desc *d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                 int64_t count, const void *values);

/* Finalizes; *out owns the descriptor. On failure destroys it: NL_EDEVICE, with cuDNN's own text.
 */
int nl_desc_finish(cudnnBackendDescriptor_t *out, nl_desc *d, const char *what, nl_error *err);

/* Fails with cuDNN's text for a status. */
int nl_cudnn_fail(const nl_cudnn *api, cudnnStatus_t status, const char *what, nl_error *err);
