// The steps forward.
#pragma once

// z += h @ w_h for the pairs of a unit and a case of this thread.
template <Mode mode, int HP, int cases>
struct ForwardProduct {
    using Place = typename Places<mode, HP, cases>::Forward;
    static constexpr int per_lane = Places<mode, HP, cases>::per_lane, tiles = 2 * Place::groups;
    TensorProduct<mode, tiles, HP, cases, Place::threads / 32, Place::most_held> product;

    template <class Weight>
    DEVICE void load(unsigned* shared, Weight weight) {
        product.load(shared, [=](int tile, int row, int k) {
            const int group = static_cast<int>(threadIdx.x) / 32 * Place::groups + tile / 2;
            return weight(k, tile % 2 * 2 + row / 8, group * 8 + row % 8);
        });
    }

    DEVICE void add_to(float (&z)[Place::pairs][4], Operand<mode, HP, cases> h) const {
        float sums[tiles][4] = {};
#pragma unroll
        for (int pair = 0; pair < Place::pairs; ++pair) {
#pragma unroll
            for (int gate = 0; gate < 4; ++gate) {
                sums[pair / per_lane * 2 + gate / 2][gate % 2 * 2 + pair % per_lane] = z[pair][gate];
            }
        }
        product.add_to(sums, h);
#pragma unroll
        for (int pair = 0; pair < Place::pairs; ++pair) {
#pragma unroll
            for (int gate = 0; gate < 4; ++gate) {
                z[pair][gate] = sums[pair / per_lane * 2 + gate / 2][gate % 2 * 2 + pair % per_lane];
            }
        }
    }
};

template <int HP, int cases>
struct ForwardProduct<Mode::exact, HP, cases> {
    using Place = typename Places<Mode::exact, HP, cases>::Forward;
    ScalarProduct<HP, 4, cases, Place::threads, Place::most_held> product;

    template <class Weight>
    DEVICE void load(unsigned* shared, Weight weight) {
        product.load(shared, [=](int gate, int k) { return weight(k, gate, static_cast<int>(threadIdx.x) / 4); });
    }

    DEVICE void add_to(float (&z)[1][4], Operand<Mode::exact, HP, cases> h) const {
        float parts[cases][4] = {}, sums[4];
        product.multiply(parts, h);
        sum_over_lanes<4>(parts, sums);
#pragma unroll
        for (int gate = 0; gate < 4; ++gate) {
            z[0][gate] += sums[gate];
        }
    }
};

// A unit of a case, and where its numbers are. z [N, T, 4H], outputs [N, T, H], gates [N, T, 4H], cells [N, T, H].
template <Mode mode>
struct ForwardPair {
    using Stored = typename Number<mode>::Stored;
    Case one;
    int unit;
    bool inside;  // the case and the unit are those of the caller, and this thread writes them
    bool read;    // the same, and other threads may have the same pair
    float c, h;

    DEVICE void load_z(Stored (&z)[4], const Stored* all, int step, int T, int H) const {
        const bool there = read && one.has(step);
        const Stored* from = all + one.at(step, T, 4 * H) + unit;
#pragma unroll
        for (int gate = 0; gate < 4; ++gate) {
            z[gate] = there ? from[gate * H] : Stored(0);
        }
    }

    // What the last step that was taken has found.
    DEVICE void write(const Gates& found, Stored* outputs, Stored* gates, float* cells, int step, int T, int H) const {
        if (inside) {
            const bool runs = one.has(step);
            const size_t at = one.at(step, T, H) + unit;
            outputs[at] = Number<mode>::stored(runs ? h : 0.0f);
            if (gates != nullptr && runs) {
                Stored* to = gates + one.at(step, T, 4 * H) + unit;
                to[0] = Number<mode>::stored(found.i);
                to[H] = Number<mode>::stored(found.j);
                to[2 * H] = Number<mode>::stored(found.f);
                to[3 * H] = Number<mode>::stored(found.o);
                cells[at] = c;
            }
        }
    }
};

