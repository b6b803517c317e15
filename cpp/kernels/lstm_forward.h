// Forward: the cases of a tile through all steps.
#pragma once

#include "cases.h"
#include "gates.h"
#include "layout.h"
#include "product.h"

namespace quadgate::QUADGATE_TARGET {

// What backward needs of a step of a unit vector, in this order.
enum Plane { kOfI, kOfJ, kOfF, kOfO, kOfC, kKeep, kBasicPlanes };

// [cases of the tile][blocks][planes][lanes] for a step; the optional planes are c before and after for the gradient of
// peepholes, and o * output(c) for that of a projection.
template <class Real>
struct SavedLayout {
  explicit SavedLayout(const LstmCell& cell)
      : states(kBasicPlanes), shown(states + (cell.peepholes ? 2 : 0)), planes(shown + (cell.projection ? 1 : 0)) {}
  int states, shown, planes;
};

template <class Real>
std::size_t saved_size(const LstmCell& cell, std::int64_t steps, std::int64_t recompute_every) {
  const Layout<Real> layout(cell);
  if (recompute_every > 0) return static_cast<std::size_t>(divided_up(steps, recompute_every) * layout.units);
  return static_cast<std::size_t>(steps * layout.units * SavedLayout<Real>(cell).planes);
}

// The cases of a tile at one step.
template <class Real>
struct ForwardTile : TileCases<Real> {
  static constexpr int L = kLanes<Real>;

  // Vectors of units, over cases and blocks, whose gates follow each other. Each waits for itself most of the time, so
  // that it takes this many to keep the processor busy; and they are to stay in the nearest cache.
  static constexpr std::int64_t kLeastUnits = 8, kMostUnits = kMostCases;

  // Steps of a lone case whose share of x is summed before the first of them: each weight of x is then loaded once for
  // several steps, which are to one another what cases are otherwise.
  static constexpr std::int64_t kAhead = 16;

  ForwardTile(const LstmCell& cell, const Real* packed, const LstmForward<Real>& call, Tile tile, Real* scratch)
      : TileCases<Real>(call, cell.reverse, tile), cell(cell), packed(packed), call(call), layout(cell), saved_layout(cell) {
    c = scratch;
    h = c + tile.count * layout.units;
    h_next = h + tile.count * layout.width;
    shown = h_next + tile.count * layout.width;
    z = shown + (cell.projection ? tile.count * layout.units : 0);
    ahead = z + kMostUnits * layout.kWide;
  }

  static std::size_t scratch_size(const LstmCell& cell, std::int64_t cases) {
    const Layout<Real> layout(cell);
    return static_cast<std::size_t>(cases * (layout.units + 2 * layout.width + (cell.projection ? layout.units : 0)) +
                                    (kMostUnits + kAhead * layout.blocks) * layout.kWide);
  }

  Real* c_of(std::int64_t s, std::int64_t block) const { return c + (block * this->tile.count + s) * L; }
  Real* planes_of(Real* saved, std::int64_t s, std::int64_t block) const {
    return saved + (s * layout.blocks + block) * saved_layout.planes * L;
  }

