// How a batch is cut into tiles.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "float_mode.h"
#include "kernels.h"

namespace quadgate {

// Asks for large pages under memory that is about to be written for the first time: a training step saves tens of
// megabytes, and the system would stop it at every 4 KB of them. A hint: where it fails, nothing is lost.
template <class Real>
void advise_large_pages([[maybe_unused]] Real* data, [[maybe_unused]] std::size_t size) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr std::uintptr_t kPage = 1 << 21;
  const auto begin = reinterpret_cast<std::uintptr_t>(data), end = begin + size * sizeof(Real);
  const std::uintptr_t first = (begin + kPage - 1) / kPage * kPage, last = end / kPage * kPage;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

// `count` tiles of N cases, as even as can be.
struct Tiles {
  std::int64_t cases, count;
  Tile operator[](std::size_t tile) const {
    const std::int64_t k = static_cast<std::int64_t>(tile), first = k * cases / count;
    return {first, (k + 1) * cases / count - first};
  }
};

inline std::int64_t divided_up(std::int64_t value, std::int64_t by) { return (value + by - 1) / by; }

// Where nothing depends on it, the number of tiles follows that of the threads.
inline Tiles tiles_for(std::int64_t cases, int threads) {
  const std::int64_t least = divided_up(cases, kMostCases), fair = std::max(threads, 1);
  return {cases, std::min(cases, divided_up(least, fair) * fair)};
}

// The tiles of a training step decide how the weight gradient is summed, so they depend on the batch alone.
inline Tiles training_tiles(std::int64_t cases) { return {cases, divided_up(cases, 16)}; }

// Every tile forward, one after the other in the same scratch, on the calling thread.
template <class Packed, class Call, class Real>
void forward_tiles(const Packed& packed, const Call& call, Real* scratch) {
  const DefaultFloatMode mode;
  for (std::int64_t first = 0; first < call.cases; first += kMostCases) {
    packed.kernels.forward(packed.cell, packed.weights.data(), call,
                           {first, std::min(call.cases - first, kMostCases)}, scratch);
  }
}

}  // namespace quadgate
