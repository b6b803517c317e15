// The inner loops of every matrix product.
#pragma once

#include "vector.h"

namespace quadgate::QUADGATE_TARGET {

// Cases that share each weight that is loaded: with four vectors of outputs for each, as many sums as registers hold.
constexpr int kGroup = kRegisters == 32 ? 6 : 3;

// sums[v][s] += weights[k][v] * rows[s][k] for k rising, in one chain of fused multiply-adds per sum: weights is
// [depth][kInBlock vectors], with vectors beyond those in the next block; rows are S addresses of [depth].
template <int V, int S, int kInBlock = (V < 4 ? V : 4), class Real>
QUADGATE_INLINE void accumulate(Vector<Real> (&sums)[V][S], const Real* weights, std::int64_t block_size,
                                const Real* const (&rows)[S], std::int64_t depth) {
  for (std::int64_t k = 0; k < depth; ++k) {
    Vector<Real> values[S];
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) values[s] = broadcast(rows[s][k]);
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      const Vector<Real> weight = load(weights + v / kInBlock * block_size + v % kInBlock * kLanes<Real>);
#pragma GCC unroll 8
      for (int s = 0; s < S; ++s) sums[v][s] = fma(weight, values[s], sums[v][s]);
    }
    weights += kInBlock * kLanes<Real>;
  }
}

// sums[v][s] += right[row][v] * left[row][s] for rows rising: right is [rows][V vectors] and left [rows][S], each with its
// own number of elements from row to row.
template <int V, int S, class Real>
QUADGATE_INLINE void accumulate_outer(Vector<Real> (&sums)[V][S], const Real* right, std::int64_t right_stride,
                                      const Real* left, std::int64_t left_stride, std::int64_t rows) {
  for (std::int64_t row = 0; row < rows; ++row) {
    Vector<Real> values[S];
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) values[s] = broadcast(left[s]);
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      const Vector<Real> factor = load(right + v * kLanes<Real>);
#pragma GCC unroll 8
      for (int s = 0; s < S; ++s) sums[v][s] = fma(factor, values[s], sums[v][s]);
    }
    right += right_stride;
    left += left_stride;
  }
}

// Calls function.template operator()<S>(first) for groups of S <= kGroup that cover [0, count), as even as can be: a
// group of one has too few sums to hide the latency of each.
template <class Function>
QUADGATE_INLINE void for_groups(std::int64_t count, const Function& function) {
  const std::int64_t groups = (count + kGroup - 1) / kGroup;
  std::int64_t first = 0;
  for (std::int64_t group = 0; group < groups; ++group) {
    const std::int64_t size = (count - first + groups - group - 1) / (groups - group);
    switch (size) {
      case 1: function.template operator()<1>(first); break;
      case 2: function.template operator()<2>(first); break;
      case 3: function.template operator()<3>(first); break;
      case 4: if constexpr (kGroup >= 4) function.template operator()<4>(first); break;
      case 5: if constexpr (kGroup >= 5) function.template operator()<5>(first); break;
      default: if constexpr (kGroup >= 6) function.template operator()<6>(first); break;
    }
    first += size;
  }
}

// to[panels][left columns][V vectors] += left^T right, over all rows; right is [panels][rows][V vectors], with
// right_stride elements from row to row.
template <int V, class Real>
QUADGATE_INLINE void add_outer(Real* to, const Real* left, std::int64_t left_stride, std::int64_t left_columns,
                               const Real* right, std::int64_t right_stride, std::int64_t rows) {
  constexpr int L = kLanes<Real>;
  for_groups(left_columns, [&]<int S>(std::int64_t first) {
    Vector<Real> sums[V][S] = {};
    accumulate_outer<V, S>(sums, right, right_stride, left + first, left_stride, rows);
    for (int s = 0; s < S; ++s) {
      Real* const row = to + (first + s) * V * L;
      for (int v = 0; v < V; ++v) store<Real>(row + v * L, load(row + v * L) + sums[v][s]);
    }
  });
}

// The same with one left column, in short sums that are added up: a bias gathers a gradient from every row, all of one
// sign as often as not, and loses three times as much in one long chain.
template <int V, class Real>
QUADGATE_INLINE void add_column(Real* to, const Real* left, std::int64_t left_stride, const Real* right,
                                std::int64_t right_stride, std::int64_t rows) {
  constexpr std::int64_t L = kLanes<Real>, kShort = 16;
  Vector<Real> total[V] = {};
  for (std::int64_t first = 0; first < rows; first += kShort) {
    Vector<Real> sums[V][1] = {};
    accumulate_outer<V, 1>(sums, right + first * right_stride, right_stride, left + first * left_stride, left_stride,
                           rows - first < kShort ? rows - first : kShort);
    for (int v = 0; v < V; ++v) total[v] += sums[v][0];
  }
  for (int v = 0; v < V; ++v) store<Real>(to + v * L, load(to + v * L) + total[v]);
}

}  // namespace quadgate::QUADGATE_TARGET