  const LstmCell& cell;
  const Real* packed;
  const LstmForward<Real>& call;
  Layout<Real> layout;
  SavedLayout<Real> saved_layout;
  Real* c;       // [blocks][cases][lanes]
  Real* h;       // [cases][width]
  Real* h_next;  // [cases][width]
  Real* shown;   // [cases][units], where there is a projection
  Real* z;       // [blocks at a time][cases][gates][lanes]
  Real* ahead;   // [steps][blocks][gates][lanes], of a lone case
};

// [cases][size] dense, or null, into the tile's own order, filled up with zeros; and back.
template <class Real>
void load_states(const ForwardTile<Real>& t, const Real* c, const Real* h) {
  constexpr int L = kLanes<Real>;
  const std::int64_t H = t.cell.units, P = t.cell.width;
  clear(t.c, t.tile.count * t.layout.units);
  clear(t.h, t.tile.count * t.layout.width);
  clear(t.h_next, t.tile.count * t.layout.width);
  for (std::int64_t s = 0; s < t.tile.count; ++s) {
    for (std::int64_t u = 0; c && u < H; u += L) {
      store(t.c_of(s, u / L), load_part(c + t.place[s] * H + u, H - u));
    }
    if (h) copy(t.h + s * t.layout.width, h + t.place[s] * P, P);
  }
}

template <class Real>
void store_states(const ForwardTile<Real>& t, Real* c, Real* h) {
  constexpr int L = kLanes<Real>;
  const std::int64_t H = t.cell.units, P = t.cell.width;
  for (std::int64_t s = 0; s < t.tile.count; ++s) {
    for (std::int64_t u = 0; c && u < H; u += L) {
      store_part(c + t.place[s] * H + u, load(t.c_of(s, u / L)), H - u);
    }
    if (h) copy(h + t.place[s] * P, t.h + s * t.layout.width, P);
  }
}

// The new c of a vector of units of a case, from their sums z. `saved` is the step's.
template <bool kSave, class Real, class Gates>
QUADGATE_INLINE void remember_units(const ForwardTile<Real>& t, const Gates& gates, std::int64_t s, std::int64_t block,
                                    const Real* z, Real* saved) {
  constexpr int L = kLanes<Real>;
  Real* const c = t.c_of(s, block);
  const Vector<Real> c_before = load(c);
  Slopes<Real> slopes;
  const Vector<Real> c_new =
      gates.template remember<kSave>(z, c_before, t.packed + t.layout.peepholes_at + block * 3 * L, slopes);
  store(c, c_new);
  if constexpr (kSave) {
    Real* const planes = t.planes_of(saved, s, block);
    store(planes + kOfI * L, slopes.of_i);
    store(planes + kOfJ * L, slopes.of_j);
    store(planes + kOfF * L, slopes.of_f);
    store(planes + kKeep * L, slopes.keep);
    if (Gates::kGeneral && t.cell.peepholes) {
      store(planes + t.saved_layout.states * L, c_before);
      store(planes + (t.saved_layout.states + 1) * L, c_new);
    }
  }
}

// What they show, once their c is new.
template <bool kSave, class Real, class Gates>
QUADGATE_INLINE void show_units(const ForwardTile<Real>& t, const Gates& gates, std::int64_t s, std::int64_t block,
                                const Real* z, Real* saved) {
  constexpr int L = kLanes<Real>;
  const std::int64_t unit = block * L;
  Slopes<Real> slopes;
  const Vector<Real> shown = gates.template show<kSave>(
      z, load(t.c_of(s, block)), t.packed + t.layout.peepholes_at + block * 3 * L, slopes);
  if (Gates::kGeneral && t.cell.projection) {
    store(t.shown + s * t.layout.units + unit, shown);
  } else {
    store(t.h_next + s * t.layout.width + unit, shown);
    Real* const output = t.output_rows[s];
    if (output) store_part(output + unit, shown, t.cell.units - unit);
  }
  if constexpr (kSave) {
    Real* const planes = t.planes_of(saved, s, block);
    store(planes + kOfO * L, slopes.of_o);
    store(planes + kOfC * L, slopes.of_c);
    if (Gates::kGeneral && t.cell.projection) store(planes + t.saved_layout.shown * L, shown);
  }
}

// The sums of B blocks of units of S of the first `count` cases.
template <int B, int S, class Real>
QUADGATE_INLINE void sum_units(const ForwardTile<Real>& t, std::int64_t count, std::int64_t first, std::int64_t block,
                               Real* z) {
  constexpr int L = kLanes<Real>;
  const std::int64_t block_size = t.layout.rows * t.layout.kWide;
  const Real* weights = t.packed + block * block_size;
  Vector<Real> sums[B * kGates][S];
#pragma GCC unroll 8
  for (int v = 0; v < B * kGates; ++v) {
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) sums[v][s] = load(weights + v / kGates * block_size + v % kGates * L);
  }
  const Real* rows[S];
  for (int s = 0; s < S; ++s) rows[s] = t.x_rows[first + s];
  weights += t.layout.kWide;
  accumulate<B * kGates, S>(sums, weights, block_size, rows, t.cell.inputs);
  for (int s = 0; s < S; ++s) rows[s] = t.h + (first + s) * t.layout.width;
  weights += t.cell.inputs * t.layout.kWide;
  accumulate<B * kGates, S>(sums, weights, block_size, rows, t.cell.width);
#pragma GCC unroll 8
  for (int v = 0; v < B * kGates; ++v) {
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) {
      store(z + ((v / kGates * count + first + s) * kGates + v % kGates) * L, sums[v][s]);
    }
  }
}

