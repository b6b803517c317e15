// Forward: the cases of a tile through all steps of a GRU.
#pragma once

#include "cases.h"
#include "gru_gates.h"
#include "gru_layout.h"
#include "product.h"

namespace quadgate::QUADGATE_TARGET {

// How the sums and the state before a step act on what comes after it. With d the gradient of h':
//
//     d_n = d * of_n        d_z = d * of_z        d_h = d * keep + what comes back through the sums
//     the reset after the product:     d_r = d * of_r            d_u = d * reset
//     the reset before it:             d_r = d_fed * of_r        d_h += d_fed * reset        fed = r * h
//
// These five and the weights are all that backward needs: [cases of the tile][blocks][planes][lanes] for a step.
enum GruPlane { kGruOfN, kGruOfZ, kGruOfR, kGruReset, kGruKeep, kGruPlanes };

template <class Real>
std::size_t gru_saved_size(const GruCell& cell, std::int64_t steps, std::int64_t recompute_every) {
  return static_cast<std::size_t>(recompute_every > 0 ? 0 : steps * GruLayout<Real>(cell).units * kGruPlanes);
}

// The cases of a tile at one step.
template <class Real>
struct GruForwardTile : TileCases<Real> {
  static constexpr int L = kLanes<Real>;

  GruForwardTile(const GruCell& cell, const Real* packed, const GruForward<Real>& call, Tile tile, Real* scratch)
      : TileCases<Real>(call, cell.reverse, tile), cell(cell), packed(packed), layout(cell) {
    const std::int64_t size = tile.count * layout.units;
    h = scratch;
    h_next = h + size;
    if (cell.reset_after) return;
    sum_n = h_next + size;
    sum_z = sum_n + size;
    fed = sum_z + size;
  }

  static std::size_t scratch_size(const GruCell& cell, std::int64_t cases) {
    return static_cast<std::size_t>(cases * GruLayout<Real>(cell).units * (cell.reset_after ? 2 : 5));
  }

  std::int64_t at(std::int64_t s, std::int64_t block) const { return s * layout.units + block * L; }

