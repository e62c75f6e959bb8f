/* Sizes of the first block (first_block.cuh): what the host works out from the shape, where things lie
 * in memory, and how large a block of threads is.
 */
#pragma once

#include "normlab/divisor.h" // nl_divisor
#include "reduce.cuh"        // lane_id
#include "stage.cuh"         // NL_ASSERT

namespace {

constexpr int kFirstThreads = 256;
constexpr int kFirstWarps = kFirstThreads / kWarp;
constexpr int kMostUnits = 128; // of a part
constexpr int kMostPerLane = 4; // channels
constexpr int kOutputs = 16;    // of conv2, at once
constexpr int kColumns = 16;    // positions of a warp's tile
constexpr int kPitch = 20;      // its floats a channel: stores of 16 bytes without a conflict
constexpr size_t kFixedShared = 1 << 10; // bytes that reduce.cuh takes, and more
constexpr size_t kKnownTo = 96 << 10;    // bytes a block, where smaller parts can keep it there

/* Mean and deviation of a set. */
struct FirstSet {
    double mean;
    float rstd;
};

/* What forward and backward leave in memory, (n) for each image unless said otherwise. */
struct FirstKeep {
    double *patch;               /* (n, taps): mean of u */
    double *base, *mean, *m2;    /* (n, c): z of u = 0; mean and sum of squares of z - mean */
    double *slope, *sum_dz, *s2; /* (n, c): of a group's gradient; see first_backward.cu */
    double *total, *total_mw;    /* (taps + 1, cp), (taps, cp): over the batch */
    FirstSet *set;               /* (c) or (n, groups) */
    float *centre;               /* (n, channels): s */
    float *mw;                   /* (n, taps, cp): M w */
    float *sums;                 /* (n, parts, taps + 1 + op, cp): of g u, of g, of y dz2 */
};

/* Of each unit, quads first: its place among the staged pixels, and in a plane of the output. */
struct FirstUnit {
    int pixel, output;
};

/* What the host works out from the shape. */
struct First : nl_k_first {
    int n, c, oh, ow, hw, taps;
    int cp, op;         /* channels in whole warps, outputs in whole kOutputs */
    int quads, singles; /* of a row */
    int rows, parts;    /* a part has so many rows, the last one maybe fewer */
    int staged, pitch;  /* rows and columns of a part's pixels */
    int vector;         /* z2 and dz2 are cut into quads of 16 bytes */
    int size;           /* channels of a group */
    nl_divisor by_size;
    FirstKeep at;
};

__host__ __device__ inline int round_up(int value, int to) {
    return (value + to - 1) / to * to;
}

// --- host side ---

/* Bytes of keep are dealt out in turn; from NULL on the places are only measured. */
struct FirstPlaces {
    uintptr_t base;
    size_t size;

