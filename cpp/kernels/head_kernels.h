// The kernels of head.h. Packed: [query][K rows of weights][biases], rows of F filled up with zeros to whole sums.
#pragma once

#include "functions.h"
#include "head.h"

namespace quadgate::QUADGATE_TARGET {

constexpr int kChains = 16;  // of a sum

template <class Real>
constexpr int kChainVectors = kChains / kLanes<Real>;

inline std::int64_t whole_chains(std::int64_t size) { return (size + kChains - 1) / kChains * kChains; }

QUADGATE_INLINE float sum_of_chains(const Vector<float> (&sums)[kChainVectors<float>]) {
  float chains[kChains];
  for (int v = 0; v < kChainVectors<float>; ++v) store(chains + v * kLanes<float>, sums[v]);
#pragma GCC unroll 4
  for (int half = kChains / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int k = 0; k < half; ++k) chains[k] += chains[k + half];
  }
  return chains[0];
}

// row . values; values are filled up to whole chains, and row is not.
QUADGATE_INLINE float dot(const float* row, const float* values, std::int64_t size) {
  constexpr int L = kLanes<float>;
  Vector<float> sums[kChainVectors<float>] = {};
  for (std::int64_t k = 0; k < size; k += kChains) {
#pragma GCC unroll 4
    for (int v = 0; v < kChainVectors<float>; ++v) {
      const Vector<float> part = load_part(row + k + v * L, size - k - v * L);
      sums[v] = fma(part, load(values + k + v * L), sums[v]);
    }
  }
  return sum_of_chains(sums);
}

// e^x for x <= 0, and 0 where that is no normal number.
template <class Real>
QUADGATE_INLINE Vector<Real> exp_of_negative(Vector<Real> x) {
  using K = ExponentialConstants<Real>;
  const Vector<Real> least = constant<Real>(K::kLeast), zero{};
  const auto [scale, fraction] = exponential<Real>(limit(x, least, zero));
  return x < least ? zero : fma(scale, fraction, scale);
}

inline std::size_t head_packed_size(const HeadShape& head) {
  const std::int64_t width = whole_chains(head.features);
  return static_cast<std::size_t>((head.pool == Pool::attention ? width : 0) + head.classes * (width + 1));
}

inline void pack_head(const HeadShape& head, const float* query, const float* weights, const float* biases,
                      float* packed) {
  const std::int64_t F = head.features, K = head.classes, width = whole_chains(F);
  if (head.pool == Pool::attention) {
    for (std::int64_t f = 0; f < width; ++f) *packed++ = f < F ? query[f] : 0;
  }
  for (std::int64_t k = 0; k < K; ++k) {
    for (std::int64_t f = 0; f < width; ++f) *packed++ = f < F ? weights[f * K + k] : 0;
  }
  for (std::int64_t k = 0; k < K; ++k) packed[k] = biases[k];
}

// The score of a step decides how much it counts.
inline void gather_attention(const HeadShape& head, const float* query, const float* outputs, double* carried) {
  double& total = carried[0];
  double& highest = carried[1];
  double* const sums = carried + 2;
  const double score = dot(outputs, query, head.features);
  double weight = 1;
  if (total == 0 || score > highest) {
    const double scale = total == 0 ? 0 : exp_of_negative<double>(constant(highest - score))[0];
    for (std::int64_t f = 0; f < head.features; ++f) sums[f] *= scale;
    total *= scale;
    highest = score;
  } else {
    weight = exp_of_negative<double>(constant(score - highest))[0];
  }
  for (std::int64_t f = 0; f < head.features; ++f) sums[f] += weight * outputs[f];
  total += weight;
}

inline void gather(const HeadShape& head, const float* packed, const float* outputs, double* carried) {
  const std::int64_t F = head.features;
  double* const sums = carried + 2;
  switch (head.pool) {
    case Pool::last: return;
    case Pool::mean:
      for (std::int64_t f = 0; f < F; ++f) sums[f] += outputs[f];
      break;
    case Pool::max: {
      const bool first = carried[0] == 0;
      for (std::int64_t f = 0; f < F; ++f) sums[f] = !first && sums[f] >= outputs[f] ? sums[f] : outputs[f];
      break;
    }
    case Pool::attention: return gather_attention(head, packed, outputs, carried);
  }
  carried[0] += 1;
}

inline void gathered_features(const HeadShape& head, const double* carried, float* features) {
  const double* const sums = carried + 2;
  const bool divides = head.pool != Pool::max && carried[0] != 0;
  for (std::int64_t f = 0; f < head.features; ++f) {
    features[f] = static_cast<float>(divides ? sums[f] / carried[0] : sums[f]);
  }
}

inline void softmax(float* values, std::int64_t size) {
  constexpr int L = kLanes<float>;
  float highest = values[0];
  for (std::int64_t k = 1; k < size; ++k) highest = values[k] > highest ? values[k] : highest;
  Vector<float> sums[kChainVectors<float>] = {};
  for (std::int64_t k = 0; k < size; k += kChains) {
    for (int v = 0; v < kChainVectors<float>; ++v) {
      const std::int64_t first = k + v * L, count = size - first;
      if (count <= 0) break;
      const Vector<float> part = exp_of_negative<float>(load_part(values + first, count) - constant(highest));
      store_part(values + first, part, count);
      sums[v] += load_part(values + first, count);
    }
  }
  const float total = sum_of_chains(sums);
  for (std::int64_t k = 0; k < size; ++k) values[k] /= total;
}

inline void answer(const HeadShape& head, const float* packed, const float* features, bool probabilities,
                   float* answer) {
  const std::int64_t F = head.features, K = head.classes, width = whole_chains(F);
  const float* const weights = packed + (head.pool == Pool::attention ? width : 0);
  const float* const biases = weights + K * width;
  for (std::int64_t k = 0; k < K; ++k) answer[k] = biases[k] + dot(features, weights + k * width, F);
  if (probabilities) softmax(answer, K);
}

}  // namespace quadgate::QUADGATE_TARGET
