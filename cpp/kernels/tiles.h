// How a batch is cut into tiles.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <type_traits>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "buffer.h"
#include "float_mode.h"
#include "kernels.h"
#include "views.h"
#include "work.h"

namespace quadgate {

// Asks for large pages under memory that is about to be written for the first time: outputs are megabytes and what a
// training step saves is tens of them, and the system would stop it at every 4 KB. A hint: where it fails, nothing is lost.
template <class Real>
void advise_large_pages([[maybe_unused]] Real* data, [[maybe_unused]] std::size_t size) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr std::uintptr_t kPage = 1 << 21;
  const auto begin = reinterpret_cast<std::uintptr_t>(data), end = begin + size * sizeof(Real);
  const std::uintptr_t first = (begin + kPage - 1) / kPage * kPage, last = end / kPage * kPage;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

// The same for sequences, where they lie together.
template <class Real>
void advise_large_pages(const Steps<Real>& sequences, std::int64_t cases, std::int64_t steps, std::int64_t width) {
  const std::int64_t size = cases * steps * width;
  const std::int64_t span = (cases - 1) * sequences.n + (steps - 1) * sequences.t + width;
  if (sequences.data && sequences.n >= 0 && sequences.t >= 0 && span == size) {
    advise_large_pages(sequences.data, static_cast<std::size_t>(size));
  }
}

inline std::int64_t divided_up(std::int64_t value, std::int64_t by) { return (value + by - 1) / by; }

// The cases of a call in `count` tiles, as even as can be.
class Tiles {
 public:
  template <class Forward>
  Tiles(const Forward& call, std::int64_t count) : cases_(call.cases), count_(count) {
    if (call.lengths) sort(call.lengths);
  }

  std::int64_t count() const { return count_; }
  Tile operator[](std::size_t tile) const {
    const std::int64_t k = static_cast<std::int64_t>(tile), first = k * cases_ / count_;
    return {first, (k + 1) * cases_ / count_ - first, order_.empty() ? nullptr : order_.data()};
  }

 private:
  // Long cases first: those of a tile are of like length, and the longest work begins first. With a few tiles only,
  // whose threads would wait for that of the long ones, each gets some of every length.
  void sort(const std::int64_t* lengths) {
    std::vector<std::int64_t> sorted(static_cast<std::size_t>(cases_));
    std::iota(sorted.begin(), sorted.end(), 0);
    std::stable_sort(sorted.begin(), sorted.end(), [&](std::int64_t a, std::int64_t b) { return lengths[a] > lengths[b]; });
    order_ = sorted;
    if (count_ >= kManyTiles) return;
    auto next = sorted.begin();
    for (std::int64_t row = 0; next != sorted.end(); ++row) {
      for (std::int64_t k = 0; k < count_; ++k) {
        const Tile tile = (*this)[static_cast<std::size_t>(k)];
        if (row < tile.count) order_[static_cast<std::size_t>(tile.first + row)] = *next++;
      }
    }
  }

  static constexpr std::int64_t kManyTiles = 4;
  std::int64_t cases_, count_;
  std::vector<std::int64_t> order_;
};

// Where nothing depends on it, the number of tiles follows that of the threads.
template <class Forward>
Tiles tiles_for(const Forward& call, int threads) {
  const std::int64_t least = divided_up(call.cases, kMostCases), fair = std::max(threads, 1);
  return {call, std::min(call.cases, divided_up(least, fair) * fair)};
}

// The tiles of a training step decide how the weight gradient is summed, so they depend on the batch alone.
template <class Forward>
Tiles training_tiles(const Forward& call) {
  return {call, divided_up(call.cases, 16)};
}

// Cuts a call down to `steps` steps from `begin` on, but for its state, and returns the lengths of its cases in there.
template <class Forward>
std::vector<std::int64_t> cut_to(Forward& call, std::int64_t begin, std::int64_t steps) {
  call.steps = std::min(steps, call.steps - begin);
  call.x.data += begin * call.x.t;
  if (call.outputs.data) call.outputs.data += begin * call.outputs.t;
  std::vector<std::int64_t> lengths;
  for (std::int64_t n = 0; call.lengths && n < call.cases; ++n) {
    lengths.push_back(std::clamp<std::int64_t>(call.lengths[n] - begin, 0, call.steps));
  }
  return lengths;
}

// Every tile forward, one after the other in the same scratch, on the calling thread.
template <class Packed, class Call, class Real>
void forward_tiles(const Packed& packed, const Call& call, Real* scratch) {
  const DefaultFloatMode mode;
  for (std::int64_t first = 0; first < call.cases; first += kMostCases) {
    packed.kernels.forward(packed.cell, packed.weights.data(), call,
                           {first, std::min(call.cases - first, kMostCases)}, scratch);
  }
}

// The way back of a batch: every tile with a gradient of its own where the weights have one (`trains`), and after them
// all the sum, in the order of the tiles. `packed` and what the call points to live until the work is done.
template <class Packed, class Call>
Work backward_tiles(const Packed& packed, const Call& call, bool trains) {
  using Real = std::remove_cv_t<std::remove_pointer_t<decltype(packed.weights.data())>>;
  const auto& [cell, kernels, weights] = packed;
  const Tiles tiles = training_tiles(call.forward);
  advise_large_pages(call.d_x, call.forward.cases, call.forward.steps, cell.inputs);
  const std::size_t size = trains ? kernels.gradient_size(cell) : 0;
  const auto gradients = std::make_shared<Buffer<Real>>(size * std::max<std::size_t>(tiles.count(), 1));
  if (tiles.count() == 0) std::fill_n(gradients->data(), size, Real(0));
  const auto task = [&packed, call, tiles, size, trains, gradients](std::size_t tile) {
    const auto& [cell, kernels, weights] = packed;
    const DefaultFloatMode mode;
    const Buffer<Real> scratch(kernels.backward_scratch(cell, call.forward, tiles[tile].count));
    kernels.backward(cell, weights.data(), call, tiles[tile], scratch.data(),
                     trains ? gradients->data() + tile * size : nullptr);
  };
  const auto add_up = [&packed, call, count = tiles.count(), size, gradients] {
    const auto& [cell, kernels, weights] = packed;
    const DefaultFloatMode mode;
    for (std::int64_t tile = 1; tile < count; ++tile) {
      kernels.add(gradients->data(), gradients->data() + tile * size, size);
    }
    kernels.unpack(cell, gradients->data(), call.d_weights);
  };
  return {static_cast<std::size_t>(tiles.count()), task, trains ? std::function<void()>(add_up) : nullptr};
}

}  // namespace quadgate
