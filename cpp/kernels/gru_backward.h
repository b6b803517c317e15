// Backward of a GRU: the gradient through the cases of a tile, from their last step to their first, in the same
// stretches as an LSTM's.
#pragma once

#include "gru_forward.h"

namespace quadgate::QUADGATE_TARGET {

template <class Real>
struct GruBackwardTile {
  static constexpr int L = kLanes<Real>;
  static constexpr int kWide = GruLayout<Real>::kWide;

  GruBackwardTile(const GruCell& cell, const Real* packed, const GruBackward<Real>& call, Tile tile, Real* scratch,
                  Real* gradient)
      : forward(cell, packed, call.forward, tile, scratch),
        cell(cell),
        call(call),
        tile(tile),
        layout(forward.layout),
        packed(packed),
        gradient(gradient),
        stretch(steps_of_sum(tile.count)),
        inputs_stride(inputs_width(cell)) {
    const std::int64_t rows = stretch * tile.count;
    scratch += GruForwardTile<Real>::scratch_size(cell, tile.count);
    const auto take = [&](std::int64_t size) {
      Real* const taken = scratch;
      scratch += size;
      return taken;
    };
    d_h = take(tile.count * layout.units);
    d_sums = take(rows * layout.blocks * kWide);
    inputs = take(rows * inputs_stride);
    if (!cell.reset_after) d_n = take(rows * layout.units);
    recomputed = scratch;
  }

  static std::int64_t inputs_width(const GruCell& cell) {
    // Whole cache lines, an odd number of them, so that rows are spread over the cache.
    const std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(Real));
    return (divided_up(1 + cell.inputs + cell.units * (cell.reset_after ? 1 : 2), line) | 1) * line;
  }

  static std::size_t scratch_size(const GruCell& cell, const GruForward<Real>& call, std::int64_t cases) {
    const GruLayout<Real> layout(cell);
    const std::int64_t rows = steps_of_sum(cases) * cases;
    std::int64_t size = GruForwardTile<Real>::scratch_size(cell, cases) + cases * layout.units +
                        rows * (layout.blocks * kWide + inputs_width(cell) + (cell.reset_after ? 0 : layout.units));
    if (call.recompute_every) {
      size += steps_of_segment(cases, call.recompute_every) * cases * layout.units * kGruPlanes;
    }
    return static_cast<std::size_t>(size);
  }

  // The gradients of n, z, r, u of a block.
  Real* d_sums_of(std::int64_t block, std::int64_t row) const {
    return d_sums + (block * stretch * tile.count + row) * kWide;
  }
  Real* d_n_of(std::int64_t row) const { return d_n + row * layout.units; }

  // Lays out the rows of the stretch of steps [first, last): one for each case that reads a step, step by step.
  void find_rows(std::int64_t first, std::int64_t last) {
    row_of_step[0] = 0;
    for (std::int64_t r = first; r < last; ++r) row_of_step[r - first + 1] = row_of_step[r - first] + forward.reading(r);
  }
  Real* d_h_of(std::int64_t s, std::int64_t block) const { return d_h + s * layout.units + block * L; }
  // h before the r-th step of case s; null where it is zero.
  const Real* h_before(std::int64_t s, std::int64_t r) const {
    if (r > 0) return forward.output_row(s, r - 1);
    return call.forward.h_start ? call.forward.h_start + forward.place[s] * cell.units : nullptr;
  }

  GruForwardTile<Real> forward;
  const GruCell& cell;
  const GruBackward<Real>& call;
  Tile tile;
  const GruLayout<Real>& layout;
  const Real* packed;
  Real* gradient;  // null where that of the weights is not wanted
  std::int64_t stretch;
  std::int64_t inputs_stride;
  std::int64_t row_of_step[kLongestSum + 1];  // the first row of each step of a stretch, then the number of rows
  Real* d_h;            // [cases][units]
  Real* d_sums;         // [blocks][rows][n, z, r, u][lanes]
  Real* inputs;         // [rows][1, x, h before, r * h where it is fed]
  Real* d_n = nullptr;  // [rows][units], where the reset is before the product
  Real* recomputed;     // what forward would have saved of a segment
};

