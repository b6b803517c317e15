// The steps backward. With dc and dh the gradients of the state after a step, dh counting its output,
//
//     d_o = dh tanh(c) o (1 - o)          dc += dh o (1 - tanh(c)^2)
//     d_i = dc j i (1 - i)                d_j = dc i (1 - j^2)        d_f = dc c_before f (1 - f)
//     dc of the step before = dc f        dh of the step before = d_z @ w_h^T
#pragma once

// d_z @ w_h^T for the pairs of a unit and a case of this thread. K runs over the gates of unit 0, of unit 1, ...
template <Mode mode, int HP, int cases>
struct BackwardProduct {
    using Places_ = Places<mode, HP, cases>;
    using Place = typename Places_::Backward;
    TensorProduct<mode, 1, 4 * HP, cases, Place::threads / 32, Place::most_held> product;

    template <class Weight>
    DEVICE void load(unsigned* shared, Weight weight) {
        product.load(shared, [=](int, int row, int k) {
            return weight(static_cast<int>(threadIdx.x) / 32 * 16 + row, k % 4, k / 4);
        });
    }

    DEVICE void multiply(float (&d_h)[Place::pairs], Operand<mode, 4 * HP, cases> d_z) const {
        float sums[1][4] = {};
        product.add_to(sums, d_z);
#pragma unroll
        for (int pair = 0; pair < Place::pairs; ++pair) {
            d_h[pair] = sums[0][pair / Places_::per_lane * 2 + pair % Places_::per_lane];
        }
    }
};

template <int HP, int cases>
struct BackwardProduct<Mode::exact, HP, cases> {
    using Place = typename Places<Mode::exact, HP, cases>::Backward;
    ScalarProduct<4 * HP, 16, cases, Place::threads, Place::most_held> product;

    template <class Weight>
    DEVICE void load(unsigned* shared, Weight weight) {
        product.load(shared, [=](int row, int k) {
            return weight(static_cast<int>(threadIdx.x) / 16 * 4 + row, k % 4, k / 4);
        });
    }

    DEVICE void multiply(float (&d_h)[1], Operand<Mode::exact, 4 * HP, cases> d_z) const {
        float parts[cases][4] = {}, groups[4 * cases][1];
        product.multiply(parts, d_z);
#pragma unroll
        for (int group = 0; group < 4 * cases; ++group) {
            groups[group][0] = parts[group / 4][group % 4];
        }
        sum_over_lanes<16>(groups, d_h);
    }
};

// What a step needs of what was kept.
template <class Stored>
struct Kept {
    Stored gates[4], d_output;
    float c_before;
};

// What a step multiplies the gradients of the state with; zeros where the case does not run.
struct Slopes {
    float i, j, f, o;  // of the gates' sums, for d_c or, o, for d_h
    float c, c_before;  // of c, for d_h, and of c before the step, for d_c
    float d_output;
    bool runs;
};

template <Mode mode, class Stored>
DEVICE Slopes slopes_of(const Kept<Stored>& kept, float c, bool runs) {
    const float i = Number<mode>::widened(kept.gates[0]), j = Number<mode>::widened(kept.gates[1]);
    const float f = Number<mode>::widened(kept.gates[2]), o = Number<mode>::widened(kept.gates[3]);
    const float tanh_c = tanh_of<mode>(c);
    return {runs ? j * i * (1.0f - i) : 0.0f,
            runs ? i * (1.0f - j * j) : 0.0f,
            runs ? kept.c_before * f * (1.0f - f) : 0.0f,
            runs ? tanh_c * o * (1.0f - o) : 0.0f,
            o * (1.0f - tanh_c * tanh_c),
            f,
            Number<mode>::widened(kept.d_output),
            runs};
}

template <Mode mode>
struct BackwardPair {
    using Stored = typename Number<mode>::Stored;
    Case one;
    int unit;
    bool inside, read;  // as in ForwardPair
    float c, d_c, d_h;

    DEVICE Kept<Stored> kept(const Stored* gates, const float* cells, const float* c_0, const Stored* d_outputs, int step,
                             int start, int T, int H) const {
        Kept<Stored> found = {};
        if (read && step >= start) {
            if (one.has(step)) {
                const Stored* from = gates + one.at(step, T, 4 * H) + unit;
#pragma unroll
                for (int gate = 0; gate < 4; ++gate) {
                    found.gates[gate] = from[gate * H];
                }
                if (d_outputs != nullptr) {
                    found.d_output = d_outputs[one.at(step, T, H) + unit];
                }
            }
            // Also where the case has ended by a step: it runs in the one before.
            if (step == start) {
                found.c_before = c_0[static_cast<size_t>(one.number) * H + unit];
            } else if (one.has(step - 1)) {
                found.c_before = cells[one.at(step - 1, T, H) + unit];
            }
        }
        return found;
    }

    DEVICE void write(const Gates& d, Stored* d_z, int step, int T, int H) const {
        if (inside) {
            Stored* to = d_z + one.at(step, T, 4 * H) + unit;
            to[0] = Number<mode>::stored(d.i);
            to[H] = Number<mode>::stored(d.j);
            to[2 * H] = Number<mode>::stored(d.f);
            to[3 * H] = Number<mode>::stored(d.o);
        }
    }
};

