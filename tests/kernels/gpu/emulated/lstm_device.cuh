// What the instructions of a GPU do, said in C++ for one thread of a block: this file takes the place of the kernels' own
// lstm_device.cuh, and everything else of the kernels is compiled as it stands.
//
// Which element of a matrix a lane holds is written here from the tables of the PTX ISA ("Matrix fragments for
// mma.m16n8k16 with floating point type", "... mma.m16n8k8"), not from the kernels.
#pragma once

#include <bit>
#include <math.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "block.h"

#define DEVICE inline
#define KERNEL(threads) extern "C" void
#define __shared__

struct uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

enum class Mode { exact, tf32, bfloat16, float16 };

DEVICE unsigned bits_of(float value) { return std::bit_cast<unsigned>(value); }
DEVICE float from_bfloat16(unsigned short bits) { return std::bit_cast<float>(static_cast<unsigned>(bits) << 16); }
DEVICE float from_float16(unsigned short bits) { return static_cast<float>(std::bit_cast<_Float16>(bits)); }
DEVICE unsigned short to_float16(float value) { return std::bit_cast<unsigned short>(static_cast<_Float16>(value)); }

// To the nearest, ties to even.
DEVICE unsigned short to_bfloat16(float value) {
    const unsigned bits = bits_of(value);
    return std::isnan(value) ? 0x7fff : static_cast<unsigned short>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// To the nearest with 10 bits of fraction, ties away from zero.
DEVICE unsigned to_tf32(float value) {
    const unsigned bits = bits_of(value);
    return std::isfinite(value) ? (bits + 0x1000) & ~0x1fffu : bits;
}

DEVICE float exp2_approximate(float x) { return std::exp2(x); }
DEVICE float reciprocal(float x) { return 1.0f / x; }

// With the error that the instruction may have, to either side.
DEVICE float tanh_approximate(float x) {
    const float exact = std::tanh(x);
    return exact * (1.0f + (bits_of(x) >> 3 & 1 ? 0x1p-11f : -0x1p-11f));
}

DEVICE float limited(float x, float limit) { return x > limit ? limit : x < -limit ? -limit : x; }

DEVICE int opaque(int number) { return number; }

DEVICE float across(float value, int mask) {
    Warp& warp = this_warp();
    const unsigned lane = threadIdx.x % 32;
    warp.words[lane][0] = bits_of(value);
    warp.meet("a shuffle");
    const unsigned found = warp.words[lane ^ mask][0];
    warp.meet("a shuffle");
    return std::bit_cast<float>(found);
}

// Reads it, so that an address outside of every array is found where addresses are checked.
DEVICE void fetch_to_cache(const void* address) { static_cast<void>(*static_cast<const volatile char*>(address)); }

DEVICE void __syncthreads() { this_block().meet("__syncthreads"); }

template <Mode mode>
void multiply_matrices(Warp& warp) {
    constexpr bool narrow = mode == Mode::bfloat16 || mode == Mode::float16;
    constexpr int K = narrow ? 16 : 8;
    const auto number = [&](int lane, int first, int i) {
        if constexpr (narrow) {
            const auto half = static_cast<unsigned short>(warp.words[lane][first + i / 2] >> 16 * (i % 2));
            return mode == Mode::bfloat16 ? from_bfloat16(half) : from_float16(half);
        } else {
            return std::bit_cast<float>(warp.words[lane][first + i] & ~0x1fffu);  // the hardware reads no more bits
        }
    };
    float a[16][K], b[K][8];
    for (int lane = 0; lane < 32; ++lane) {
        const int group = lane / 4, in_group = lane % 4;
        for (int i = 0; i < (narrow ? 8 : 4); ++i) {
            if constexpr (narrow) {
                const int row = (0 <= i && i < 2) || (4 <= i && i < 6) ? group : group + 8;
                const int column = i < 4 ? in_group * 2 + (i & 1) : in_group * 2 + (i & 1) + 8;
                a[row][column] = number(lane, 0, i);
            } else {
                a[i == 0 || i == 2 ? group : group + 8][i < 2 ? in_group : in_group + 4] = number(lane, 0, i);
            }
        }
        for (int i = 0; i < (narrow ? 4 : 2); ++i) {
            if constexpr (narrow) {
                b[i < 2 ? in_group * 2 + (i & 1) : in_group * 2 + (i & 1) + 8][group] = number(lane, 4, i);
            } else {
                b[i == 0 ? in_group : in_group + 4][group] = number(lane, 4, i);
            }
        }
    }
    for (int lane = 0; lane < 32; ++lane) {
        const int group = lane / 4, in_group = lane % 4;
        for (int i = 0; i < 4; ++i) {
            const int row = i < 2 ? group : group + 8, column = in_group * 2 + (i & 1);
            double sum = std::bit_cast<float>(warp.words[lane][6 + i]);
            for (int k = 0; k < K; ++k) {
                sum += static_cast<double>(a[row][k]) * b[k][column];
            }
            warp.results[lane][i] = static_cast<float>(sum);
        }
    }
}

template <Mode mode>
void multiply_tile(float (&d)[4], const unsigned (&a)[4], uint2 b) {
    Warp& warp = this_warp();
    const unsigned lane = threadIdx.x % 32;
    const unsigned words[10] = {a[0], a[1], a[2], a[3], b.x, b.y, bits_of(d[0]), bits_of(d[1]), bits_of(d[2]), bits_of(d[3])};
    std::memcpy(warp.words[lane], words, sizeof words);
    warp.meet("mma");
    if (lane == 0) {
        multiply_matrices<mode>(warp);
    }
    warp.meet("mma");
    std::memcpy(d, warp.results[lane], sizeof d);
}
