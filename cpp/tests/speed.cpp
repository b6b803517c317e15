// How fast the kernels are: milliseconds, and the share of the processor's peak of fused multiply-adds.
//
//     speed [H N threads [T C]]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "peak.h"
#include "problem.h"
#include "processor.h"

namespace {

using namespace quadgate;
using namespace quadgate::testing;

template <class Function>
double milliseconds(const Function& function) {
  double best = 1e30;
  double total = 0;
  for (int turn = 0; turn < 5 || (total < 500 && turn < 200); ++turn) {
    const auto begin = std::chrono::steady_clock::now();
    function();
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begin;
    best = std::min(best, taken.count());
    total += taken.count();
  }
  return best;
}

void measure(std::int64_t H, std::int64_t N, int threads, std::int64_t T, std::int64_t C) {
  LstmCell cell;
  cell.inputs = C, cell.units = H;
  const Problem<float> p(cell, N, T);
  Results<float> results(p);
  Gradients<float> gradients(p);
  results.saved.resize(lstm_saved_size<float>(p.cell, N, T, 0));

  const double peak = fma_peak(threads) / 1e9;
  const double product = 2.0 * N * T * 4 * H * (C + H) / 1e6;
  const auto report = [&](const char* what, double operations, double taken) {
    std::printf("%-6s H=%-4ld N=%-4ld threads=%d %9.2f ms %7.1f GFLOP/s %5.1f %% of %.1f\n", what, static_cast<long>(H),
                static_cast<long>(N), threads, taken, operations / taken, 100 * operations / taken / peak, peak);
  };
  const Lstm<float> frozen(p.cell, p.weights.read(p.cell), false);
  const LstmForward<float> infer = results.call(p);
  report("infer", product, milliseconds([&] { frozen.forward(infer, threads); }));

  LstmForward<float> forward = infer;
  forward.saved = results.saved.data();
  const LstmBackward<float> backward = gradients.call(p, forward);
  double ways[2] = {0, 0};
  const double step = milliseconds([&] {
    const Lstm<float> lstm(p.cell, p.weights.read(p.cell), true);
    lstm.forward(forward, threads);
    lstm.backward(backward, threads);
  });
  const Lstm<float> lstm(p.cell, p.weights.read(p.cell), true);
  ways[0] = milliseconds([&] { lstm.forward(forward, threads); });
  ways[1] = milliseconds([&] { lstm.backward(backward, threads); });
  report("train", 3 * product, step);
  std::printf("       of that forward %.2f, backward %.2f\n", ways[0], ways[1]);
}

}  // namespace

int main(int count, char** words) {
  const auto number = [&](int k, long otherwise) { return k < count ? std::atol(words[k]) : otherwise; };
  std::printf("%s\n", instruction_set().c_str());
  if (count > 1) {
    measure(number(1, 64), number(2, 32), static_cast<int>(number(3, 1)), number(4, 820), number(5, 12));
    return 0;
  }
  for (const std::int64_t H : {64, 128, 256}) {
    for (const std::int64_t N : {1, 32, 128}) {
      for (const int threads : {1, 2}) measure(H, N, threads, 820, 12);
    }
  }
}