// The gradients of the sums of a step from that of h, as far as they need no product; that of h becomes what the step
// lets through. `saved` is the step's.
template <class Real>
void d_gates(const GruBackwardTile<Real>& t, std::int64_t r, std::int64_t step, const Real* saved) {
  constexpr int L = kLanes<Real>;
  const std::int64_t count = t.forward.reading(r);
  for (std::int64_t s = 0; s < count; ++s) {
    const std::int64_t row = t.row_of_step[step] + s;
    const Real* const d_output = t.call.d_outputs.data ? t.forward.row(t.call.d_outputs, s, r) : nullptr;
    for (std::int64_t block = 0; block < t.layout.blocks; ++block) {
      const Real* const slopes = saved + (s * t.layout.blocks + block) * kGruPlanes * L;
      Real* const d_sums = t.d_sums_of(block, row);
      Vector<Real> d = load(t.d_h_of(s, block));
      if (d_output) d += load_part(d_output + block * L, t.cell.units - block * L);
      const Vector<Real> d_n = d * load(slopes + kGruOfN * L);
      store(d_sums + kSumN * L, d_n);
      store<Real>(d_sums + kSumZ * L, d * load(slopes + kGruOfZ * L));
      if (t.cell.reset_after) {
        store<Real>(d_sums + kSumR * L, d * load(slopes + kGruOfR * L));
        store<Real>(d_sums + kSumU * L, d * load(slopes + kGruReset * L));
      } else {
        store(t.d_n_of(row) + block * L, d_n);
      }
      store<Real>(t.d_h_of(s, block), d * load(slopes + kGruKeep * L));
    }
  }
}

// The gradient of r * h, and with it those of r and of h.
template <class Real>
void d_fed(const GruBackwardTile<Real>& t, std::int64_t r, std::int64_t step, const Real* saved) {
  constexpr int L = kLanes<Real>;
  for_panels(t.layout.blocks, [&]<int V>(std::int64_t block) {
    const Real* const weights = t.packed + t.layout.to_fed_at + block * L * t.cell.units;
    for_groups(t.forward.reading(r), [&]<int S>(std::int64_t first) {
      Vector<Real> sums[V][S] = {};
      const Real* rows[S];
      for (int s = 0; s < S; ++s) rows[s] = t.d_n_of(t.row_of_step[step] + first + s);
      accumulate<V, S>(sums, weights, 0, rows, t.cell.units);
      for (int s = 0; s < S; ++s) {
        for (int v = 0; v < V; ++v) {
          const Real* const slopes = saved + ((first + s) * t.layout.blocks + block + v) * kGruPlanes * L;
          Real* const d_h = t.d_h_of(first + s, block + v);
          Real* const d_sums = t.d_sums_of(block + v, t.row_of_step[step] + first + s);
          store<Real>(d_sums + kSumR * L, sums[v][s] * load(slopes + kGruOfR * L));
          store<Real>(d_h, fma(sums[v][s], load(slopes + kGruReset * L), load(d_h)));
        }
      }
    });
  });
}

// sums[v][s] += the gradients of `vectors` sums from `from` on, times transposed weights in a panel.
template <int V, int S, class Real>
QUADGATE_INLINE void accumulate_back(const GruBackwardTile<Real>& t, Vector<Real> (&sums)[V][S], const Real* weights,
                                     std::int64_t row, GruSum from, std::int64_t vectors) {
  constexpr int L = kLanes<Real>;
  for (std::int64_t block = 0; block < t.layout.blocks; ++block) {
    const Real* rows[S];
    for (int s = 0; s < S; ++s) rows[s] = t.d_sums_of(block, row + s) + from * L;
    accumulate<V, S>(sums, weights, 0, rows, vectors * L);
    weights += vectors * L * V * L;
  }
}