template <Mode mode, int HP, int cases, class Stored = typename Number<mode>::Stored>
DEVICE void forward(uint4* shared_memory, const Stored* z, const Stored* w_h, const float* c_0, const Stored* h_0,
                    const int* lengths, Stored* outputs, float* c_T, Stored* h_T, Stored* gates, float* cells, int N, int T,
                    int H, int start, int stop, float forget_bias, bool reverse) {
    using Place = typename Places<mode, HP, cases>::Forward;
    using State = Operand<mode, HP, cases>;
    unsigned* shared = reinterpret_cast<unsigned*>(shared_memory);
    State now{shared}, next{shared + State::size};
    ForwardProduct<mode, HP, cases> product;
    product.load(shared + 2 * State::size, [=](int k, int gate, int unit) {
        return k < H && unit < H ? Number<mode>::widened(w_h[(k * 4 + gate) * H + unit]) : 0.0f;
    });

    const int first = blockIdx.x * cases;
    ForwardPair<mode> pairs[Place::pairs] = {};
    Stored z_now[Place::pairs][4];
#pragma unroll
    for (int p = 0; p < Place::pairs; ++p) {
        ForwardPair<mode>& pair = pairs[p];
        const int number = Place::number(p);
        pair.one = Case(first + number, N, T, lengths, reverse);
        pair.unit = Place::unit(p);
        pair.read = pair.unit < H && pair.one.number < N;
        pair.inside = pair.read && Place::first();
        const size_t at = static_cast<size_t>(pair.one.number) * H + pair.unit;
        pair.c = pair.read ? c_0[at] : 0.0f;
        pair.h = pair.read ? Number<mode>::widened(h_0[at]) : 0.0f;
        if (Place::first()) {
            now.put(number, pair.unit, pair.h);
        }
        pair.load_z(z_now[p], z, start, T, H);
    }
    // Each thread fetches one line of one case.
    constexpr int lines = (4 * HP * static_cast<int>(sizeof(Stored)) + 127) / 128;
    static_assert(lines * cases <= Place::threads);
    const Case fetched(first + threadIdx.x / lines, threadIdx.x / lines < cases ? N : 0, T, lengths, reverse);
    LineAhead ahead;
    int line = threadIdx.x % lines;
    ahead.take(line, z, 4 * H, sizeof(Stored));

    const int most = longest(first, cases, N, T, lengths), end = most < stop ? most : stop;
    __syncthreads();
    // What a step waits for is the product, the gates and the barrier. All else, asking for z of the next step and writing
    // what the step before has found, is done while the product runs.
    Gates found[Place::pairs] = {};
#pragma unroll 1
    for (int step = start; step < end; ++step) {
        float sums[Place::pairs][4];
#pragma unroll
        for (int p = 0; p < Place::pairs; ++p) {
#pragma unroll
            for (int gate = 0; gate < 4; ++gate) {
                sums[p][gate] = Number<mode>::widened(z_now[p][gate]);
            }
        }
        product.add_to(sums, now);
#pragma unroll
        for (int p = 0; p < Place::pairs; ++p) {
            pairs[p].load_z(z_now[p], z, step + 1 < stop ? step + 1 : T, T, H);
            if (step > start) {
                pairs[p].write(found[p], outputs, gates, cells, step - 1, T, H);
            }
        }
        if (Places<mode, HP, cases>::fetches) {
            ahead.fetch(fetched, step + LineAhead::steps, T);
        }
#pragma unroll
        for (int p = 0; p < Place::pairs; ++p) {
            ForwardPair<mode>& pair = pairs[p];
            found[p] = gates_of<mode>(sums[p][0], sums[p][1], sums[p][2] + forget_bias, sums[p][3]);
            const float c = found[p].f * pair.c + found[p].i * found[p].j, h = found[p].o * tanh_of<mode>(c);
            pair.c = pair.one.has(step) ? c : pair.c;
            pair.h = pair.one.has(step) ? h : pair.h;
            if (Place::first()) {
                next.put(Place::number(p), pair.unit, pair.h);
            }
        }
        const State before = now;
        now = next;
        next = before;
        __syncthreads();
    }
#pragma unroll
    for (int p = 0; p < Place::pairs; ++p) {
        const ForwardPair<mode>& pair = pairs[p];
        if (end > start) {
            pair.write(found[p], outputs, gates, cells, end - 1, T, H);
        }
        if (pair.inside) {
#pragma unroll 1
            for (int step = end > start ? end : start; step < stop; ++step) {
                outputs[pair.one.at(step, T, H) + pair.unit] = Number<mode>::stored(0.0f);
            }
            const size_t at = static_cast<size_t>(pair.one.number) * H + pair.unit;
            c_T[at] = pair.c;
            h_T[at] = Number<mode>::stored(pair.h);
        }
    }
}
