// The cases of a tile: how long each is, and where its steps are. They are sorted, the longest first, so that those which
// have ended are the last ones, and a step leaves them out.
#pragma once

#include "kernels.h"
#include "panels.h"

namespace quadgate::QUADGATE_TARGET {

// Steps between two states that are kept; a multiple of the steps whose weight gradient is summed at once, so that
// recomputing does not change where a sum begins.
constexpr std::int64_t kLongestSum = 256;
inline std::int64_t steps_of_sum(std::int64_t cases) { return divided_up(kLongestSum, cases); }
inline std::int64_t steps_of_segment(std::int64_t cases, std::int64_t recompute_every) {
  return divided_up(recompute_every, steps_of_sum(cases)) * steps_of_sum(cases);
}

template <class Real>
struct TileCases {
  template <class Forward>
  TileCases(const Forward& call, bool reverse, Tile tile)
      : tile(tile), steps(call.steps), reverse(reverse), x(call.x), outputs(call.outputs) {
    for (std::int64_t s = 0; s < tile.count; ++s) {
      const std::int64_t at = tile.order ? tile.order[tile.first + s] : tile.first + s;
      const std::int64_t steps_of_case = call.lengths ? call.lengths[at] : call.steps;
      std::int64_t k = s;
      for (; k > 0 && length[k - 1] < steps_of_case; --k) {
        place[k] = place[k - 1];
        length[k] = length[k - 1];
      }
      place[k] = at;
      length[k] = steps_of_case;
    }
    longest = length[0];
  }

  // How many cases read an r-th step: the first so many, for they are sorted.
  std::int64_t reading(std::int64_t r) const {
    std::int64_t count = tile.count;
    while (count > 0 && length[count - 1] <= r) --count;
    return count;
  }

  // Where case s keeps the step that it reads as its r-th.
  template <class Element>
  Element* row(const Steps<Element>& array, std::int64_t s, std::int64_t r) const {
    return array.data + place[s] * array.n + (reverse ? length[s] - 1 - r : r) * array.t;
  }
  const Real* x_row(std::int64_t s, std::int64_t r) const { return row(x, s, r); }
  Real* output_row(std::int64_t s, std::int64_t r) const { return row(outputs, s, r); }

  // The rows of the r-th step of the cases that read it.
  void find_rows(std::int64_t r, bool write_outputs) {
    const std::int64_t count = reading(r);
    for (std::int64_t s = 0; s < count; ++s) {
      x_rows[s] = x_row(s, r);
      output_rows[s] = write_outputs ? output_row(s, r) : nullptr;
    }
  }

  // Zero past the end of each case.
  void clear_ends(const Steps<Real>& array, std::int64_t width) const {
    for (std::int64_t s = 0; array.data && s < tile.count; ++s) {
      for (std::int64_t t = length[s]; t < steps; ++t) clear(array.data + place[s] * array.n + t * array.t, width);
    }
  }

  Tile tile;
  std::int64_t steps;
  bool reverse;
  Steps<const Real> x;
  Steps<Real> outputs;
  std::int64_t place[kMostCases];   // of a case in the batch; the longest comes first
  std::int64_t length[kMostCases];
  std::int64_t longest;
  const Real* x_rows[kMostCases];
  Real* output_rows[kMostCases];  // null where nothing is to be written
};

}  // namespace quadgate::QUADGATE_TARGET
