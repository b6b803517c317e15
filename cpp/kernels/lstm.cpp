// Cuts a batch into tiles, gives them to the threads, and adds up what they made of the weight gradient.
#include "lstm.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "buffer.h"
#include "float_mode.h"
#include "kernels.h"
#include "tiles.h"

namespace quadgate {
template <class Real>
std::size_t lstm_saved_size(const LstmCell& cell, std::int64_t cases, std::int64_t steps,
                            std::int64_t recompute_every) {
  return static_cast<std::size_t>(cases) * lstm_kernels<Real>().saved_size(cell, steps, recompute_every);
}

template std::size_t lstm_saved_size<float>(const LstmCell&, std::int64_t, std::int64_t, std::int64_t);
template std::size_t lstm_saved_size<double>(const LstmCell&, std::int64_t, std::int64_t, std::int64_t);

template <class Real>
struct Lstm<Real>::Packed {
  LstmCell cell;
  const LstmKernels<Real>& kernels;
  Buffer<Real> weights;
};

template <class Real>
Lstm<Real>::Lstm(const LstmCell& cell, const LstmArrays<const Real>& arrays, bool trainable) {
  const LstmKernels<Real>& kernels = lstm_kernels<Real>();
  packed_.reset(new Packed{cell, kernels, Buffer<Real>(kernels.packed_size(cell, trainable))});
  const DefaultFloatMode mode;
  kernels.pack(cell, arrays, trainable, packed_->weights.data());
}

template <class Real>
Lstm<Real>::~Lstm() = default;
template <class Real>
Lstm<Real>::Lstm(Lstm&&) noexcept = default;
template <class Real>
Lstm<Real>& Lstm<Real>::operator=(Lstm&&) noexcept = default;

template <class Real>
void Lstm<Real>::forward(const LstmForward<Real>& call, int threads) const {
  const Work work = forward_work(call, threads);
  run_beside({&work}, threads);
}

template <class Real>
Work Lstm<Real>::forward_work(const LstmForward<Real>& call, int threads) const {
  if (call.cases == 0) return {};
  const auto& [cell, kernels, weights] = *packed_;
  const Tiles tiles = call.saved ? training_tiles(call) : tiles_for(call, threads);
  advise_large_pages(call.outputs, call.cases, call.steps, cell.width);
  if (call.saved) {
    advise_large_pages(call.saved, call.cases * kernels.saved_size(cell, call.steps, call.recompute_every));
  }
  const auto task = [packed = packed_.get(), call, tiles](std::size_t tile) {
    const auto& [cell, kernels, weights] = *packed;
    const DefaultFloatMode mode;
    const Buffer<Real> scratch(kernels.forward_scratch(cell, tiles[tile].count));
    kernels.forward(cell, weights.data(), call, tiles[tile], scratch.data());
  };
  return {static_cast<std::size_t>(tiles.count()), task, {}};
}

template <class Real>
Work Lstm<Real>::forward_steps(const LstmForward<Real>& call, std::int64_t steps) const {
  const auto task = [packed = packed_.get(), call, steps](std::size_t k) {
    LstmForward<Real> part = call;
    const std::vector<std::int64_t> lengths = cut_to(part, static_cast<std::int64_t>(k) * steps, steps);
    if (call.lengths) part.lengths = lengths.data();
    if (k > 0) part.c_start = call.c_final, part.h_start = call.h_final;
    const Buffer<Real> scratch(packed->kernels.forward_scratch(packed->cell, std::min(call.cases, kMostCases)));
    forward_tiles(*packed, part, scratch.data());
  };
  return {static_cast<std::size_t>(divided_up(call.steps, steps)), task, {}};
}

template <class Real>
std::size_t Lstm<Real>::scratch_size(std::int64_t cases) const {
  return packed_->kernels.forward_scratch(packed_->cell, std::min(cases, kMostCases));
}

template <class Real>
void Lstm<Real>::forward(const LstmForward<Real>& call, Real* scratch) const {
  forward_tiles(*packed_, call, scratch);
}

template <class Real>
const LstmCell& Lstm<Real>::cell() const {
  return packed_->cell;
}

template <class Real>
void Lstm<Real>::backward(const LstmBackward<Real>& call, int threads) const {
  const Work work = backward_work(call);
  run_beside({&work}, threads);
}

template <class Real>
Work Lstm<Real>::backward_work(const LstmBackward<Real>& call) const {
  const LstmArrays<Real>& to = call.d_weights;
  return backward_tiles(*packed_, call, to.w_x.data || to.w_h.data || to.b_x.data || to.b_h.data || to.peepholes.data || to.projection.data);
}

template class Lstm<float>;
template class Lstm<double>;

}  // namespace quadgate
