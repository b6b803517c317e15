// As lstm.cpp, for a GRU.
#include "gru.h"

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
std::size_t gru_saved_size(const GruCell& cell, std::int64_t cases, std::int64_t steps,
                            std::int64_t recompute_every) {
  return static_cast<std::size_t>(cases) * gru_kernels<Real>().saved_size(cell, steps, recompute_every);
}

template std::size_t gru_saved_size<float>(const GruCell&, std::int64_t, std::int64_t, std::int64_t);
template std::size_t gru_saved_size<double>(const GruCell&, std::int64_t, std::int64_t, std::int64_t);

template <class Real>
struct Gru<Real>::Packed {
  GruCell cell;
  const GruKernels<Real>& kernels;
  Buffer<Real> weights;
};

template <class Real>
Gru<Real>::Gru(const GruCell& cell, const GruArrays<const Real>& arrays, bool trainable) {
  const GruKernels<Real>& kernels = gru_kernels<Real>();
  packed_.reset(new Packed{cell, kernels, Buffer<Real>(kernels.packed_size(cell, trainable))});
  const DefaultFloatMode mode;
  kernels.pack(cell, arrays, trainable, packed_->weights.data());
}

template <class Real>
Gru<Real>::~Gru() = default;
template <class Real>
Gru<Real>::Gru(Gru&&) noexcept = default;
template <class Real>
Gru<Real>& Gru<Real>::operator=(Gru&&) noexcept = default;

template <class Real>
void Gru<Real>::forward(const GruForward<Real>& call, int threads) const {
  const Work work = forward_work(call, threads);
  run_beside({&work}, threads);
}

template <class Real>
Work Gru<Real>::forward_work(const GruForward<Real>& call, int threads) const {
  if (call.cases == 0) return {};
  const auto& [cell, kernels, weights] = *packed_;
  const Tiles tiles = call.saved ? training_tiles(call) : tiles_for(call, threads);
  advise_large_pages(call.outputs, call.cases, call.steps, cell.units);
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
Work Gru<Real>::forward_steps(const GruForward<Real>& call, std::int64_t steps) const {
  const auto task = [packed = packed_.get(), call, steps](std::size_t k) {
    GruForward<Real> part = call;
    const std::vector<std::int64_t> lengths = cut_to(part, static_cast<std::int64_t>(k) * steps, steps);
    if (call.lengths) part.lengths = lengths.data();
    if (k > 0) part.h_start = call.h_final;
    const Buffer<Real> scratch(packed->kernels.forward_scratch(packed->cell, std::min(call.cases, kMostCases)));
    forward_tiles(*packed, part, scratch.data());
  };
  return {static_cast<std::size_t>(divided_up(call.steps, steps)), task, {}};
}

template <class Real>
std::size_t Gru<Real>::scratch_size(std::int64_t cases) const {
  return packed_->kernels.forward_scratch(packed_->cell, std::min(cases, kMostCases));
}

template <class Real>
void Gru<Real>::forward(const GruForward<Real>& call, Real* scratch) const {
  forward_tiles(*packed_, call, scratch);
}

template <class Real>
const GruCell& Gru<Real>::cell() const {
  return packed_->cell;
}

template <class Real>
void Gru<Real>::backward(const GruBackward<Real>& call, int threads) const {
  const Work work = backward_work(call);
  run_beside({&work}, threads);
}

template <class Real>
Work Gru<Real>::backward_work(const GruBackward<Real>& call) const {
  const GruArrays<Real>& to = call.d_weights;
  return backward_tiles(*packed_, call, to.w_x.data || to.w_h.data || to.b_x.data || to.b_h.data);
}

template class Gru<float>;
template class Gru<double>;

}  // namespace quadgate
