/* Making a batch on the device: picks the images of this step out of the data set, rotates their
 * bytes in integers (rotation.h) and turns them into floats through the table of each channel. A
 * block makes one image, a thread four neighbouring pixels of it, and again further on where the
 * image is larger than the block.
 */
#include "stage.cuh" // Pack, NL_ASSERT

namespace {

constexpr int kMostThreads = 256;

struct Gather : nl_k_input {
    int size; /* of an image */
    nl_divisor by_pixels, by_width;
};

/* Element `at` of an image: row by row, channel behind channel. */
__device__ inline float element(const Gather &g, const uint8_t *bytes, const nl_rotation *rotation,
                                int at) {
    const int height = g.shape.height, width = g.shape.width, pixels = height * width;
    const int c = nl_divide(at, g.by_pixels), p = at - c * pixels, first = c * pixels;
    const int y = nl_divide(p, g.by_width), x = p - y * width;
    const int from = !rotation ? p : nl_rotation_source(*rotation, x, y, height, width);
    return __ldg(&g.table->of[c][from < 0 ? 0 : __ldg(bytes + first + from)]);
}

__device__ inline nl_rotation load_rotation(const nl_rotation *p) {
    const int4 r = __ldg(reinterpret_cast<const int4 *>(p));
    return {r.x, r.y, r.z, r.w};
}

/* V: floats of one write; the image's end is a multiple of it. */
template <int V> __global__ __launch_bounds__(kMostThreads) void gather(const Gather g) {
    const unsigned slot = blockIdx.x, place = g.state->step * static_cast<unsigned>(g.batch) + slot;
    const unsigned image = g.order ? g.order[place] : place;
    const uint8_t *bytes = g.images + static_cast<size_t>(image) * static_cast<unsigned>(g.size);
    nl_rotation turned = {};
    if (g.rotations) turned = load_rotation(g.rotations + image);
    const nl_rotation *rotation = g.rotations ? &turned : nullptr;
    float *out = g.x + static_cast<size_t>(slot) * static_cast<unsigned>(g.size);
    const int step = static_cast<int>(blockDim.x) * 4;
    for (int first = static_cast<int>(threadIdx.x) * 4; first < g.size; first += step) {
        for (int i = first; i < first + 4 && i < g.size; i += V) {
            Pack<V> x;
            for (int j = 0; j < V; j++) x.v[j] = element(g, bytes, rotation, i + j);
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
    NL_ASSERT(reinterpret_cast<uintptr_t>(in->rotations) % 16 == 0);
    Gather g = {};
    static_cast<nl_k_input &>(g) = *in;
    g.size = nl_image_bytes(shape);
    g.by_pixels = nl_divisor_make(nl_image_pixels(shape));
    g.by_width = nl_divisor_make(shape.width);
    const int quads = ceil_div(g.size, 4), threads = quads < kMostThreads ? quads : kMostThreads;
    const unsigned blocks = static_cast<unsigned>(in->n);
    if (g.size % 4 || reinterpret_cast<uintptr_t>(in->x) % 16) {
        NL_LAUNCH((gather<1>), blocks, threads, 0, stream, g);
    } else {
        NL_LAUNCH((gather<4>), blocks, threads, 0, stream, g);
    }
    return launched();
}
