// Packed matrices, and numbers where a framework keeps them.
//
// A matrix [K, columns] is in panels of up to four vectors of columns: [panels][K][vectors][lanes].
#pragma once

#include <algorithm>
#include <cstddef>

#include "vector.h"
#include "views.h"

namespace quadgate::QUADGATE_TARGET {

inline std::int64_t divided_up(std::int64_t value, std::int64_t by) { return (value + by - 1) / by; }

// Calls function.template operator()<V>(first) for panels of V <= 4 vectors that cover `vectors`.
template <class Function>
QUADGATE_INLINE void for_panels(std::int64_t vectors, const Function& function) {
  for (std::int64_t first = 0; first < vectors; first += 4) {
    switch (vectors - first) {
      case 1: function.template operator()<1>(first); break;
      case 2: function.template operator()<2>(first); break;
      case 3: function.template operator()<3>(first); break;
      default: function.template operator()<4>(first); break;
    }
  }
}

// Where [k, column] of a matrix of K rows is in its panels.
template <class Real>
QUADGATE_INLINE std::int64_t in_panels(std::int64_t K, std::int64_t columns, std::int64_t k, std::int64_t column) {
  const std::int64_t vectors = divided_up(columns, kLanes<Real>), first = column / (4 * kLanes<Real>) * 4;
  const std::int64_t in_panel = vectors - first < 4 ? vectors - first : 4;
  return (first * K + k * in_panel) * kLanes<Real> + column - first * kLanes<Real>;
}

template <class Real>
QUADGATE_INLINE auto& at(const GateArray<Real>& array, int gate, std::int64_t row, std::int64_t unit) {
  return array.data[array.gate_offset[gate] + row * array.row_stride + unit * array.unit_stride];
}

// Up to `Lanes` numbers of `there`, each at its step; whole vectors of neighbours are what the compiler makes quick.
template <int Lanes, class Real>
QUADGATE_INLINE void copy_units(Real* to, std::int64_t to_step, const Real* from, std::int64_t from_step,
                                std::int64_t there) {
  if (there >= Lanes && to_step == 1 && from_step == 1) {
    for (int u = 0; u < Lanes; ++u) to[u] = from[u];
  } else if (there >= Lanes) {
    for (int u = 0; u < Lanes; ++u) to[u * to_step] = from[u * from_step];
  } else {
    for (std::int64_t u = 0; u < there; ++u) to[u * to_step] = from[u * from_step];
  }
}

// A column of a packed matrix: its first number, and the step from one to the next.
template <class Real>
struct Column {
  const Real* first;
  std::int64_t step;
};

// Fills the panels of a matrix [K, columns] with another's columns, for the way back: row z is the Column that column(z)
// tells. The packed matrix is read, not the framework's, because it lies together.
template <class Real, class Function>
void pack_transpose(std::int64_t K, std::int64_t columns, const Function& column, Real* panels) {
  constexpr std::int64_t kPanel = 4 * kLanes<Real>;
  const std::int64_t filled_up = divided_up(columns, kLanes<Real>) * kLanes<Real>;
  for (std::int64_t first = 0; first < columns; first += kPanel) {
    const std::int64_t width = std::min(kPanel, filled_up - first), there = std::min(width, columns - first);
    for (std::int64_t z = 0; z < K; ++z, panels += width) {
      const Column<Real> from = column(z);
      for (std::int64_t k = 0; k < there; ++k) panels[k] = from.first[(first + k) * from.step];
    }
  }
}

template <class Real>
void add(Real* sum, const Real* gradient, std::size_t size) {
  std::size_t k = 0;
  for (; k + kLanes<Real> <= size; k += kLanes<Real>) store<Real>(sum + k, load(sum + k) + load(gradient + k));
  for (; k < size; ++k) sum[k] += gradient[k];
}

template <class Real>
inline void copy(Real* to, const Real* from, std::int64_t size) {
  for (std::int64_t k = 0; k < size; ++k) to[k] = from[k];
}

template <class Real>
inline void clear(Real* to, std::int64_t size) {
  for (std::int64_t k = 0; k < size; ++k) to[k] = 0;
}

}  // namespace quadgate::QUADGATE_TARGET
