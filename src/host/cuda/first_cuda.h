/* The first block by kernels of our own (nl_k_first of kernels.h): conv1, norm, ReLU and a 1 x 1
 * convolution in one go, without conv1's tensor. It stands for the network's blocks 0 and 1 up to
 * z of block 1; what is behind that stays as it is.
 */
#pragma once

#include "cuda_net.h" // nl_cuda_net

/* The first two layers as such a block, its shape for n images; false: they are none, or none that
 * the kernels were made for. */
bool nl_cuda_first_shape(nl_k_first *first, const nl_model *model, int n);

/* Whether a block of threads may have the shared memory that it takes on this device. */
int nl_cuda_first_fits(bool *fits, const nl_k_first *first, int device, nl_error *err);

/* Gives net->first, whose shape is there, its memory, which is the net's; after the blocks. */
int nl_cuda_first_open(nl_cuda_net *net, nl_error *err);

/* What the launchers want in one step, of a stage of block 0. */
nl_k_first nl_cuda_first_of(const nl_cuda_net *net, const nl_k_stage *stage, bool train);