template <Mode mode, int HP, int cases, class Stored = typename Number<mode>::Stored>
DEVICE void backward(uint4* shared_memory, const Stored* w_h, const Stored* gates, const float* cells, const float* c_0,
                     const int* lengths, const Stored* d_outputs, const float* d_c_T, const float* d_h_T, Stored* d_z,
                     float* d_c_0, float* d_h_0, int N, int T, int H, int start, int stop, bool reverse) {
    using Place = typename Places<mode, HP, cases>::Backward;
    using Gradient = Operand<mode, 4 * HP, cases>;
    unsigned* shared = reinterpret_cast<unsigned*>(shared_memory);
    Gradient now{shared}, next{shared + Gradient::size};
    BackwardProduct<mode, HP, cases> product;
    product.load(shared + 2 * Gradient::size, [=](int unit, int gate, int k) {
        return k < H && unit < H ? Number<mode>::widened(w_h[(unit * 4 + gate) * H + k]) : 0.0f;
    });

    const int first = blockIdx.x * cases;
    const int most = longest(first, cases, N, T, lengths), end = most < stop ? most : stop;
    BackwardPair<mode> pairs[Place::pairs] = {};
    Kept<Stored> kept[Place::pairs];
#pragma unroll
    for (int p = 0; p < Place::pairs; ++p) {
        BackwardPair<mode>& pair = pairs[p];
        pair.one = Case(first + Place::number(p), N, T, lengths, reverse);
        pair.unit = Place::unit(p);
        pair.read = pair.unit < H && pair.one.number < N;
        pair.inside = pair.read && Place::first();
        const size_t at = static_cast<size_t>(pair.one.number) * H + pair.unit;
        pair.d_c = pair.read && d_c_T != nullptr ? d_c_T[at] : 0.0f;
        pair.d_h = pair.read && d_h_T != nullptr ? d_h_T[at] : 0.0f;
        // The state after the last step, for the cases that run in it; the others find theirs as they come to it.
        pair.c = pair.read && end > start && pair.one.has(end - 1) ? cells[pair.one.at(end - 1, T, H) + pair.unit] : 0.0f;
        kept[p] = pair.kept(gates, cells, c_0, d_outputs, end - 1, start, T, H);
        if (pair.inside) {
#pragma unroll 1
            for (int step = end > start ? end : start; step < stop; ++step) {
                Stored* to = d_z + pair.one.at(step, T, 4 * H) + pair.unit;
                to[0] = to[H] = to[2 * H] = to[3 * H] = Number<mode>::stored(0.0f);
            }
        }
    }
    // Each thread fetches one line of one case, of the gates, the cells or the gradients of the outputs.
    constexpr int bytes = sizeof(Stored), lines = (4 * HP * bytes + 127) / 128 + (HP * 4 + 127) / 128 + (HP * bytes + 127) / 128;
    static_assert(lines * cases <= Place::threads);
    const Case fetched(first + threadIdx.x / lines, threadIdx.x / lines < cases ? N : 0, T, lengths, reverse);
    LineAhead ahead;
    int line = threadIdx.x % lines;
    ahead.take(line, gates, 4 * H, bytes);
    ahead.take(line, cells, H, sizeof(float));
    ahead.take(line, d_outputs, H, bytes);

    // What a step waits for is the product, seven multiplications and the barrier. All else, asking for what the step after
    // the next needs, computing with what the next needs and writing what was found, is done while the product runs.
    Slopes slopes[Place::pairs];
#pragma unroll
    for (int p = 0; p < Place::pairs; ++p) {
        slopes[p] = slopes_of<mode>(kept[p], pairs[p].c, pairs[p].one.has(end - 1));
        pairs[p].c = kept[p].c_before;
        kept[p] = pairs[p].kept(gates, cells, c_0, d_outputs, end - 2, start, T, H);
    }
#pragma unroll 1
    for (int step = end - 1; step >= start; --step) {
        Gates d[Place::pairs];
#pragma unroll
        for (int p = 0; p < Place::pairs; ++p) {
            BackwardPair<mode>& pair = pairs[p];
            const Slopes& slope = slopes[p];
            const float d_h = pair.d_h + slope.d_output, d_c = fmaf(d_h, slope.c, pair.d_c);
            d[p] = {d_c * slope.i, d_c * slope.j, d_c * slope.f, d_h * slope.o};
            pair.d_c = slope.runs ? d_c * slope.c_before : pair.d_c;
            if (Place::first()) {
                now.put(Place::number(p), 4 * pair.unit, d[p].i, d[p].j, d[p].f, d[p].o);
            }
        }
        __syncthreads();
        float d_h[Place::pairs];
        product.multiply(d_h, now);
#pragma unroll
        for (int p = 0; p < Place::pairs; ++p) {
            BackwardPair<mode>& pair = pairs[p];
            pair.write(d[p], d_z, step, T, H);
            const bool ran = slopes[p].runs;
            slopes[p] = slopes_of<mode>(kept[p], pair.c, pair.one.has(step - 1));
            pair.c = kept[p].c_before;
            kept[p] = pair.kept(gates, cells, c_0, d_outputs, step - 2, start, T, H);
            pair.d_h = ran ? d_h[p] : pair.d_h;
        }
        if (Places<mode, HP, cases>::fetches) {
            ahead.fetch(fetched, step >= start + LineAhead::steps ? step - LineAhead::steps : -1, T);
        }
        const Gradient before = now;
        now = next;
        next = before;
    }
#pragma unroll
    for (int p = 0; p < Place::pairs; ++p) {
        if (pairs[p].inside) {
            const size_t at = static_cast<size_t>(pairs[p].one.number) * H + pairs[p].unit;
            d_c_0[at] = pairs[p].d_c;
            d_h_0[at] = pairs[p].d_h;
        }
    }
}
