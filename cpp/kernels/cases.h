// The cases of a tile: how long each is, and where its steps are.
#pragma once

#include "kernels.h"
#include "panels.h"

namespace quadgate::QUADGATE_TARGET {

// Steps between two states that are kept; a multiple of the steps whose weight gradient is summed at once, so that
// recomputing does not change where a sum begins.
inline std::int64_t steps_of_sum(std::int64_t cases) { return divided_up(256, cases); }
inline std::int64_t steps_of_segment(std::int64_t cases, std::int64_t recompute_every) {
  return divided_up(recompute_every, steps_of_sum(cases)) * steps_of_sum(cases);
}

template <class Real>
struct TileCases {
  template <class Forward>
  TileCases(const Forward& call, bool reverse, Tile tile)
      : tile(tile), steps(call.steps), reverse(reverse), x(call.x), outputs(call.outputs) {
    for (std::int64_t s = 0; s < tile.count; ++s) {
      length[s] = call.lengths ? call.lengths[tile.first + s] : call.steps;
      if (length[s] > longest) longest = length[s];
    }
  }

  bool reads(std::int64_t s, std::int64_t r) const { return r < length[s]; }

  // Where case s keeps the step that it reads as its r-th.
  template <class Element>
  Element* row(const Steps<Element>& array, std::int64_t s, std::int64_t r) const {
    return array.data + (tile.first + s) * array.n + (reverse ? length[s] - 1 - r : r) * array.t;
  }
  const Real* x_row(std::int64_t s, std::int64_t r) const { return row(x, s, r); }
  Real* output_row(std::int64_t s, std::int64_t r) const { return row(outputs, s, r); }

  // The rows of the r-th step; a case that has ended gets a row of x that it may read and nobody uses.
  void find_rows(std::int64_t r, bool write_outputs) {
    for (std::int64_t s = 0; s < tile.count; ++s) {
      x_rows[s] = reads(s, r) ? x_row(s, r) : x.data + (tile.first + s) * x.n;
      output_rows[s] = reads(s, r) && write_outputs ? output_row(s, r) : nullptr;
    }
  }

  // Zero past the end of each case.
  void clear_ends(const Steps<Real>& array, std::int64_t width) const {
    for (std::int64_t s = 0; array.data && s < tile.count; ++s) {
      for (std::int64_t t = length[s]; t < steps; ++t) clear(array.data + (tile.first + s) * array.n + t * array.t, width);
    }
  }

  Tile tile;
  std::int64_t steps;
  bool reverse;
  Steps<const Real> x;
  Steps<Real> outputs;
  std::int64_t length[kMostCases];
  std::int64_t longest = 0;
  const Real* x_rows[kMostCases];
  Real* output_rows[kMostCases];  // null where nothing is to be written
};

}  // namespace quadgate::QUADGATE_TARGET
