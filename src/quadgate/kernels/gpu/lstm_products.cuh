// The product of a step, `[rows, K] @ [K, cases]`, with the weights in registers for all steps.
//
// Rows are gates forward, and units backward; K is the units of h forward, and the gates of d_z backward. The operand lies
// in shared memory, one row of K numbers a case.
#pragma once

template <Mode mode>
struct Number {
    static constexpr bool narrow = mode == Mode::bfloat16 || mode == Mode::float16;
    using Stored = float;
    static DEVICE float widened(float value) { return value; }
    static DEVICE float stored(float value) { return value; }
};

template <>
struct Number<Mode::bfloat16> {
    static constexpr bool narrow = true;
    using Stored = unsigned short;
    static DEVICE float widened(Stored bits) { return from_bfloat16(bits); }
    static DEVICE Stored stored(float value) { return to_bfloat16(value); }
};

template <>
struct Number<Mode::float16> {
    static constexpr bool narrow = true;
    using Stored = unsigned short;
    static DEVICE float widened(Stored bits) { return from_float16(bits); }
    static DEVICE Stored stored(float value) { return to_float16(value); }
};

constexpr DEVICE int smaller(int a, int b) { return a < b ? a : b; }

// The operand: `cases` rows of K numbers, 16 or 32 bits each. A row is an odd multiple of 8 words long, so that the eight
// bytes that each of 16 neighbouring lanes reads, two rows of a fragment times four, fall on different banks.
template <Mode mode, int K, int cases>
struct Operand {
    static constexpr int words = K / (Number<mode>::narrow ? 2 : 1);
    static constexpr int stride = words % 16 == 0 ? words + 8 : words;
    static constexpr int size = cases * stride;
    unsigned* memory;

    DEVICE const unsigned* row(int number) const { return memory + number * stride; }

    DEVICE void put(int number, int k, float value) const {
        if constexpr (Number<mode>::narrow) {
            reinterpret_cast<unsigned short*>(memory + number * stride)[k] = Number<mode>::stored(value);
        } else {
            memory[number * stride + k] = mode == Mode::tf32 ? to_tf32(value) : bits_of(value);
        }
    }

    // Four neighbours, the first at a multiple of four.
    DEVICE void put(int number, int k, float a, float b, float c, float d) const {
        unsigned* row = memory + number * stride;
        if constexpr (Number<mode>::narrow) {
            *reinterpret_cast<uint2*>(row + k / 2) = {packed(a, b), packed(c, d)};
        } else if constexpr (mode == Mode::tf32) {
            *reinterpret_cast<uint4*>(row + k) = {to_tf32(a), to_tf32(b), to_tf32(c), to_tf32(d)};
        } else {
            *reinterpret_cast<float4*>(row + k) = {a, b, c, d};
        }
    }

    static DEVICE unsigned packed(float low, float high) {
        return Number<mode>::stored(low) | static_cast<unsigned>(Number<mode>::stored(high)) << 16;
    }
};

// By tensor cores: a warp holds `tiles` tiles of 16 rows and multiplies them with 8 columns. With four cases a case stands
// in two neighbouring columns, of which the second is not used.
//
// A fragment takes 8 words of K: a lane needs words t and t + 4 of them (t = lane % 4). Any order of K gives the same sum
// as long as both sides agree, so the lane reads words 2t and 2t + 1, which are neighbours.
template <Mode mode, int tiles_, int K, int cases, int warps, int most_held>
struct TensorProduct {
    static constexpr int tiles = tiles_, fragments = Operand<mode, K, cases>::words / 8;
    static constexpr int held = smaller(fragments, most_held);
    // Four independent sums, since a product waits for the one before it in the same sum.
    static constexpr int chains = smaller(fragments, 4 / tiles);
    static constexpr int shared_words = (fragments - held) * tiles * warps * 128;
    static_assert(K % 16 == 0 && tiles <= 4 && (cases == 4 || cases == 8));

    unsigned weights[held][tiles][4];
    int place;    // where this lane reads in the operand, in words
    uint4* rest;  // the fragments that do not fit in the registers, where this lane finds its part

    // weight(tile, row, k)
    template <class Weight>
    DEVICE void load(unsigned* shared, Weight weight) {
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        place = opaque(lane / 4 * cases / 8 * Operand<mode, K, cases>::stride + lane % 4 * 2);
        rest = reinterpret_cast<uint4*>(shared) + warp * (fragments - held) * tiles * 32 + lane;
#pragma unroll
        for (int fragment = 0; fragment < held; ++fragment) {
#pragma unroll
            for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
                for (int part = 0; part < 4; ++part) {
                    weights[fragment][tile][part] = word(weight, fragment, tile, part, lane);
                }
            }
        }
        for (int fragment = held; fragment < fragments; ++fragment) {
            for (int tile = 0; tile < tiles; ++tile) {
                rest[((fragment - held) * tiles + tile) * 32] = {
                    word(weight, fragment, tile, 0, lane), word(weight, fragment, tile, 1, lane),
                    word(weight, fragment, tile, 2, lane), word(weight, fragment, tile, 3, lane)};
            }
        }
    }

    // sums[tile]: of this lane's rows, lane / 4 and 8 below it, and its columns, 2 * (lane % 4) and the next.
    DEVICE void add_to(float (&sums)[tiles][4], Operand<mode, K, cases> operand) const {
        const uint2* words = reinterpret_cast<const uint2*>(operand.memory + place);
        float part[chains][tiles][4] = {};
#pragma unroll
        for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
            for (int q = 0; q < 4; ++q) {
                part[0][tile][q] = sums[tile][q];
            }
        }
