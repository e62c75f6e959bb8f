/* Convolutions in cuDNN's backend API: descriptors are objects of a few attributes, finalized once;
 * operation graph = tensors + operation, heuristics give engine configurations for it.
 */
#include "conv_graph.h"

#include <stdio.h>  // snprintf
#include <string.h> // memset

#include "cudnn_desc.h" // nl_desc: building descriptors

/* ---- target ---------------------------------------------------------------------------------- */

int nl_conv_target_profile(nl_conv_target *target, const nl_cudnn *api, const char *json,
                           nl_error *err) {
    *target = (nl_conv_target){.api = api};
    nl_desc d = nl_desc_new(api, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    nl_desc_set(&d, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                (int64_t)strlen(json) + 1, json);
    return nl_desc_finish(&target->props, &d, "device properties", err);
}

void nl_conv_target_close(nl_conv_target *target) {
    if (target->props) target->api->destroy_descriptor(target->props);
    target->props = NULL;
}

/* ---- graph ----------------------------------------------------------------------------------- */

static int make_tensor(cudnnBackendDescriptor_t *out, const nl_cudnn *api, int64_t uid,
                       const int64_t dims[4], nl_error *err) {
    const int64_t strides[4] = {dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1};
    const int64_t alignment = 16;
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    nl_desc d = nl_desc_new(api, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    nl_desc_set(&d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    nl_desc_set(&d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    nl_desc_set(&d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    nl_desc_set(&d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    nl_desc_set(&d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    return nl_desc_finish(out, &d, "tensor", err);
}

static int make_convolution(nl_conv_graph *g, nl_error *err) {
    const int64_t dims = 2, ones[2] = {1, 1}, pad[2] = {g->problem.shape.pad, g->problem.shape.pad};
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    nl_desc d = nl_desc_new(g->target.api, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    nl_desc_set(&d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dims);
    nl_desc_set(&d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    nl_desc_set(&d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    nl_desc_set(&d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pad);
    nl_desc_set(&d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pad);
    nl_desc_set(&d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, ones);
    nl_desc_set(&d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, ones);
    return nl_desc_finish(&g->convolution, &d, "convolution", err);
}

/* The three operations have the same six attributes under different names. */
static const struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t convolution, x, w, y, alpha, beta;
} operations[NL_CONV_DIRS] = {
    [NL_CONV_FORWARD] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    [NL_CONV_DATA] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    [NL_CONV_FILTER] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

static int make_operation(nl_conv_graph *g, nl_error *err) {
    const float alpha = 1, beta = 0;
    const __typeof__(operations[0]) *op = &operations[g->problem.dir];
    nl_desc d = nl_desc_new(g->target.api, op->type);
    nl_desc_set(&d, op->convolution, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &g->convolution);
    nl_desc_set(&d, op->x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &g->tensors[0]);
    nl_desc_set(&d, op->w, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &g->tensors[1]);
    nl_desc_set(&d, op->y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &g->tensors[2]);
    nl_desc_set(&d, op->alpha, CUDNN_TYPE_FLOAT, 1, &alpha);
    nl_desc_set(&d, op->beta, CUDNN_TYPE_FLOAT, 1, &beta);
    return nl_desc_finish(&g->operation, &d, "operation", err);
}

static int make_graph(nl_conv_graph *g, nl_error *err) {
    nl_desc d = nl_desc_new(g->target.api, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    nl_desc_set(&d, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &g->operation);
    if (g->target.handle) {
        nl_desc_set(&d, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &g->target.handle);
    }
    return nl_desc_finish(&g->graph, &d, "operation graph", err);
}

int nl_conv_graph_open(nl_conv_graph *graph, nl_conv_target target, nl_conv_problem problem,
                       nl_error *err) {
    const nl_conv_shape s = problem.shape;
    const int64_t oh = nl_conv_out(s.h, s.k, s.pad), ow = nl_conv_out(s.w, s.k, s.pad);
    const int64_t dims[3][4] = {{s.n, s.c, s.h, s.w}, {s.o, s.c, s.k, s.k}, {s.n, s.o, oh, ow}};
    *graph = (nl_conv_graph){.target = target, .problem = problem};
    int code = NL_OK;
    for (int i = 0; i < 3 && !code; i++) {
        code = make_tensor(&graph->tensors[i], target.api, i + 1, dims[i], err);
    }
    if (!code) code = make_convolution(graph, err);
    if (!code) code = make_operation(graph, err);
    if (!code) code = make_graph(graph, err);
    if (code) nl_conv_graph_close(graph);
    return code;
}

void nl_conv_graph_close(nl_conv_graph *graph) {
    cudnnBackendDescriptor_t all[] = {graph->graph,      graph->operation,  graph->convolution,
                                      graph->tensors[0], graph->tensors[1], graph->tensors[2]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i]) graph->target.api->destroy_descriptor(all[i]);
    }
    memset(graph, 0, sizeof *graph);
}