  const GruCell& cell;
  const Real* packed;
  GruLayout<Real> layout;
  Real* h;                // [cases][units], and so are all of these
  Real* h_next;
  Real* sum_n = nullptr;  // the rest where the reset is before the product
  Real* sum_z = nullptr;
  Real* fed = nullptr;    // r * h
};

// The starting states, dense or null, into the tile, filled up with zeros.
template <class Real>
void load_states(const GruForwardTile<Real>& t, const Real* h) {
  const std::int64_t H = t.cell.units;
  clear(t.h, t.tile.count * t.layout.units);
  clear(t.h_next, t.tile.count * t.layout.units);
  for (std::int64_t s = 0; h && s < t.tile.count; ++s) copy(t.h + s * t.layout.units, h + t.place[s] * H, H);
}

// A slope as it is saved: units that only fill up the last block have none, so that nothing comes back through them.
template <class Real>
QUADGATE_INLINE void save(const GruForwardTile<Real>& t, Real* saved, std::int64_t s, std::int64_t block, GruPlane plane,
                          Vector<Real> value) {
  constexpr int L = kLanes<Real>;
  Real* const to = saved + ((s * t.layout.blocks + block) * kGruPlanes + plane) * L;
  store(to, value);
  if (block + 1 == t.layout.blocks) {
    for (std::int64_t lane = t.cell.units - block * L; lane < L; ++lane) to[lane] = 0;
  }
}

// The next state of a vector of units of a case, and what it keeps of n and z.
template <bool kSave, class Real, class Gates>
QUADGATE_INLINE Vector<Real> next_state(const GruForwardTile<Real>& t, const Gates& gates, std::int64_t s,
                                        std::int64_t block, Vector<Real> sum_z, Vector<Real> sum_n, Real* saved) {
  const Vector<Real> h = load(t.h + t.at(s, block));
  Vector<Real> z, n;
  gates.open(sum_z, sum_n, z, n);
  const Vector<Real> rest = constant<Real>(1) - z, h_new = fma(z, h, rest * n);
  store(t.h_next + t.at(s, block), h_new);
  Real* const output = t.output_rows[s];
  if (output) store_part(output + block * kLanes<Real>, h_new, t.cell.units - block * kLanes<Real>);
  const Vector<Real> of_n = rest * gates.candidate_slope(n);
  if constexpr (kSave) {
    save<Real>(t, saved, s, block, kGruOfN, of_n);
    save<Real>(t, saved, s, block, kGruOfZ, (h - n) * gates.gate_slope(z));
    save<Real>(t, saved, s, block, kGruKeep, z);
  }
  return of_n;
}

// What a step does to a vector of units of a case, from its sums on, with the reset after the product.
template <bool kSave, class Real, class Gates>
QUADGATE_INLINE void finish_after(const GruForwardTile<Real>& t, const Gates& gates, std::int64_t s, std::int64_t block,
                                  const Vector<Real> (&sum)[kGruSums], Real* saved) {
  const Vector<Real> r = gates.gate(sum[kSumR]);
  const Vector<Real> of_n =
      next_state<kSave>(t, gates, s, block, sum[kSumZ], fma(r, sum[kSumU], sum[kSumN]), saved);
  if constexpr (kSave) {
    save<Real>(t, saved, s, block, kGruOfR, of_n * sum[kSumU] * gates.gate_slope(r));
    save<Real>(t, saved, s, block, kGruReset, of_n * r);
  }
}

// The same up to r, with the reset before the product; the sums of n and z wait for the rest.
template <bool kSave, class Real, class Gates>
QUADGATE_INLINE void finish_reset(const GruForwardTile<Real>& t, const Gates& gates, std::int64_t s, std::int64_t block,
                                  const Vector<Real> (&sum)[kGruSums], Real* saved) {
  const Vector<Real> r = gates.gate(sum[kSumR]), h = load(t.h + t.at(s, block));
  store(t.sum_n + t.at(s, block), sum[kSumN]);
  store(t.sum_z + t.at(s, block), sum[kSumZ]);
  store<Real>(t.fed + t.at(s, block), r * h);
  if constexpr (kSave) {
    save<Real>(t, saved, s, block, kGruOfR, h * gates.gate_slope(r));
    save<Real>(t, saved, s, block, kGruReset, r);
  }
}

// B blocks of units of S cases: the sums, and the gates on them while they are in registers.
template <int B, int S, bool kSave, bool kResetAfter, class Real, class Gates>
QUADGATE_INLINE void step_units(const GruForwardTile<Real>& t, const Gates& gates, std::int64_t first, std::int64_t block,
                                Real* saved) {
  constexpr int L = kLanes<Real>, kFromX = GruLayout<Real>::kFromX, kFromH = kResetAfter ? 3 : 2;
  const std::int64_t size = t.layout.block_size;
  const Real* const weights = t.packed + block * size;
  Vector<Real> of_x[B * kFromX][S], of_h[B * kFromH][S];
#pragma GCC unroll 8
  for (int v = 0; v < B * kFromX; ++v) {
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) of_x[v][s] = load(weights + v / kFromX * size + v % kFromX * L);
  }
  const Real* rows[S];
  for (int s = 0; s < S; ++s) rows[s] = t.x_rows[first + s];
  accumulate<B * kFromX, S, kFromX>(of_x, weights + t.layout.x_at, size, rows, t.cell.inputs);
#pragma GCC unroll 8
  for (int b = 0; b < B; ++b) {
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) {
      of_h[b * kFromH][s] = of_x[b * kFromX + kSumZ][s];
      of_h[b * kFromH + 1][s] = of_x[b * kFromX + kSumR][s];
      if constexpr (kResetAfter) of_h[b * kFromH + 2][s] = load(weights + b * size + kSumU * L);
    }
  }
  for (int s = 0; s < S; ++s) rows[s] = t.h + t.at(first + s, 0);
  accumulate<B * kFromH, S, kFromH>(of_h, weights + t.layout.h_at, size, rows, t.cell.units);

  // Where there are many activations the gates are compiled once, not once for each case and block.
  Vector<Real> sums[B * S][kGruSums];
#pragma GCC unroll 8
  for (int k = 0; k < B * S; ++k) {
    const int b = k / S, s = k % S;
    sums[k][kSumN] = of_x[b * kFromX + kSumN][s];
    sums[k][kSumZ] = of_h[b * kFromH][s];
    sums[k][kSumR] = of_h[b * kFromH + 1][s];
    if constexpr (kResetAfter) sums[k][kSumU] = of_h[b * kFromH + 2][s];
  }
