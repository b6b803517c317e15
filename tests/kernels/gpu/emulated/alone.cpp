// One kernel over a batch, with the threads of the operating system, for the sanitizers to watch; by hand:
//
//     g++ -std=c++20 -O1 -g -fsanitize=thread -DEMULATE_WITH_THREADS -I tests/kernels/gpu/emulated
//         -I src/quadgate/kernels/gpu  <the definitions of a Variant>  tests/kernels/gpu/emulated/alone.cpp
//
// and again with -fsanitize=address,undefined. `python -m kernels.gpu.sanitize`, run in tests/, does it for every mode.
#include "run.cpp"

int main() {
    constexpr int N = 6, T = 5, H = HP - 3;
    const std::vector<int> lengths = {5, 0, 3, 1, 5, 4};
    unsigned random = 1;
    const auto numbers = [&](int count) {
        std::vector<Stored> all(static_cast<std::size_t>(count));
        for (Stored& one : all) {
            random = random * 1664525 + 1013904223;
            one = Number<mode>::stored(static_cast<float>(random >> 8) * 0x1p-25f);
        }
        return all;
    };
    const auto zeros = [](int count) { return std::vector<float>(static_cast<std::size_t>(count)); };
    std::vector<Stored> wide = numbers(N * T * 4 * H), w_h = numbers(4 * H * H), h = numbers(N * H), narrow = numbers(N * T * H);
    std::vector<Stored> gates(wide.size()), h_T(h.size());
    std::vector<float> c = zeros(N * H), c_T = c, d_h = c, cells = zeros(N * T * H);
    const auto body = [&](int reverse) {
#ifdef QUADGATE_FORWARD
        return [&, reverse] {
            lstm_forward(wide.data(), w_h.data(), c.data(), h.data(), lengths.data(), narrow.data(), c_T.data(), h_T.data(),
                         gates.data(), cells.data(), N, T, H, 0, T, 0.75f, reverse);
        };
#else
        return [&, reverse] {
            lstm_backward(w_h.data(), wide.data(), cells.data(), c.data(), lengths.data(), narrow.data(), c.data(), c.data(),
                          gates.data(), c_T.data(), d_h.data(), N, T, H, 0, T, reverse);
        };
#endif
    };
    for (const int reverse : {0, 1}) {
        for (unsigned number = 0; number < (N + cases - 1) / cases; ++number) {
            run_block(number, QUADGATE_THREADS, 0, body(reverse));
        }
    }
    std::printf("%d units, %d cases: done\n", HP, cases);
}
