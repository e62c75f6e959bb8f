/* Making a batch on the device: picks the images of this step out of the data set, rotates their
 * bytes in integers (rotation.h) and turns them into floats through the pixel table. A block makes
 * one image, a thread four neighbouring pixels of it.
 */
#include "stage.cuh" // Pack, NL_ASSERT

namespace {

struct Gather {
    float *x;
    uint32_t *slots;
    uint8_t *picked;
    const uint8_t *images, *labels;
    const uint32_t *order;
    const nl_rotation *rotations;
    const float *table;
    const nl_k_state *state;
    int batch;
};

constexpr int kQuads = NL_PIXELS / 4;

__device__ inline int source_pixel(const nl_rotation *rotation, int p) {
    return rotation ? nl_rotation_source(*rotation, p % NL_SIDE, p / NL_SIDE) : p;
}

template <int V> __global__ __launch_bounds__(kQuads) void gather(const Gather g) {
    const unsigned slot = blockIdx.x, place = g.state->step * static_cast<unsigned>(g.batch) + slot;
    const unsigned image = g.order ? g.order[place] : place;
    const uint8_t *bytes = g.images + static_cast<size_t>(image) * NL_PIXELS;
    const nl_rotation *rotation = g.rotations ? g.rotations + image : nullptr;
    const int first = static_cast<int>(threadIdx.x) * 4;
    float *out = g.x + static_cast<size_t>(slot) * NL_PIXELS + first;
    for (int i = 0; i < 4; i += V) {
        Pack<V> x;
        for (int j = 0; j < V; j++) {
            const int from = source_pixel(rotation, first + i + j);
            x.v[j] = g.table[from < 0 ? 0 : bytes[from]];
        }
        store(out + i, x);
    }
    if (threadIdx.x == 0) {
        g.slots[slot] = image;
        g.picked[slot] = g.labels[image];
    }
}

} // namespace

int nl_k_gather(float *x, uint32_t *slots, uint8_t *picked, const uint8_t *images,
                const uint8_t *labels, const uint32_t *order, const nl_rotation *rotations,
                const float *table, const nl_k_state *state, int n, int batch, void *stream) {
    NL_ASSERT(x && slots && picked && images && labels && table && state && n > 0 && n <= batch);
    const Gather g = {x, slots, picked, images, labels, order, rotations, table, state, batch};
    if (reinterpret_cast<uintptr_t>(x) % 16 == 0) {
        NL_LAUNCH((gather<4>), static_cast<unsigned>(n), kQuads, 0, stream, g);
    } else {
        NL_LAUNCH((gather<1>), static_cast<unsigned>(n), kQuads, 0, stream, g);
    }
    return launched();
}
