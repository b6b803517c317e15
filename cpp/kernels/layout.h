// The packed weights, and their way from and to the arrays of a framework.
//
// The kernel of a cell is [blocks of units][1 + C + P rows][4 gates][lanes]: its first row is the bias, and a block is read
// from front to back while it is multiplied. A step's gradient of z has the same order, [blocks][cases][4 gates][lanes],
// and so has the gradient of the kernel. Units that fill up the last block have weights of zero.
//
// Every other matrix is in panels.
#pragma once

#include "kernels.h"
#include "panels.h"

namespace quadgate::QUADGATE_TARGET {

constexpr int kGates = 4;

template <class Real>
struct Layout {
  static constexpr int kWide = kGates * kLanes<Real>;  // numbers of a row of a block

  explicit Layout(const LstmCell& cell)
      : rows(1 + cell.inputs + cell.width),
        blocks(divided_up(cell.units, kLanes<Real>)),
        units(blocks * kLanes<Real>),
        width(divided_up(cell.width, kLanes<Real>) * kLanes<Real>),
        inputs(divided_up(cell.inputs, kLanes<Real>) * kLanes<Real>),
        kernel_size(blocks * rows * kWide),
        peepholes_at(kernel_size),
        peepholes_size(blocks * 3 * kLanes<Real>),
        projection_at(peepholes_at + peepholes_size),
        projection_size(cell.projection ? width * cell.units : 0),
        forward_size(projection_at + projection_size),
        to_h_at(forward_size),
        to_x_at(to_h_at + width * blocks * kWide),
        to_shown_at(to_x_at + inputs * blocks * kWide),
        trainable_size(to_shown_at + (cell.projection ? units * cell.width : 0)) {}