#pragma unroll
        for (int fragment = 0; fragment < fragments; ++fragment) {
            const uint2 b = words[4 * fragment];
#pragma unroll
            for (int tile = 0; tile < tiles; ++tile) {
                if (fragment < held) {
                    multiply_tile<mode>(part[fragment % chains][tile], weights[smaller(fragment, held - 1)][tile], b);
                } else {
                    const uint4 a = rest[((fragment - held) * tiles + tile) * 32];
                    const unsigned words_of_a[4] = {a.x, a.y, a.z, a.w};
                    multiply_tile<mode>(part[fragment % chains][tile], words_of_a, b);
                }
            }
        }
#pragma unroll
        for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
            for (int q = 0; q < 4; ++q) {
                float sum = part[0][tile][q];
#pragma unroll
                for (int chain = 1; chain < chains; ++chain) {
                    sum += part[chain][tile][q];
                }
                sums[tile][q] = sum;
            }
        }
    }

  private:
    template <class Weight>
    static DEVICE unsigned word(Weight weight, int fragment, int tile, int part, int lane) {
        const int row = lane / 4 + 8 * (part % 2);
        const int place = 8 * fragment + 2 * (lane % 4) + part / 2;
        if constexpr (Number<mode>::narrow) {
            return Operand<mode, K, cases>::packed(weight(tile, row, 2 * place), weight(tile, row, 2 * place + 1));
        } else {
            return to_tf32(weight(tile, row, place));
        }
    }
};

// By fused multiply-adds in float32: `lanes` neighbouring lanes share four rows and divide K among them, four numbers at a
// time in turns.
template <int K, int lanes, int cases, int threads, int most_held>
struct ScalarProduct {
    static constexpr int turns = K / (4 * lanes), held = smaller(turns, most_held);
    static constexpr int shared_words = (turns - held) * threads * 16;
    static_assert(K % (4 * lanes) == 0);

    float4 weights[held][4];
    float4* rest;  // what does not fit in the registers, where this thread finds its part

    // weight(row, k)
    template <class Weight>
    DEVICE void load(unsigned* shared, Weight weight) {
        rest = reinterpret_cast<float4*>(shared) + threadIdx.x;
#pragma unroll
        for (int turn = 0; turn < held; ++turn) {
#pragma unroll
            for (int row = 0; row < 4; ++row) {
                weights[turn][row] = four(weight, turn, row);
            }
        }
        for (int turn = held; turn < turns; ++turn) {
            for (int row = 0; row < 4; ++row) {
                rest[((turn - held) * 4 + row) * threads] = four(weight, turn, row);
            }
        }
    }

    // sums[case][row]: this lane's share of the sum over K.
    DEVICE void multiply(float (&sums)[cases][4], Operand<Mode::exact, K, cases> operand) const {
        const int lane = threadIdx.x % lanes;
#pragma unroll
        for (int turn = 0; turn < turns; ++turn) {
            float4 w[4];
#pragma unroll
            for (int row = 0; row < 4; ++row) {
                w[row] = turn < held ? weights[smaller(turn, held - 1)][row] : rest[((turn - held) * 4 + row) * threads];
            }
#pragma unroll
            for (int number = 0; number < cases; ++number) {
                const float4 x = reinterpret_cast<const float4*>(operand.row(number))[turn * lanes + lane];
#pragma unroll
                for (int row = 0; row < 4; ++row) {
                    float& sum = sums[number][row];
                    sum = fmaf(x.x, w[row].x, sum);
                    sum = fmaf(x.y, w[row].y, sum);
                    sum = fmaf(x.z, w[row].z, sum);
                    sum = fmaf(x.w, w[row].w, sum);
                }
            }
        }
    }

  private:
    template <class Weight>
    static DEVICE float4 four(Weight weight, int turn, int row) {
        const int k = 4 * (turn * lanes + static_cast<int>(threadIdx.x) % lanes);
        return {weight(row, k), weight(row, k + 1), weight(row, k + 2), weight(row, k + 3)};
    }
};

// The sums over `lanes` neighbouring lanes of `groups` groups of `kept` numbers; each lane gets those of the group
// lane % groups. The order of the additions is the same for any number of groups.
template <int lanes, int bit = 1, int groups, int kept>
DEVICE void sum_over_lanes(float (&values)[groups][kept], float (&sums)[kept]) {
    if constexpr (bit == lanes) {
        static_assert(groups == 1);
#pragma unroll
        for (int q = 0; q < kept; ++q) {
            sums[q] = values[0][q];
        }
    } else if constexpr (groups == 1) {
#pragma unroll
        for (int q = 0; q < kept; ++q) {
            values[0][q] += across(values[0][q], bit);
        }
        sum_over_lanes<lanes, 2 * bit>(values, sums);
    } else {
        float mine[groups / 2][kept];
        const bool odd = threadIdx.x & bit;
#pragma unroll
        for (int group = 0; group < groups / 2; ++group) {
#pragma unroll
            for (int q = 0; q < kept; ++q) {
                const float even_one = values[2 * group][q], odd_one = values[2 * group + 1][q];
                mine[group][q] = (odd ? odd_one : even_one) + across(odd ? even_one : odd_one, bit);
            }
        }
        sum_over_lanes<lanes, 2 * bit>(mine, sums);
    }
}
