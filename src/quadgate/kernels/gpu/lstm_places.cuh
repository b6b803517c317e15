// Where the numbers of a case stand, and which thread has which unit of which case.
#pragma once

// A case of a batch: step s of it stands at a position of the arrays [N, T, ...].
struct Case {
    int number = 0, length = 0;
    bool reverse = false;

    Case() = default;
    DEVICE Case(int number, int N, int T, const int* lengths, bool reverse)
        : number(number), length(number >= N ? 0 : lengths ? lengths[number] : T), reverse(reverse) {}

    DEVICE bool has(int step) const { return step < length; }

    // Past the end the positions are those of the steps.
    DEVICE int position(int step) const { return reverse && has(step) ? length - 1 - step : step; }

    // The row of step s in an array [N, T, ...], and where the numbers of such a row begin when it is `wide` long. The
    // caller sees to it that N * T is less than 2^31.
    DEVICE unsigned row(int step, int T) const { return static_cast<unsigned>(number * T + position(step)); }
    DEVICE size_t at(int step, int T, int wide) const { return static_cast<size_t>(row(step, T)) * static_cast<unsigned>(wide); }
};

// The number of steps of the longest of the cases from `first` on.
DEVICE int longest(int first, int cases, int N, int T, const int* lengths) {
    int most = 0;
    for (int number = first; number < first + cases && number < N; ++number) {
        const int length = lengths ? lengths[number] : T;
        most = length > most ? length : most;
    }
    return most;
}

// One 128-byte line of the row of a case that this thread asks for some steps before it is read, so that it comes from the
// L2 cache when it is. `null` where the thread has none.
struct LineAhead {
    static constexpr int steps = 6;
    const char* first = nullptr;  // in the first row of the array
    int row = 0;                  // bytes

    // Takes line `line` of the rows of H numbers of `bytes` bytes, if there is one; else it is one of the next array.
    DEVICE void take(int& line, const void* array, int H, int bytes) {
        const int lines = (H * bytes + 127) / 128;
        if (line >= 0 && line < lines && array != nullptr) {
            row = H * bytes;
            first = static_cast<const char*>(array) + line * 128;
        }
        line -= lines;
    }

    DEVICE void fetch(const Case& one, int step, int T) const {
        if (first != nullptr && step >= 0 && one.has(step)) {
            fetch_to_cache(first + one.at(step, T, row));
        }
    }
};

// Forward: two tiles of the tensor product are the gates i, j and f, o of 8 units, so that a lane gets the four gates of
// one unit for one or two cases. A warp has one such pair of tiles, or two for more than 96 units, where twice the warps
// would have too few registers each. Backward a warp has one tile, of 16 units.
// Of the scalar product 4 lanes have a unit forward, and 16 lanes four units backward.
template <Mode mode, int HP, int cases>
struct Places {
    static constexpr bool scalar = mode == Mode::exact;
    static constexpr int per_lane = scalar ? 1 : cases / 4;  // cases
    // Where a step takes longer than memory does, no line is fetched ahead: the registers are needed.
    static constexpr bool fetches = !(scalar && HP > 96);

    struct Forward {
        static constexpr int groups = !scalar && HP > 96 ? 2 : 1, threads = 4 * HP / groups, pairs = per_lane * groups;
        // With float32 and tf32 the weights of more than 96 units are more than the registers hold.
        static constexpr int most_held = scalar ? (HP > 96 ? 4 : 8) : mode == Mode::tf32 && HP > 96 ? 8 : 12;
        static DEVICE int unit(int pair) {
            return scalar ? threadIdx.x / 4 : (threadIdx.x / 32 * groups + pair / per_lane) * 8 + threadIdx.x % 32 / 4;
        }
        static DEVICE int number(int pair) {
            return scalar ? threadIdx.x % cases : threadIdx.x % 4 * per_lane + pair % per_lane;
        }
        static DEVICE bool first() { return !scalar || threadIdx.x % 4 < cases; }
    };

    struct Backward {
        static constexpr int threads = scalar ? 4 * HP : 2 * HP, pairs = scalar ? 1 : 2 * per_lane;
        static constexpr int most_held = scalar ? (HP > 96 ? 4 : 8) : 36;
        static DEVICE int unit(int pair) {
            return scalar ? threadIdx.x / 16 * 4 + threadIdx.x % 4
                          : threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4 + pair / per_lane * 8;
        }
        static DEVICE int number(int pair) {
            return scalar ? threadIdx.x / 4 % cases : threadIdx.x % 4 * per_lane + pair % per_lane;
        }
        // Several lanes have the same unit and case where there are fewer of them than lanes; one writes.
        static DEVICE bool first() { return !scalar || threadIdx.x % 16 < 4 * cases; }
    };
};
