// The packed weights of a GRU, and their way from and to the arrays of a framework.
//
// What x is multiplied with is n, z, r; what h is multiplied with is z, r and, with the reset after the product, u, the
// part of n that r multiplies. In the order n, z, r, u both are neighbours. So a block of units is
//
//     [n, z, r, u][lanes]            the bias; of u, zero where the reset is before the product
//     [C rows][n, z, r][lanes]
//     [H rows][z, r, u][lanes]       or z, r
//
// and a step's gradient of the four sums is [blocks][cases][n, z, r, u][lanes]. With the reset before the product, what
// (r * h) is multiplied with stands in panels of [H, H].
#pragma once

#include "kernels.h"
#include "panels.h"

namespace quadgate::QUADGATE_TARGET {

enum GruSum { kSumN, kSumZ, kSumR, kSumU, kGruSums };

template <class Real>
struct GruLayout {
  static constexpr int L = kLanes<Real>;
  static constexpr int kWide = kGruSums * L;  // numbers of a block in a gradient of the sums
  static constexpr int kFromX = 3;            // n, z, r

  explicit GruLayout(const GruCell& cell)
      : from_h(cell.reset_after ? 3 : 2),
        blocks(divided_up(cell.units, L)),
        units(blocks * L),
        inputs(divided_up(cell.inputs, L) * L),
        x_at(kWide),
        h_at(x_at + cell.inputs * kFromX * L),
        block_size(h_at + cell.units * from_h * L),
        fed_at(blocks * block_size),
        fed_size(cell.reset_after ? 0 : units * cell.units),
        forward_size(fed_at + fed_size),
        to_h_at(forward_size),
        to_x_at(to_h_at + units * blocks * from_h * L),
        to_fed_at(to_x_at + inputs * blocks * kFromX * L),
        trainable_size(to_fed_at + fed_size) {}

  std::int64_t from_h;         // vectors that h is multiplied with in a block
  std::int64_t blocks;         // of units
  std::int64_t units, inputs;  // H, C filled up to whole vectors
  std::int64_t x_at, h_at;     // in a block
  std::int64_t block_size;
  std::int64_t fed_at;  // panels of [H, H]: from r * h to n
  std::int64_t fed_size;
  std::int64_t forward_size;
  std::int64_t to_h_at;    // panels of [blocks x from_h x lanes, H]: the gradient of the sums to that of h
  std::int64_t to_x_at;    // panels of [blocks x 3 x lanes, C]
  std::int64_t to_fed_at;  // panels of [H, H]: the gradient of n to that of r * h
  std::int64_t trainable_size;
};

// Gates z, r, n: where the sum of each stands for x, and for h where the reset is after the product.
constexpr int kGruGates = 3;
constexpr int kSumFromX[kGruGates] = {kSumZ, kSumR, kSumN};
constexpr int kSumFromH[kGruGates] = {kSumZ, kSumR, kSumU};

template <class Real>
std::size_t gru_packed_size(const GruCell& cell, bool trainable) {
  const GruLayout<Real> layout(cell);
  return static_cast<std::size_t>(trainable ? layout.trainable_size : layout.forward_size);
}

template <class Real>
void gru_pack(const GruCell& cell, const GruArrays<const Real>& arrays, bool trainable, Real* packed) {
  constexpr int L = kLanes<Real>, kFromX = GruLayout<Real>::kFromX;
  const GruLayout<Real> layout(cell);
  const std::int64_t C = cell.inputs, H = cell.units, from_h = layout.from_h;
  clear(packed, trainable ? layout.trainable_size : layout.forward_size);
  for (std::int64_t u = 0; u < H; ++u) {
    Real* const block = packed + u / L * layout.block_size + u % L;
    for (int g = 0; g < kGruGates; ++g) {
      if (arrays.b_x.data) block[kSumFromX[g] * L] += at(arrays.b_x, g, 0, u);
      if (arrays.b_h.data) block[(cell.reset_after ? kSumFromH[g] : kSumFromX[g]) * L] += at(arrays.b_h, g, 0, u);
    }
  }
  for (std::int64_t u = 0; u < H; u += L) {
    Real* const block = packed + u / L * layout.block_size;
    const auto copy = [&](Real* to, const GateArray<const Real>& array, int g, std::int64_t k) {
      copy_units<L>(to, 1, &at(array, g, k, u), array.unit_stride, H - u);
    };
    for (std::int64_t k = 0; k < C; ++k) {
      for (int g = 0; g < kGruGates; ++g) copy(block + layout.x_at + (k * kFromX + kSumFromX[g]) * L, arrays.w_x, g, k);
    }
    for (std::int64_t k = 0; k < H; ++k) {
      for (int g = 0; g < kGruGates; ++g) {
        const int of_h = kSumFromH[g] - kSumZ;  // in the sums of x n is the first; in those of h z is
        copy(of_h < from_h ? block + layout.h_at + (k * from_h + of_h) * L
                           : packed + layout.fed_at + in_panels<Real>(H, H, k, u),
             arrays.w_h, g, k);
      }
    }
  }
  if (!trainable) return;
  const auto columns_of = [&](std::int64_t at, std::int64_t width) {
    return [&layout, packed, at, width](std::int64_t row) {
      return Column{packed + row / width * layout.block_size + at + row % width, width};
    };
  };
  const std::int64_t x_width = kFromX * L, h_width = from_h * L;
  pack_transpose(layout.blocks * x_width, C, columns_of(layout.x_at, x_width), packed + layout.to_x_at);
  pack_transpose(layout.blocks * h_width, H, columns_of(layout.h_at, h_width), packed + layout.to_h_at);
  if (cell.reset_after) return;
  const auto fed = [&](std::int64_t u) {
    const std::int64_t first = in_panels<Real>(H, H, 0, u);
    return Column{packed + layout.fed_at + first, in_panels<Real>(H, H, 1, u) - first};
  };
  pack_transpose(H, H, fed, packed + layout.to_fed_at);
}

// The gradient, where the weights are in the packed ones.
template <class Real>
std::size_t gru_gradient_size(const GruCell& cell) {
  return static_cast<std::size_t>(GruLayout<Real>(cell).forward_size);
}

template <class Real>
void gru_unpack(const GruCell& cell, const Real* gradient, const GruArrays<Real>& to) {
  constexpr int L = kLanes<Real>, kFromX = GruLayout<Real>::kFromX;
  const GruLayout<Real> layout(cell);
  const std::int64_t C = cell.inputs, H = cell.units;
  for (std::int64_t u = 0; u < H; ++u) {
    const Real* const block = gradient + u / L * layout.block_size + u % L;
    for (int g = 0; g < kGruGates; ++g) {
      const int from_x = kSumFromX[g], of_h = kSumFromH[g] - kSumZ;
      if (to.b_x.data) at(to.b_x, g, 0, u) = block[from_x * L];
      if (to.b_h.data) at(to.b_h, g, 0, u) = block[(cell.reset_after ? kSumFromH[g] : from_x) * L];
      for (std::int64_t k = 0; to.w_x.data && k < C; ++k) {
        at(to.w_x, g, k, u) = block[layout.x_at + (k * kFromX + from_x) * L];
      }
      for (std::int64_t k = 0; to.w_h.data && k < H; ++k) {
        at(to.w_h, g, k, u) = of_h < layout.from_h ? block[layout.h_at + (k * layout.from_h + of_h) * L]
                                                   : gradient[layout.fed_at + in_panels<Real>(H, H, k, u)];
      }
    }
  }
}

}  // namespace quadgate::QUADGATE_TARGET