// The share of x, and the bias, of `steps` steps of a lone case from the r-th on.
template <class Real>
void sum_ahead(const ForwardTile<Real>& t, std::int64_t r, std::int64_t steps) {
  constexpr int L = kLanes<Real>;
  const std::int64_t block_size = t.layout.rows * t.layout.kWide;
  for (std::int64_t block = 0; block < t.layout.blocks; ++block) {
    const Real* const weights = t.packed + block * block_size;
    for_groups(steps, [&]<int S>(std::int64_t first) {
      Vector<Real> sums[kGates][S];
      const Real* rows[S];
      for (int s = 0; s < S; ++s) rows[s] = t.x_row(0, r + first + s);
      for (int v = 0; v < kGates; ++v) {
        for (int s = 0; s < S; ++s) sums[v][s] = load(weights + v * L);
      }
      accumulate<kGates, S>(sums, weights + t.layout.kWide, block_size, rows, t.cell.inputs);
      for (int v = 0; v < kGates; ++v) {
        for (int s = 0; s < S; ++s) {
          store(t.ahead + ((first + s) * t.layout.blocks + block) * t.layout.kWide + v * L, sums[v][s]);
        }
      }
    });
  }
}

// The sums of B blocks of units of a lone case, whose share of x is in `ahead`.
template <int B, class Real>
QUADGATE_INLINE void sum_rest(const ForwardTile<Real>& t, const Real* ahead, std::int64_t block, Real* z) {
  constexpr int L = kLanes<Real>;
  const std::int64_t block_size = t.layout.rows * t.layout.kWide;
  Vector<Real> sums[B * kGates][1];
#pragma GCC unroll 8
  for (int v = 0; v < B * kGates; ++v) sums[v][0] = load(ahead + block * t.layout.kWide + v * L);
  const Real* const rows[1] = {t.h};
  accumulate<B * kGates, 1>(sums, t.packed + block * block_size + (1 + t.cell.inputs) * t.layout.kWide, block_size, rows,
                            t.cell.width);
#pragma GCC unroll 8
  for (int v = 0; v < B * kGates; ++v) store(z + v * L, sums[v][0]);
}

template <class Real>
void project(const ForwardTile<Real>& t, std::int64_t count) {
  constexpr int L = kLanes<Real>;
  const Real limit = static_cast<Real>(t.cell.projection_clip);
  for_panels(t.layout.width / L, [&]<int V>(std::int64_t first_vector) {
    const Real* const weights = t.packed + t.layout.projection_at + first_vector * L * t.cell.units;
    for_groups(count, [&]<int S>(std::int64_t first) {
      Vector<Real> sums[V][S] = {};
      const Real* rows[S];
      for (int s = 0; s < S; ++s) rows[s] = t.shown + (first + s) * t.layout.units;
      accumulate<V, S>(sums, weights, 0, rows, t.cell.units);
      for (int s = 0; s < S; ++s) {
        for (int v = 0; v < V; ++v) {
          const std::int64_t unit = (first_vector + v) * L;
          const Vector<Real> h = clipped<Real>(sums[v][s], limit);
          store(t.h_next + (first + s) * t.layout.width + unit, h);
          Real* const output = t.output_rows[first + s];
          if (output) store_part(output + unit, h, t.cell.width - unit);
        }
      }
    });
  });
}

// The sums of blocks [block, last) of the first `count` cases, into t.z; `ahead` is the share of x where it is there.
template <class Real>
void sum_blocks(const ForwardTile<Real>& t, std::int64_t count, std::int64_t block, std::int64_t last,
                const Real* ahead) {
  Real* z = t.z;
  if (ahead) {
    for (; block + 2 <= last; block += 2, z += 2 * t.layout.kWide) sum_rest<2>(t, ahead, block, z);
    if (block < last) sum_rest<1>(t, ahead, block, z);
    return;
  }
  if (count == 1) {
    // A lone case makes up for the missing others with a second block of units: too few sums wait for each other.
    for (; block + 2 <= last; block += 2, z += 2 * t.layout.kWide) sum_units<2, 1>(t, 1, 0, block, z);
  }
  for (; block < last; ++block, z += count * t.layout.kWide) {
    for_groups(count, [&]<int S>(std::int64_t first) { sum_units<1, S>(t, count, first, block, z); });
  }
}