// Back to the h before a step, through the sums.
template <class Real>
void d_h_before(const GruBackwardTile<Real>& t, std::int64_t r, std::int64_t step) {
  constexpr int L = kLanes<Real>;
  const std::int64_t from_h = t.layout.from_h, K = t.layout.blocks * from_h * L, row = t.row_of_step[step];
  for_panels(t.layout.blocks, [&]<int V>(std::int64_t block) {
    for_groups(t.forward.reading(r), [&]<int S>(std::int64_t first) {
      Vector<Real> sums[V][S] = {};
      accumulate_back(t, sums, t.packed + t.layout.to_h_at + block * L * K, row + first, kSumZ, from_h);
      for (int s = 0; s < S; ++s) {
        for (int v = 0; v < V; ++v) {
          Real* const d_h = t.d_h_of(first + s, block + v);
          store<Real>(d_h, load(d_h) + sums[v][s]);
        }
      }
    });
  });
}

// The gradient of x of `steps` steps from `begin`.
template <class Real>
void d_x(const GruBackwardTile<Real>& t, std::int64_t begin, std::int64_t steps) {
  constexpr int L = kLanes<Real>, kFromX = GruLayout<Real>::kFromX;
  const std::int64_t K = t.layout.blocks * kFromX * L;
  for_panels(t.layout.inputs / L, [&]<int V>(std::int64_t first_vector) {
    std::int64_t step = 0;
    for_groups(t.row_of_step[steps], [&]<int S>(std::int64_t first) {
      Vector<Real> sums[V][S] = {};
      accumulate_back(t, sums, t.packed + t.layout.to_x_at + first_vector * L * K, first, kSumN, kFromX);
      for (int row = 0; row < S; ++row) {
        while (t.row_of_step[step + 1] <= first + row) ++step;
        Real* const to = t.forward.row(t.call.d_x, first + row - t.row_of_step[step], begin + step);
        for (int v = 0; v < V; ++v) {
          const std::int64_t channel = (first_vector + v) * L;
          store_part(to + channel, sums[v][row], t.cell.inputs - channel);
        }
      }
    });
  });
}

// The part of the weight gradient that `steps` steps from `begin` make; `saved` is that of step `begin`.
template <class Real>
void d_weights(const GruBackwardTile<Real>& t, std::int64_t begin, std::int64_t steps, const Real* saved) {
  constexpr int L = kLanes<Real>, kFromX = GruLayout<Real>::kFromX;
  const std::int64_t C = t.cell.inputs, H = t.cell.units, rows = t.row_of_step[steps];
  for (std::int64_t step = 0; step < steps; ++step) {
    const std::int64_t r = begin + step, count = t.forward.reading(r);
    for (std::int64_t s = 0; s < count; ++s) {
      Real* const row = t.inputs + (t.row_of_step[step] + s) * t.inputs_stride;
      clear(row, t.inputs_stride);
      row[0] = 1;
      copy(row + 1, t.forward.x_row(s, r), C);
      const Real* const h = t.h_before(s, r);
      if (!h) continue;
      copy(row + 1 + C, h, H);
      const Real* const planes = saved + (step * t.tile.count + s) * t.layout.units * kGruPlanes;
      for (std::int64_t u = 0; !t.cell.reset_after && u < H; ++u) {
        const Real* const reset = planes + (u / L * kGruPlanes + kGruReset) * L;
        row[1 + C + H + u] = reset[u % L] * h[u];
      }
    }
  }
  for (std::int64_t block = 0; block < t.layout.blocks; ++block) {
    Real* const to = t.gradient + block * t.layout.block_size;
    const Real* const d = t.d_sums_of(block, 0);
    const Real* const h = t.inputs + 1 + C;
    if (t.cell.reset_after) {
      add_column<kGruSums>(to, t.inputs, t.inputs_stride, d, t.kWide, rows);
      add_outer<3>(to + t.layout.h_at, h, t.inputs_stride, H, d + kSumZ * L, t.kWide, rows);
    } else {
      add_column<kFromX>(to, t.inputs, t.inputs_stride, d, t.kWide, rows);
      add_outer<2>(to + t.layout.h_at, h, t.inputs_stride, H, d + kSumZ * L, t.kWide, rows);
    }
    add_outer<kFromX>(to + t.layout.x_at, t.inputs + 1, t.inputs_stride, C, d, t.kWide, rows);
  }
  if (t.cell.reset_after) return;
  for_panels(t.layout.blocks, [&]<int V>(std::int64_t block) {
    add_outer<V>(t.gradient + t.layout.fed_at + block * L * H, t.inputs + 1 + C + H, t.inputs_stride, H,
                 t.d_n + block * L, t.layout.units, rows);
  });
}

