// Compiled with contraction, so that a * b + c is one instruction wherever the processor has it.
#include "peak.h"

#include <atomic>
#include <chrono>
#include <string>

#include "processor.h"
#include "thread_pool.h"

namespace quadgate {
namespace {

constexpr int kChains = 12;  // enough independent sums to hide the latency, and they fit 16 registers
constexpr long kTurns = 400000;

// Every chain tends to 2: no denormals, no overflow, and nothing the compiler could foresee.
#define QUADGATE_CHAINS(BYTES)                                                \
  typedef float Vector __attribute__((vector_size(BYTES)));                   \
  volatile float seed = 0.5f;                                                 \
  const Vector half = Vector{} + seed, one = half + half;                     \
  Vector sum[kChains];                                                        \
  for (int k = 0; k < kChains; ++k) sum[k] = one * static_cast<float>(k);     \
  for (long turn = 0; turn < kTurns; ++turn) {                                \
    for (int k = 0; k < kChains; ++k) sum[k] = sum[k] * half + one;           \
  }                                                                           \
  float total = 0;                                                            \
  for (int k = 0; k < kChains; ++k) total += sum[k][0];                       \
  seed = total;                                                               \
  return 2.0 * kTurns * kChains * (BYTES / sizeof(float))

#if defined(__x86_64__)
__attribute__((target("avx512f,fma"))) double operations_avx512() { QUADGATE_CHAINS(64); }
__attribute__((target("avx2,fma"))) double operations_avx2() { QUADGATE_CHAINS(32); }
#endif
double operations_baseline() { QUADGATE_CHAINS(16); }

double operations() {
#if defined(__x86_64__)
  const std::string name = instruction_set();
  if (name == "avx512") return operations_avx512();
  if (name == "avx2") return operations_avx2();
#endif
  return operations_baseline();
}

}  // namespace

double fma_peak(int threads) {
  std::atomic<long> done{0};
  const auto begin = std::chrono::steady_clock::now();
  run_together(threads, [&](int, int) { done += static_cast<long>(operations()); });
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  return static_cast<double>(done.load()) / taken.count();
}

}  // namespace quadgate