// Reads steps [begin, end) from the state in the tile, and leaves the state there. `saved` is that of step `begin`.
template <bool kSave, class Real, class Gates>
void run_steps(ForwardTile<Real>& t, const Gates& gates, std::int64_t begin, std::int64_t end, bool write_outputs,
               Real* saved) {
  const std::int64_t saved_step = t.tile.count * t.layout.units * t.saved_layout.planes;
  std::int64_t read = t.tile.count, first_ahead = begin, end_ahead = begin;
  for (std::int64_t r = begin; r < end; ++r) {
    if (t.tile.count == 1 && r == end_ahead && end - r > 1) {
      first_ahead = r;
      end_ahead = end - r < t.kAhead ? end : r + t.kAhead;
      sum_ahead(t, r, end_ahead - r);
    }
    const Real* const ahead = r < end_ahead ? t.ahead + (r - first_ahead) * t.layout.blocks * t.layout.kWide : nullptr;
    const std::int64_t count = t.reading(r), at_a_time = divided_up(ForwardTile<Real>::kLeastUnits, count);
    t.find_rows(r, write_outputs);
    // A case that has ended keeps its state, in both places from now on.
    copy(t.h_next + count * t.layout.width, t.h + count * t.layout.width, (read - count) * t.layout.width);
    read = count;
    for (std::int64_t block = 0; block < t.layout.blocks; block += at_a_time) {
      const std::int64_t last = block + at_a_time < t.layout.blocks ? block + at_a_time : t.layout.blocks;
      sum_blocks(t, count, block, last, ahead);
      const auto for_units = [&](const auto& function) {
        const Real* z = t.z;
        for (std::int64_t b = block; b < last; ++b) {
          for (std::int64_t s = 0; s < count; ++s, z += t.layout.kWide) function(s, b, z);
        }
      };
      for_units([&](std::int64_t s, std::int64_t b, const Real* z) { remember_units<kSave>(t, gates, s, b, z, saved); });
      for_units([&](std::int64_t s, std::int64_t b, const Real* z) { show_units<kSave>(t, gates, s, b, z, saved); });
    }
    if (t.cell.projection) project(t, count);
    Real* const h = t.h;
    t.h = t.h_next;
    t.h_next = h;
    if (kSave) saved += saved_step;
  }
}

template <class Real>
bool is_basic(const LstmCell& cell) {
  return cell.gate == Activation::sigmoid && cell.cell == Activation::tanh && cell.output == Activation::tanh &&
         !cell.peepholes && !cell.projection && cell.input_clip == kNoClip && cell.cell_clip == kNoClip;
}

template <class Real, class Function>
void with_gates(const LstmCell& cell, const Function& function) {
  if (is_basic<Real>(cell)) {
    function(BasicGates<Real>{});
  } else {
    function(GeneralGates<Real>{cell.gate, cell.cell, cell.output, static_cast<Real>(cell.input_clip),
                                static_cast<Real>(cell.cell_clip)});
  }
}

template <class Real>
void forward(const LstmCell& cell, const Real* packed, const LstmForward<Real>& call, Tile tile, Real* scratch) {
  ForwardTile<Real> t(cell, packed, call, tile, scratch);
  load_states(t, call.c_start, call.h_start);
  const bool outputs = call.outputs.data != nullptr;
  with_gates<Real>(cell, [&](const auto& gates) {
    if (!call.saved) {
      run_steps<false>(t, gates, 0, t.longest, outputs, static_cast<Real*>(nullptr));
    } else if (call.recompute_every == 0) {
      run_steps<true>(t, gates, 0, t.longest, outputs,
                      call.saved + tile.first * saved_size<Real>(cell, call.steps, 0));
    } else {
      Real* kept = call.saved + tile.first * saved_size<Real>(cell, call.steps, call.recompute_every);
      const std::int64_t segment = steps_of_segment(tile.count, call.recompute_every);
      for (std::int64_t begin = 0; begin < t.longest; begin += segment) {
        copy(kept, t.c, tile.count * t.layout.units);
        kept += tile.count * t.layout.units;
        const std::int64_t end = begin + segment < t.longest ? begin + segment : t.longest;
        run_steps<false>(t, gates, begin, end, outputs, static_cast<Real*>(nullptr));
      }
    }
  });
  t.clear_ends(call.outputs, cell.width);
  store_states(t, call.c_final, call.h_final);
}

}  // namespace quadgate::QUADGATE_TARGET