// Reads steps [begin, end) backward; `saved` is that of step `begin`.
template <class Real>
void run_steps_back(GruBackwardTile<Real>& t, std::int64_t begin, std::int64_t end, const Real* saved) {
  const std::int64_t saved_step = t.tile.count * t.layout.units * kGruPlanes;
  for (std::int64_t first = begin + (end - begin - 1) / t.stretch * t.stretch; first >= begin; first -= t.stretch) {
    const std::int64_t last = first + t.stretch < end ? first + t.stretch : end;
    t.find_rows(first, last);
    for (std::int64_t r = last - 1; r >= first; --r) {
      const Real* const saved_then = saved + (r - begin) * saved_step;
      d_gates(t, r, r - first, saved_then);
      if (!t.cell.reset_after) d_fed(t, r, r - first, saved_then);
      d_h_before(t, r, r - first);
    }
    if (t.gradient) d_weights(t, first, last - first, saved + (first - begin) * saved_step);
    if (t.call.d_x.data) d_x(t, first, last - first);
  }
}

template <class Real>
void gru_backward(const GruCell& cell, const Real* packed, const GruBackward<Real>& call, Tile tile, Real* scratch,
                  Real* gradient) {
  GruBackwardTile<Real> t(cell, packed, call, tile, scratch, gradient);
  const std::int64_t H = cell.units, longest = t.forward.longest;
  const GruForward<Real>& forward = call.forward;
  if (gradient) clear(gradient, static_cast<std::int64_t>(gru_gradient_size<Real>(cell)));
  clear(t.d_h, tile.count * t.layout.units);
  t.forward.clear_ends(call.d_x, cell.inputs);
  for (std::int64_t s = 0; call.d_h_final && s < tile.count; ++s) {
    copy(t.d_h_of(s, 0), call.d_h_final + t.forward.place[s] * H, H);
  }
  if (longest > 0 && forward.recompute_every == 0) {
    run_steps_back(t, 0, longest, forward.saved + tile.first * gru_saved_size<Real>(cell, forward.steps, 0));
  } else if (longest > 0) {
    const std::int64_t segment = steps_of_segment(tile.count, forward.recompute_every);
    for (std::int64_t begin = (longest - 1) / segment * segment; begin >= 0; begin -= segment) {
      const std::int64_t end = begin + segment < longest ? begin + segment : longest;
      load_states(t.forward, static_cast<const Real*>(nullptr));
      for (std::int64_t s = 0; s < tile.count; ++s) {
        const Real* const h = begin <= t.forward.length[s] ? t.h_before(s, begin) : nullptr;
        if (h) copy(t.forward.h + t.forward.at(s, 0), h, H);
      }
      with_gru_gates<Real>(cell, [&](const auto& gates) {
        run_steps<true>(t.forward, gates, begin, end, false, t.recomputed);
      });
      run_steps_back(t, begin, end, static_cast<const Real*>(t.recomputed));
    }
  }
  for (std::int64_t s = 0; call.d_h_start && s < tile.count; ++s) {
    copy<Real>(call.d_h_start + t.forward.place[s] * H, t.d_h_of(s, 0), H);
  }
}

}  // namespace quadgate::QUADGATE_TARGET
