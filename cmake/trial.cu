/* What an nvcc has to compile and link before it is taken; see find-cuda.sh. */
#include <cuda_fp16.h> // half: the header that needs CCCL

__global__ void trial(half *p) {
    *p = __float2half(1.0f);
}

int main(void) {
    trial<<<1, 1>>>(nullptr);
    return (int)cudaDeviceSynchronize();
}