  std::int64_t rows;                  // of a block: bias, x, h
  std::int64_t blocks;                // of units
  std::int64_t units, width, inputs;  // H, P, C filled up to whole vectors
  std::int64_t kernel_size;           // the kernel is at 0
  std::int64_t peepholes_at;          // [blocks][i, f, o][lanes]
  std::int64_t peepholes_size;
  std::int64_t projection_at;  // panels of [H, P]
  std::int64_t projection_size;
  std::int64_t forward_size;
  std::int64_t to_h_at;      // panels of [blocks x gates x lanes, P]: the gradient of z to that of h
  std::int64_t to_x_at;      // panels of [blocks x gates x lanes, C]
  std::int64_t to_shown_at;  // panels of [P, H]: back through the projection
  std::int64_t trainable_size;
};

template <class Real>
std::size_t packed_size(const LstmCell& cell, bool trainable) {
  const Layout<Real> layout(cell);
  return static_cast<std::size_t>(trainable ? layout.trainable_size : layout.forward_size);
}

// The rows of one array into those of the kernel that begin at `row`, [blocks][rows][4 gates][lanes].
template <class Real>
void pack_rows(const Layout<Real>& layout, const GateArray<const Real>& array, std::int64_t row, std::int64_t rows,
               std::int64_t H, Real* packed) {
  constexpr int L = kLanes<Real>;
  for (std::int64_t u = 0; u < H; u += L, packed += layout.rows * layout.kWide) {
    for (std::int64_t k = 0; k < rows; ++k) {
      for (int g = 0; g < kGates; ++g) {
        copy_units<L>(packed + (row + k) * layout.kWide + g * L, 1, &at(array, g, k, u), array.unit_stride, H - u);
      }
    }
  }
}

template <class Real>
void pack(const LstmCell& cell, const LstmArrays<const Real>& arrays, bool trainable, Real* packed) {
  constexpr int L = kLanes<Real>;
  const Layout<Real> layout(cell);
  const std::int64_t C = cell.inputs, H = cell.units, P = cell.width;
  clear(packed, trainable ? layout.trainable_size : layout.forward_size);
  pack_rows(layout, arrays.w_x, 1, C, H, packed);
  pack_rows(layout, arrays.w_h, 1 + C, P, H, packed);
  for (std::int64_t u = 0; u < H; ++u) {
    for (int g = 0; g < kGates; ++g) {
      Real& bias = packed[u / L * layout.rows * layout.kWide + g * L + u % L];
      if (arrays.b_x.data) bias += at(arrays.b_x, g, 0, u);
      if (arrays.b_h.data) bias += at(arrays.b_h, g, 0, u);
      if (g == 2) bias += static_cast<Real>(cell.forget_bias);
    }
    if (cell.peepholes) {
      Real* const peepholes = packed + layout.peepholes_at + u / L * 3 * L + u % L;
      peepholes[0] = at(arrays.peepholes, 0, 0, u);
      peepholes[L] = at(arrays.peepholes, 2, 0, u);
      peepholes[2 * L] = at(arrays.peepholes, 3, 0, u);
    }
    for (std::int64_t k = 0; cell.projection && k < P; ++k) {
      const Real weight = at(arrays.projection, 0, u, k);
      packed[layout.projection_at + in_panels<Real>(H, P, u, k)] = weight;
      if (trainable) packed[layout.to_shown_at + in_panels<Real>(P, H, k, u)] = weight;
    }
  }
  if (!trainable) return;
  const auto columns_from = [&](std::int64_t row) {
    return [&layout, packed, row](std::int64_t z) {
      return Column{packed + (z / layout.kWide * layout.rows + row) * layout.kWide + z % layout.kWide, layout.kWide};
    };
  };
  pack_transpose(layout.blocks * layout.kWide, C, columns_from(1), packed + layout.to_x_at);
  pack_transpose(layout.blocks * layout.kWide, P, columns_from(1 + C), packed + layout.to_h_at);
}

// The gradient: the kernel's, the peepholes' and the projection's, where they are in the packed weights.
template <class Real>
std::size_t gradient_size(const LstmCell& cell) {
  return static_cast<std::size_t>(Layout<Real>(cell).forward_size);
}

template <class Real>
void unpack_rows(const Layout<Real>& layout, const Real* gradient, std::int64_t row, std::int64_t rows, std::int64_t H,
                 const GateArray<Real>& to) {
  constexpr int L = kLanes<Real>;
  if (!to.data) return;
  for (std::int64_t u = 0; u < H; u += L, gradient += layout.rows * layout.kWide) {
    for (std::int64_t k = 0; k < rows; ++k) {
      for (int g = 0; g < kGates; ++g) {
        copy_units<L>(&at(to, g, k, u), to.unit_stride, gradient + (row + k) * layout.kWide + g * L, 1, H - u);
      }
    }
  }
}

template <class Real>
void unpack(const LstmCell& cell, const Real* gradient, const LstmArrays<Real>& to) {
  constexpr int L = kLanes<Real>;
  const Layout<Real> layout(cell);
  const std::int64_t C = cell.inputs, H = cell.units, P = cell.width;
  unpack_rows(layout, gradient, 0, 1, H, to.b_x);
  unpack_rows(layout, gradient, 0, 1, H, to.b_h);
  unpack_rows(layout, gradient, 1, C, H, to.w_x);
  unpack_rows(layout, gradient, 1 + C, P, H, to.w_h);
  for (std::int64_t u = 0; u < H; ++u) {
    if (cell.peepholes && to.peepholes.data) {
      const Real* const peepholes = gradient + layout.peepholes_at + u / L * 3 * L + u % L;
      at(to.peepholes, 0, 0, u) = peepholes[0];
      at(to.peepholes, 2, 0, u) = peepholes[L];
      at(to.peepholes, 3, 0, u) = peepholes[2 * L];
    }
    for (std::int64_t k = 0; cell.projection && to.projection.data && k < P; ++k) {
      at(to.projection, 0, u, k) = gradient[layout.projection_at + in_panels<Real>(H, P, u, k)];
    }
  }
}

}  // namespace quadgate::QUADGATE_TARGET