#pragma GCC unroll 1
  for (int k = 0; k < B * S; ++k) {
    const std::int64_t s = first + k % S;
    if constexpr (kResetAfter) {
      finish_after<kSave>(t, gates, s, block + k / S, sums[k], saved);
    } else {
      finish_reset<kSave>(t, gates, s, block + k / S, sums[k], saved);
    }
  }
}

// n and the next state, from r * h on.
template <bool kSave, class Real, class Gates>
void feed(const GruForwardTile<Real>& t, const Gates& gates, std::int64_t count, Real* saved) {
  for_panels(t.layout.blocks, [&]<int V>(std::int64_t block) {
    const Real* const weights = t.packed + t.layout.fed_at + block * kLanes<Real> * t.cell.units;
    for_groups(count, [&]<int S>(std::int64_t first) {
      Vector<Real> sums[V][S];
      const Real* rows[S];
      for (int s = 0; s < S; ++s) {
        rows[s] = t.fed + t.at(first + s, 0);
        for (int v = 0; v < V; ++v) sums[v][s] = load(t.sum_n + t.at(first + s, block + v));
      }
      accumulate<V, S>(sums, weights, 0, rows, t.cell.units);
#pragma GCC unroll 1
      for (int s = 0; s < S; ++s) {
#pragma GCC unroll 1
        for (int v = 0; v < V; ++v) {
          next_state<kSave>(t, gates, first + s, block + v, load(t.sum_z + t.at(first + s, block + v)), sums[v][s],
                            saved);
        }
      }
    });
  });
}

// Reads steps [begin, end) from the state in the tile, and leaves the state there. `saved` is that of step `begin`.
template <bool kSave, class Real, class Gates>
void run_steps(GruForwardTile<Real>& t, const Gates& gates, std::int64_t begin, std::int64_t end, bool write_outputs,
               Real* saved) {
  // A lone case makes up for the missing others with a second block of units.
  constexpr int kPair = 2;
  const std::int64_t saved_step = t.tile.count * t.layout.units * kGruPlanes;
  const auto step = [&]<int B, int S>(std::int64_t first, std::int64_t block) {
    if (t.cell.reset_after) {
      step_units<B, S, kSave, true>(t, gates, first, block, saved);
    } else {
      step_units<B, S, kSave, false>(t, gates, first, block, saved);
    }
  };
  std::int64_t read = t.tile.count;
  for (std::int64_t r = begin; r < end; ++r) {
    const std::int64_t count = t.reading(r);
    t.find_rows(r, write_outputs);
    // A case that has ended keeps its state, in both places from now on.
    copy<Real>(t.h_next + t.at(count, 0), t.h + t.at(count, 0), (read - count) * t.layout.units);
    read = count;
    for (std::int64_t block = 0; block < t.layout.blocks;) {
      if (count == 1 && block + kPair <= t.layout.blocks) {
        step.template operator()<kPair, 1>(0, block);
        block += kPair;
        continue;
      }
      for_groups(count, [&]<int S>(std::int64_t first) { step.template operator()<1, S>(first, block); });
      ++block;
    }
    if (!t.cell.reset_after) feed<kSave>(t, gates, count, saved);
    Real* const h = t.h;
    t.h = t.h_next;
    t.h_next = h;
    if (kSave) saved += saved_step;
  }
}

template <class Real>
void gru_forward(const GruCell& cell, const Real* packed, const GruForward<Real>& call, Tile tile, Real* scratch) {
  GruForwardTile<Real> t(cell, packed, call, tile, scratch);
  load_states(t, call.h_start);
  const bool outputs = call.outputs.data != nullptr;
  with_gru_gates<Real>(cell, [&](const auto& gates) {
    if (call.saved && call.recompute_every == 0) {
      run_steps<true>(t, gates, 0, t.longest, outputs, call.saved + tile.first * gru_saved_size<Real>(cell, call.steps, 0));
    } else {
      run_steps<false>(t, gates, 0, t.longest, outputs, static_cast<Real*>(nullptr));
    }
  });
  t.clear_ends(call.outputs, cell.units);
  for (std::int64_t s = 0; call.h_final && s < tile.count; ++s) {
    copy<Real>(call.h_final + t.place[s] * cell.units, t.h + t.at(s, 0), cell.units);
  }
}

}  // namespace quadgate::QUADGATE_TARGET