    template <typename T> T *take(int64_t count) {
        T *const at = reinterpret_cast<T *>(base + size);
        size += (static_cast<size_t>(count) * sizeof(T) + 15) / 16 * 16;
        return at;
    }
};

inline size_t lay_out(FirstKeep &k, const First &f, void *memory) {
    const int64_t n = f.n, c = f.c, taps = f.taps, cp = f.cp;
    const int64_t groups = f.sets == NL_K_SETS_GROUPS ? n * f.stage.shape.groups : c;
    FirstPlaces p = {reinterpret_cast<uintptr_t>(memory), 0};
    k.patch = p.take<double>(n * taps);
    for (double **each : {&k.base, &k.mean, &k.m2, &k.slope, &k.sum_dz, &k.s2})
        *each = p.take<double>(n * c);
    k.total = p.take<double>((taps + 1) * cp);
    k.total_mw = p.take<double>(taps * cp);
    k.set = p.take<FirstSet>(groups);
    k.centre = p.take<float>(n * f.channels);
    k.mw = p.take<float>(n * taps * cp);
    k.sums = p.take<float>(n * f.parts * (taps + 1 + f.op) * cp);
    return p.size;
}

// --- where things lie in a block's shared memory: floats from its beginning, `end` is its size ---

__host__ __device__ inline int pixel_floats(const First &f) {
    return round_up(f.channels * f.staged * f.pitch, 4);
}
__host__ __device__ inline int most_units(const First &f) {
    return f.rows * (f.quads + f.singles);
}
constexpr int kUnitFloats = sizeof(FirstUnit) / sizeof(float);
inline size_t bytes_of(int floats) {
    return sizeof(float) * static_cast<size_t>(floats);
}

/* Of the moments. In double, from 0: S (taps, taps), ubar (taps), and of each channel mean, m2, two
 * parts of the form and two of w . ubar. Then pixels, sums of the lags' rows, what rows sum to,
 * filter1. */
struct MomentsPlaces {
    int rows, columns; /* of the pixels */
    int ubar, mean, pixels, lagged, row_sums, filter, end;
};
__host__ __device__ inline MomentsPlaces moments_places(const First &f) {
    const int kk = f.k * f.k, doubles = sizeof(double) / sizeof(float);
    const int lags = f.channels * f.k + f.channels * (f.channels - 1) / 2 * (2 * f.k - 1);
    MomentsPlaces p;
    p.rows = f.h + 2 * f.pad, p.columns = (f.w + 2 * f.pad) | 1; // odd: no two rows share a bank
    p.ubar = doubles * f.taps * f.taps;
    p.mean = p.ubar + doubles * f.taps;
    p.pixels = p.mean + doubles * 6 * kMostPerLane * kWarp;
    p.lagged = p.pixels + f.channels * p.rows * p.columns;
    p.row_sums = p.lagged + lags * p.rows * kk;
    p.filter = p.row_sums + f.channels * p.rows * f.k;
    p.end = p.filter + f.c * f.taps;
    return p;
}

/* Of the way forward: pixels from 0, filter2, a tile for each warp (and filter1 before), units. */
struct ForwardPlaces {
    int filter2, tiles, units, end;
};
__host__ __device__ inline ForwardPlaces forward_places(const First &f) {
    ForwardPlaces p;
    p.filter2 = pixel_floats(f);
    p.tiles = p.filter2 + f.op * f.cp;
    p.units = p.tiles + kFirstWarps * f.cp * kPitch;
    p.end = p.units + kUnitFloats * most_units(f);
    return p;
}

/* dz2 in shared memory is cut into units, (op, 4) or (op) floats each; what is left free between two
 * lets a warp store units of one output without conflicts. */
__host__ __device__ inline int dz_pitch(int op, int positions) {
    return positions == 4 ? 4 * op + 4 : op + 1;
}

/* Of the way back: pixels from 0, filter2, dz2, the warps' sums (and filter1 before), masks, units. */
struct BackwardPlaces {
    int filter2, dz, slots, alive, units, end;
};
__host__ __device__ inline BackwardPlaces backward_places(const First &f) {
    const int dz = f.rows * (f.quads * dz_pitch(f.op, 4) + f.singles * dz_pitch(f.op, 1));
    const int slots = kOutputs * kFirstThreads, filter1 = round_up(f.c * f.taps, 4);
    BackwardPlaces p;
    p.filter2 = pixel_floats(f);
    p.dz = p.filter2 + f.op * f.cp;
    p.slots = p.dz + round_up(dz, 4);
    p.alive = p.slots + (slots > filter1 ? slots : filter1);
    p.units = p.alive + most_units(f) * kWarp;
    p.end = p.units + kUnitFloats * most_units(f);
    return p;
}

inline bool is_made_for(const nl_k_first &f) {
    const bool patch = (f.channels == 1 && (f.k == 5 || f.k == 3)) || (f.channels == 3 && f.k == 3);
    return patch && f.stage.shape.c <= kMostPerLane * kWarp && f.stage.shape.h > 0 &&
           f.stage.shape.w > 0 && f.outputs > 0 && !f.stage.shape.pool;
}

inline First make_first(const nl_k_first *first) {
    const nl_k_shape &s = first->stage.shape;
    First f = {};
    static_cast<nl_k_first &>(f) = *first;
    f.n = s.n, f.c = s.c, f.oh = s.h, f.ow = s.w, f.hw = s.h * s.w;
    NL_ASSERT(f.oh == f.h + 2 * f.pad - f.k + 1 && f.ow == f.w + 2 * f.pad - f.k + 1);
    f.taps = f.channels * f.k * f.k;
    f.cp = round_up(f.c, kWarp), f.op = round_up(f.outputs, kOutputs);
    f.quads = f.ow / 4, f.singles = f.ow % 4;
    f.pitch = round_up(f.ow + f.k - 1, 4);
    const auto cut = [&f](int rows) { f.rows = rows, f.staged = rows + f.k - 1; };
    int rows = kMostUnits / (f.quads + f.singles);
    for (cut(rows < f.oh ? rows : f.oh); f.rows > 1 && bytes_of(backward_places(f).end) > kKnownTo;)
        cut(f.rows - 1);
    f.parts = ceil_div(f.oh, f.rows);
    cut(ceil_div(f.oh, f.parts));
    const uintptr_t low = reinterpret_cast<uintptr_t>(f.z2) | reinterpret_cast<uintptr_t>(f.dz2);
    f.size = f.sets == NL_K_SETS_GROUPS ? f.c / s.groups : 1;
    f.by_size = nl_divisor_make(f.size);
    f.vector = f.singles == 0 && low % 16 == 0;
    lay_out(f.at, f, f.keep);
    return f;
}

/* A block a part. */
inline dim3 blocks_of(const First &f) {
    return dim3(static_cast<unsigned>(f.n), static_cast<unsigned>(f.parts));
}

/* What every launcher asks for. Of two ways to count too far, the output's is the general way's. */
inline bool first_too_large(const nl_k_first *f) {
    const nl_k_shape &s = f->stage.shape;
    const int most = f->outputs > s.c ? f->outputs : s.c;
    return too_large(s.n, most, static_cast<int64_t>(s.h) * s.w);
}

/* Calls run<k, input channels, channels a lane>() of f. */
template <int K, int CI, typename F> int by_channels(const First &f, const F &launch) {
    switch (f.cp / kWarp) {
    case 1:
        return launch.template run<K, CI, 1>();
    case 2:
        return launch.template run<K, CI, 2>();
    case 3:
        return launch.template run<K, CI, 3>();
    default:
        return launch.template run<K, CI, 4>();
    }
}
template <typename F> int by_patch(const First &f, const F &launch) {
    if (f.channels == 3) return by_channels<3, 3>(f, launch);
    return f.k == 5 ? by_channels<5, 1>(f, launch) : by_channels<3, 1>(f, launch);
}

/* More shared memory than every device gives unasked. */
template <typename K> int allow_shared(K *kernel, size_t bytes) {
    return static_cast<int>(cudaFuncSetAttribute(
        kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
}

} // namespace
