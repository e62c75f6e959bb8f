/* Building descriptors; see cudnn_desc.h. */
#include "cudnn_desc.h"

int nl_cudnn_fail(const nl_cudnn *api, cudnnStatus_t status, const char *what, nl_error *err) {
    char detail[256] = "";
    api->last_error(detail, sizeof detail);
    return nl_fail(err, NL_EDEVICE, "cuDNN", "%s: %s (%d) %s", what, api->error_string(status),
                   (int)status, detail);
}

nl_desc nl_desc_new(const nl_cudnn *api, cudnnBackendDescriptorType_t type) {
    nl_desc d = {.api = api};
    d.status = api->create_descriptor(type, &d.handle);
    if (d.status != CUDNN_STATUS_SUCCESS) d.handle = NULL;
    return d;
}

void nl_desc_set(nl_desc *d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                 int64_t count, const void *values) {
    if (d->status != CUDNN_STATUS_SUCCESS) return;
    d->status = d->api->set_attribute(d->handle, name, type, count, values);
}

int nl_desc_finish(cudnnBackendDescriptor_t *out, nl_desc *d, const char *what, nl_error *err) {
    if (d->status == CUDNN_STATUS_SUCCESS) d->status = d->api->finalize(d->handle);
    if (d->status == CUDNN_STATUS_SUCCESS) {
        *out = d->handle;
        return NL_OK;
    }
    *out = NULL;
    if (d->handle) d->api->destroy_descriptor(d->handle);
    return nl_cudnn_fail(d->api, d->status, what, err);
}
