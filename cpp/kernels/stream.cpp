#include "stream.h"

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>

#include "float_mode.h"

namespace quadgate {
namespace {

using std::int64_t;

// Streams that go through the network together, and steps of a chunk that they take through a layer at a time: what lies
// between two layers, and between the last one and the head, stays in the cache.
constexpr int64_t kTogether = 32;
int64_t steps_of_block(int64_t streams) { return std::clamp<int64_t>(1024 / std::min(streams, kTogether), 1, 64); }

int64_t inputs_of(const StreamedLayer& layer) {
  return std::visit([](const auto& one) { return one.packed->cell().inputs; }, layer);
}

int64_t width_of(const StreamedLayer& layer) {
  return std::visit([](const auto& one) { return one.width(); }, layer);
}

int64_t widest(const StreamParts& parts) {
  int64_t most = 0;
  for (const StreamedLayer& layer : parts.layers) most = std::max({most, inputs_of(layer), width_of(layer)});
  return most;
}

// Memory is given out in whole cache lines.
template <class Real>
std::size_t lines(std::size_t elements) {
  return (elements * sizeof(Real) + 63) / 64 * 64;
}

template <class Layer>
std::size_t scratch_of(const Layer& layer, int64_t streams, int64_t block) {
  using Real = typename Layer::Number;
  std::size_t size = lines<Real>(layer.packed->scratch_size(streams));
  if constexpr (!std::is_same_v<Real, float>) {
    size += lines<Real>(static_cast<std::size_t>(streams * block * layer.packed->cell().inputs));
    size += lines<Real>(static_cast<std::size_t>(streams * block * layer.width()));
  }
  return size;
}

std::size_t most_scratch(const StreamParts& parts, int64_t streams, int64_t block) {
  std::size_t most = 0;
  for (const StreamedLayer& layer : parts.layers) {
    most = std::max(most, std::visit([&](const auto& one) { return scratch_of(one, streams, block); }, layer));
  }
  return most;
}

}  // namespace

Stream::Stream(const StreamParts& parts)
    : parts_(parts),
      inputs_(inputs_of(parts.layers.front())),
      width_(parts.head ? parts.head->shape().classes : width_of(parts.layers.back())),
      features_(width_of(parts.layers.back())),
      together_(std::min(parts.streams, kTogether)),
      block_(steps_of_block(parts.streams)),
      row_size_(widest(parts)),
      limits_(static_cast<std::size_t>(2 * inputs_)),
      rows_(static_cast<std::size_t>(2 * together_ * block_ * row_size_)),
      features_of_case_(static_cast<std::size_t>(features_)),
      scratch_(most_scratch(parts, together_, block_)) {
  // Just below the largest float, so that rounding does not take a sample beyond it.
  constexpr double most = 0.999999 * std::numeric_limits<float>::max();
  for (int64_t k = 0; k < inputs_; ++k) {
    const double mean = parts.mean ? parts.mean[k] : 0, scale = parts.mean ? parts.scale[k] : 1;
    limits_.data()[k] = mean - most * scale;
    limits_.data()[inputs_ + k] = mean + most * scale;
  }
}

template <class Number>
Place Stream::advance(const Samples<Number>& samples, int64_t steps, float* answers) {
  const DefaultFloatMode mode;
  const Place bad = find_bad(samples, steps);
  if (bad.stream >= 0) return bad;
  for (int64_t first = 0; first < parts_.streams; first += together_) {
    const int64_t streams = std::min(parts_.streams - first, together_);
    for (int64_t begin = 0; begin < steps; begin += block_) {
      const Part part{first, streams, begin, std::min(steps - begin, block_)};
      float* x = rows_.data();
      float* outputs = x + together_ * block_ * row_size_;
      scale(samples, part, x);
      for (const StreamedLayer& layer : parts_.layers) {
        std::visit([&](const auto& one) { run(one, part, x, outputs); }, layer);
        std::swap(x, outputs);
      }
      answer(part, x, steps, answers);
    }
  }
  return bad;
}

template Place Stream::advance(const Samples<float>&, int64_t, float*);
template Place Stream::advance(const Samples<double>&, int64_t, float*);

template <class Number>
Place Stream::find_bad(const Samples<Number>& samples, int64_t steps) const {
  const int64_t C = inputs_;
  const double* const least = limits_.data();
  const double* const most = least + C;
  for (int64_t n = 0; n < parts_.streams; ++n) {
    for (int64_t t = 0; t < steps; ++t) {
      const Number* const row = samples.data + n * samples.n + t * samples.t;
      bool good = true;
      for (int64_t k = 0; k < C; ++k) good &= (row[k] >= least[k]) & (row[k] <= most[k]);
      for (int64_t k = 0; !good && k < C; ++k) {
        if (!(row[k] >= least[k] && row[k] <= most[k])) return {n, t, k};
      }
    }
  }
  return {};
}

// In double and rounded once, as quadgate.model.Scaling does it.
template <class Number>
void Stream::scale(const Samples<Number>& samples, const Part& part, float* to) const {
  const int64_t C = inputs_;
  for (int64_t n = part.first; n < part.first + part.streams; ++n) {
    for (int64_t t = part.begin; t < part.begin + part.steps; ++t, to += C) {
      const Number* const from = samples.data + n * samples.n + t * samples.t;
      if (parts_.mean) {
        for (int64_t k = 0; k < C; ++k) to[k] = static_cast<float>((from[k] - parts_.mean[k]) / parts_.scale[k]);
      } else {
        for (int64_t k = 0; k < C; ++k) to[k] = static_cast<float>(from[k]);
      }
    }
  }
}

template <class Layer>
void Stream::run(const Layer& layer, const Part& part, const float* x, float* outputs) {
  using Real = typename Layer::Number;
  const int64_t N = part.streams, T = part.steps, C = layer.packed->cell().inputs, P = layer.width();
  auto call = layer.from(part.first);
  call.cases = N;
  call.steps = T;
  char* room = scratch_.data();
  if constexpr (std::is_same_v<Real, float>) {
    call.x = {x, T * C, C};
    call.outputs = {outputs, T * P, P};
    layer.packed->forward(call, reinterpret_cast<Real*>(room));
  } else {
    Real* const wide_x = reinterpret_cast<Real*>(room);
    room += lines<Real>(static_cast<std::size_t>(together_ * block_ * C));
    Real* const wide_outputs = reinterpret_cast<Real*>(room);
    room += lines<Real>(static_cast<std::size_t>(together_ * block_ * P));
    std::copy_n(x, N * T * C, wide_x);
    call.x = {wide_x, T * C, C};
    call.outputs = {wide_outputs, T * P, P};
    layer.packed->forward(call, reinterpret_cast<Real*>(room));
    std::transform(wide_outputs, wide_outputs + N * T * P, outputs, [](Real y) { return static_cast<float>(y); });
  }
}

void Stream::answer(const Part& part, const float* outputs, int64_t steps, float* answers) {
  const int64_t carried = parts_.head ? carried_size(parts_.head->shape()) : 0;
  for (int64_t n = part.first; n < part.first + part.streams; ++n) {
    for (int64_t t = part.begin; t < part.begin + part.steps; ++t, outputs += features_) {
      float* const to = answers + (n * steps + t) * width_;
      if (parts_.head) {
        parts_.head->step(outputs, parts_.carried + n * carried, parts_.probabilities, features_of_case_.data(), to);
      } else {
        std::copy_n(outputs, width_, to);
      }
    }
  }
}

}  // namespace quadgate
