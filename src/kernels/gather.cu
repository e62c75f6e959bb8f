/* Making a batch on the device: picks the images of this step out of the data set, rotates their
 * bytes in integers (rotation.h) and turns them into floats through the table of each channel. A
 * block makes one image, a thread four neighbouring pixels of it, and again further on where the
 * image is larger than the block.
 */
#include "stage.cuh" // Pack, NL_ASSERT

namespace {

constexpr int kMostThreads = 256;

/* The shape, known to the compiler where it is the one of most sets: a division by a constant is a
 * multiplication. */
template <bool Mnist> __device__ inline nl_image_shape shape_of(const nl_k_input &g) {
    if (!Mnist) return g.shape;
    return {1, 28, 28};
}

/* Element `at` of an image: row by row, channel behind channel. */
__device__ inline float element(const nl_k_input &g, nl_image_shape s, const uint8_t *bytes,
                                const nl_rotation *rotation, int at) {
    const int pixels = s.height * s.width, c = s.channels == 1 ? 0 : at / pixels;
    const int p = at - c * pixels, first = c * pixels;
    const int from =
        !rotation ? p : nl_rotation_source(*rotation, p % s.width, p / s.width, s.height, s.width);
    return g.table->of[c][from < 0 ? 0 : bytes[first + from]];
}

/* V: floats of one write; the image's end is a multiple of it. */
template <int V, bool Mnist>
__global__ __launch_bounds__(kMostThreads) void gather(const nl_k_input g) {
    const nl_image_shape s = shape_of<Mnist>(g);
    const int size = s.channels * s.height * s.width;
    const unsigned slot = blockIdx.x, place = g.state->step * static_cast<unsigned>(g.batch) + slot;
    const unsigned image = g.order ? g.order[place] : place;
    const uint8_t *bytes = g.images + static_cast<size_t>(image) * static_cast<unsigned>(size);
    const nl_rotation *rotation = g.rotations ? g.rotations + image : nullptr;
    float *out = g.x + static_cast<size_t>(slot) * static_cast<unsigned>(size);
    const int step = static_cast<int>(blockDim.x) * 4;
    for (int first = static_cast<int>(threadIdx.x) * 4; first < size; first += step) {
        for (int i = first; i < first + 4 && i < size; i += V) {
            Pack<V> x;
            for (int j = 0; j < V; j++) x.v[j] = element(g, s, bytes, rotation, i + j);
            store(out + i, x);
        }
    }
    if (threadIdx.x == 0) {
        g.slots[slot] = image;
        g.picked[slot] = g.labels[image];
    }
}

} // namespace

int nl_k_gather(const nl_k_input *in, void *stream) {
    const nl_image_shape shape = in->shape;
    NL_ASSERT(in->x && in->slots && in->picked && in->images && in->labels && in->table);
    NL_ASSERT(in->state && in->n > 0 && in->n <= in->batch);
    NL_ASSERT(shape.channels > 0 && shape.channels <= NL_MAX_CHANNELS && shape.height > 0 &&
              shape.height <= NL_MAX_SIDE && shape.width > 0 && shape.width <= NL_MAX_SIDE);
    const int size = nl_image_bytes(shape), quads = ceil_div(size, 4);
    const int threads = quads < kMostThreads ? quads : kMostThreads;
    const bool mnist = shape.channels == 1 && shape.height == 28 && shape.width == 28;
    const unsigned blocks = static_cast<unsigned>(in->n);
    if (size % 4 || reinterpret_cast<uintptr_t>(in->x) % 16) {
        NL_LAUNCH((gather<1, false>), blocks, threads, 0, stream, *in);
    } else if (mnist) {
        NL_LAUNCH((gather<4, true>), blocks, threads, 0, stream, *in);
    } else {
        NL_LAUNCH((gather<4, false>), blocks, threads, 0, stream, *in);
    }
    return launched();
}
