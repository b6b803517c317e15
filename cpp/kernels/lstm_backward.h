// Backward: the gradient through the cases of a tile, from their last step to their first.
//
// The steps are taken in stretches of a few hundred cases times steps. Within one, every step turns the gradient of h
// and c into that of z (elementwise, by the saved slopes) and z's into that of the h before (a product). After it, the
// stretch's gradients of z make its part of the weight gradient and of x's, as two large products. Those sums begin
// anew with each stretch and are added in order: a chain over all steps would lose digits.
#pragma once

#include "lstm_forward.h"

namespace quadgate::QUADGATE_TARGET {

template <class Real>
struct BackwardTile {
  static constexpr int L = kLanes<Real>;
  static constexpr int kWide = Layout<Real>::kWide;

  BackwardTile(const LstmCell& cell, const Real* packed, const LstmBackward<Real>& call, Tile tile, Real* scratch,
               Real* gradient)
      : forward(cell, packed, call.forward, tile, scratch),
        cell(cell),
        call(call),
        tile(tile),
        layout(forward.layout),
        saved_layout(forward.saved_layout),
        packed(packed),
        gradient(gradient),
        stretch(steps_of_sum(tile.count)),
        inputs_stride(inputs_width(cell)) {
    const std::int64_t rows = stretch * tile.count;
    scratch += ForwardTile<Real>::scratch_size(cell, tile.count);
    const auto take = [&](std::int64_t size) {
      Real* const taken = scratch;
      scratch += size;
      return taken;
    };
    d_c = take(tile.count * layout.units);
    d_h = take(tile.count * layout.width);
    d_z = take(rows * layout.blocks * kWide);
    inputs = take(rows * inputs_stride);
    if (cell.peepholes) d_peepholes = take(layout.peepholes_size);
    if (cell.projection) {
      d_shown = take(tile.count * layout.units);
      d_h_open = take(rows * layout.width);
      shown = take(rows * layout.units);
    }
    recomputed = scratch;
  }

  static std::int64_t inputs_width(const LstmCell& cell) {
    // Whole cache lines, an odd number of them, so that rows are spread over the cache.
    const std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(Real));
    return (divided_up(1 + cell.inputs + cell.width, line) | 1) * line;
  }

  static std::size_t scratch_size(const LstmCell& cell, const LstmForward<Real>& call, std::int64_t cases) {
    const Layout<Real> layout(cell);
    const std::int64_t rows = steps_of_sum(cases) * cases;
    std::int64_t size = ForwardTile<Real>::scratch_size(cell, cases) + cases * (layout.units + layout.width) +
                        rows * (layout.blocks * kWide + inputs_width(cell));
    if (cell.peepholes) size += layout.peepholes_size;
    if (cell.projection) size += cases * layout.units + rows * (layout.width + layout.units);
    if (call.recompute_every) {
      size += steps_of_segment(cases, call.recompute_every) * cases * layout.units * SavedLayout<Real>(cell).planes;
    }
    return static_cast<std::size_t>(size);
  }

  Real* d_c_of(std::int64_t s, std::int64_t block) const { return d_c + (block * tile.count + s) * L; }
  Real* d_z_of(std::int64_t block, std::int64_t row) const { return d_z + (block * stretch * tile.count + row) * kWide; }

  // Lays out the rows of the stretch of steps [first, last): one for each case that reads a step, step by step.
  void find_rows(std::int64_t first, std::int64_t last) {
    row_of_step[0] = 0;
    for (std::int64_t r = first; r < last; ++r) row_of_step[r - first + 1] = row_of_step[r - first] + forward.reading(r);
  }

  ForwardTile<Real> forward;
  const LstmCell& cell;
  const LstmBackward<Real>& call;
  Tile tile;
  const Layout<Real>& layout;
  const SavedLayout<Real>& saved_layout;
  const Real* packed;
  Real* gradient;  // null where that of the weights is not wanted
  std::int64_t stretch;
  std::int64_t inputs_stride;
  Real* d_c;                    // [blocks][cases][lanes]
  Real* d_h;                    // [cases][width]
  std::int64_t row_of_step[kLongestSum + 1];  // the first row of each step of a stretch, then the number of rows
  Real* d_z;                    // [blocks][rows][gates][lanes]
  Real* inputs;                 // [rows][1, x, h before]
  Real* d_peepholes = nullptr;  // [blocks][3][lanes]
  Real* d_shown = nullptr;      // [cases][units]
  Real* d_h_open = nullptr;     // [rows][width], before the projection's clip
  Real* shown = nullptr;        // [rows][units]
  Real* recomputed;             // what forward would have saved of a segment
};

// From d_h [cases][width] and the gradient of the outputs to that of what is projected, d_shown [cases][units].
template <class Real>
void unproject(const BackwardTile<Real>& t, std::int64_t r, std::int64_t step) {
  constexpr int L = kLanes<Real>;
  const Real limit = static_cast<Real>(t.cell.projection_clip);
  const std::int64_t count = t.forward.reading(r), row = t.row_of_step[step];
  for (std::int64_t s = 0; s < count; ++s) {
    Real* const open = t.d_h_open + (row + s) * t.layout.width;
    clear(open, t.layout.width);
    const Real* const d_output = t.call.d_outputs.data ? t.forward.row(t.call.d_outputs, s, r) : nullptr;
    const Real* const output = t.forward.output_row(s, r);
    for (std::int64_t k = 0; k < t.cell.width; ++k) {
      const Real d = t.d_h[s * t.layout.width + k] + (d_output ? d_output[k] : 0);
      // An output at the limit was cut off.
      open[k] = output[k] >= limit || output[k] <= -limit ? 0 : d;
    }
  }
  for_panels(t.layout.blocks, [&]<int V>(std::int64_t first_vector) {
    const Real* const weights = t.packed + t.layout.to_shown_at + first_vector * L * t.cell.width;
    for_groups(count, [&]<int S>(std::int64_t first) {
      Vector<Real> sums[V][S] = {};
      const Real* rows[S];
      for (int s = 0; s < S; ++s) rows[s] = t.d_h_open + (row + first + s) * t.layout.width;
      accumulate<V, S>(sums, weights, 0, rows, t.cell.width);
      for (int s = 0; s < S; ++s) {
        for (int v = 0; v < V; ++v) store(t.d_shown + (first + s) * t.layout.units + (first_vector + v) * L, sums[v][s]);
      }
    });
  });
}

// The gradient of z of a step, from those of h and c; c's becomes that of the c before. `saved` is the step's.
template <class Real>
void d_gates(const BackwardTile<Real>& t, std::int64_t r, std::int64_t step, const Real* saved) {
  constexpr int L = kLanes<Real>;
  const int planes = t.saved_layout.planes;
  const std::int64_t count = t.forward.reading(r);
  for (std::int64_t s = 0; s < count; ++s) {
    const std::int64_t row = t.row_of_step[step] + s;
    const Real* d_output = nullptr;
    if (t.call.d_outputs.data && !t.cell.projection) d_output = t.forward.row(t.call.d_outputs, s, r);
    const Real* const d_h =
        t.cell.projection ? t.d_shown + s * t.layout.units : t.d_h + s * t.layout.width;
    for (std::int64_t block = 0; block < t.layout.blocks; ++block) {
      Real* const d_z = t.d_z_of(block, row);
      const Real* const slopes = saved + (s * t.layout.blocks + block) * planes * L;
      Vector<Real> d_shown = load(d_h + block * L);
      if (d_output) d_shown += load_part(d_output + block * L, t.cell.units - block * L);
      Real* const d_c = t.d_c_of(s, block);
      const Vector<Real> d = fma(d_shown, load(slopes + kOfC * L), load(d_c));
      const Vector<Real> d_i = d * load(slopes + kOfI * L), d_f = d * load(slopes + kOfF * L);
      const Vector<Real> d_o = d_shown * load(slopes + kOfO * L);
      store(d_z, d_i);
      store<Real>(d_z + L, d * load(slopes + kOfJ * L));
      store(d_z + 2 * L, d_f);
      store(d_z + 3 * L, d_o);
      // Units that only fill up the last block have weights of zero: an infinite x made a NaN of their sums, which must
      // not come back to the others.
      for (std::int64_t lane = t.cell.units - block * L; lane < L; ++lane) {
        for (int g = 0; g < kGates; ++g) d_z[g * L + lane] = 0;
      }
      store<Real>(d_c, d * load(slopes + kKeep * L));
      if (t.cell.peepholes) {
        Real* const sums = t.d_peepholes + block * 3 * L;
        const Vector<Real> before = load(slopes + t.saved_layout.states * L);
        const Vector<Real> after = load(slopes + (t.saved_layout.states + 1) * L);
        store(sums, fma(d_i, before, load(sums)));
        store(sums + L, fma(d_f, before, load(sums + L)));
        store(sums + 2 * L, fma(d_o, after, load(sums + 2 * L)));
      }
      if (t.cell.projection) {
        store(t.shown + row * t.layout.units + block * L, load(slopes + t.saved_layout.shown * L));
      }
    }
  }
}

// Back to the h before a step: [cases][blocks x gates x lanes] times the transposed weights.
template <class Real>
void d_h_before(const BackwardTile<Real>& t, std::int64_t r, std::int64_t step) {
  constexpr int L = kLanes<Real>, kWide = Layout<Real>::kWide;
  const std::int64_t K = t.layout.blocks * kWide, row = t.row_of_step[step];
  for_panels(t.layout.width / L, [&]<int V>(std::int64_t first_vector) {
    for_groups(t.forward.reading(r), [&]<int S>(std::int64_t first) {
      const Real* weights = t.packed + t.layout.to_h_at + first_vector * L * K;
      Vector<Real> sums[V][S] = {};
      for (std::int64_t block = 0; block < t.layout.blocks; ++block) {
        const Real* rows[S];
        for (int s = 0; s < S; ++s) rows[s] = t.d_z_of(block, row + first + s);
        accumulate<V, S>(sums, weights, 0, rows, kWide);
        weights += kWide * V * L;
      }
      for (int s = 0; s < S; ++s) {
        for (int v = 0; v < V; ++v) store(t.d_h + (first + s) * t.layout.width + (first_vector + v) * L, sums[v][s]);
      }
    });
  });
}

// The gradient of x of `steps` steps from `begin`.
template <class Real>
void d_x(const BackwardTile<Real>& t, std::int64_t begin, std::int64_t steps) {
  constexpr int L = kLanes<Real>, kWide = Layout<Real>::kWide;
  const std::int64_t K = t.layout.blocks * kWide;
  for_panels(t.layout.inputs / L, [&]<int V>(std::int64_t first_vector) {
    std::int64_t step = 0;
    for_groups(t.row_of_step[steps], [&]<int S>(std::int64_t first) {
      const Real* weights = t.packed + t.layout.to_x_at + first_vector * L * K;
      Vector<Real> sums[V][S] = {};
      for (std::int64_t block = 0; block < t.layout.blocks; ++block) {
        const Real* rows[S];
        for (int s = 0; s < S; ++s) rows[s] = t.d_z_of(block, first + s);
        accumulate<V, S>(sums, weights, 0, rows, kWide);
        weights += kWide * V * L;
      }
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

// The part of the weight gradient that `steps` steps from `begin` make.
template <class Real>
void d_weights(const BackwardTile<Real>& t, std::int64_t begin, std::int64_t steps) {
  constexpr int L = kLanes<Real>;
  const std::int64_t C = t.cell.inputs, P = t.cell.width, rows = t.row_of_step[steps];
  for (std::int64_t step = 0; step < steps; ++step) {
    const std::int64_t r = begin + step, count = t.forward.reading(r);
    for (std::int64_t s = 0; s < count; ++s) {
      Real* const row = t.inputs + (t.row_of_step[step] + s) * t.inputs_stride;
      row[0] = 1;
      copy(row + 1, t.forward.x_row(s, r), C);
      if (r > 0) {
        copy(row + 1 + C, static_cast<const Real*>(t.forward.output_row(s, r - 1)), P);
      } else if (t.call.forward.h_start) {
        copy(row + 1 + C, t.call.forward.h_start + t.forward.place[s] * P, P);
      } else {
        clear(row + 1 + C, P);
      }
    }
  }
  for (std::int64_t block = 0; block < t.layout.blocks; ++block) {
    add_outer<kGates>(t.gradient + block * t.layout.rows * t.layout.kWide, t.inputs, t.inputs_stride, t.layout.rows,
                      t.d_z_of(block, 0), t.layout.kWide, rows);
  }
  if (t.cell.peepholes) {
    add(t.gradient + t.layout.peepholes_at, t.d_peepholes, static_cast<std::size_t>(t.layout.peepholes_size));
    clear(t.d_peepholes, t.layout.peepholes_size);
  }
  if (t.cell.projection) {
    for_panels(t.layout.width / L, [&]<int V>(std::int64_t first_vector) {
      add_outer<V>(t.gradient + t.layout.projection_at + first_vector * L * t.cell.units, t.shown, t.layout.units,
                   t.cell.units, t.d_h_open + first_vector * L, t.layout.width, rows);
    });
  }
}

// Reads steps [begin, end) backward; `saved` is that of step `begin`.
template <class Real>
void run_steps_back(BackwardTile<Real>& t, std::int64_t begin, std::int64_t end, const Real* saved) {
  const std::int64_t saved_step = t.tile.count * t.layout.units * t.saved_layout.planes;
  for (std::int64_t first = begin + (end - begin - 1) / t.stretch * t.stretch; first >= begin; first -= t.stretch) {
    const std::int64_t last = first + t.stretch < end ? first + t.stretch : end;
    t.find_rows(first, last);
    for (std::int64_t r = last - 1; r >= first; --r) {
      if (t.cell.projection) unproject(t, r, r - first);
      d_gates(t, r, r - first, saved + (r - begin) * saved_step);
      d_h_before(t, r, r - first);
    }
    if (t.gradient) d_weights(t, first, last - first);
    if (t.call.d_x.data) d_x(t, first, last - first);
  }
}

template <class Real>
void backward(const LstmCell& cell, const Real* packed, const LstmBackward<Real>& call, Tile tile, Real* scratch,
              Real* gradient) {
  constexpr int L = kLanes<Real>;
  BackwardTile<Real> t(cell, packed, call, tile, scratch, gradient);
  const std::int64_t H = cell.units, P = cell.width, longest = t.forward.longest;
  const LstmForward<Real>& forward = call.forward;
  if (gradient) clear(gradient, static_cast<std::int64_t>(gradient_size<Real>(cell)));
  if (cell.peepholes) clear(t.d_peepholes, t.layout.peepholes_size);
  clear(t.d_c, tile.count * t.layout.units);
  clear(t.d_h, tile.count * t.layout.width);
  t.forward.clear_ends(call.d_x, cell.inputs);
  for (std::int64_t s = 0; s < tile.count; ++s) {
    for (std::int64_t u = 0; call.d_c_final && u < H; ++u) {
      t.d_c_of(s, u / L)[u % L] = call.d_c_final[t.forward.place[s] * H + u];
    }
    if (call.d_h_final) copy(t.d_h + s * t.layout.width, call.d_h_final + t.forward.place[s] * P, P);
  }

  const Real* const saved =
      forward.saved + tile.first * saved_size<Real>(cell, forward.steps, forward.recompute_every);
  if (longest > 0 && forward.recompute_every == 0) {
    run_steps_back(t, 0, longest, saved);
  } else if (longest > 0) {
    const std::int64_t segment = steps_of_segment(tile.count, forward.recompute_every);
    for (std::int64_t begin = (longest - 1) / segment * segment; begin >= 0; begin -= segment) {
      const std::int64_t end = begin + segment < longest ? begin + segment : longest;
      copy(t.forward.c, saved + begin / segment * tile.count * t.layout.units, tile.count * t.layout.units);
      for (std::int64_t s = 0; s < tile.count; ++s) {
        Real* const h = t.forward.h + s * t.layout.width;
        clear(h, t.layout.width);
        if (begin > 0 && begin <= t.forward.length[s]) {
          copy(h, static_cast<const Real*>(t.forward.output_row(s, begin - 1)), P);
        } else if (begin == 0 && forward.h_start) {
          copy(h, forward.h_start + t.forward.place[s] * P, P);
        }
      }
      with_gates<Real>(cell, [&](const auto& gates) {
        run_steps<true>(t.forward, gates, begin, end, false, t.recomputed);
      });
      run_steps_back(t, begin, end, t.recomputed);
    }
  }
  for (std::int64_t s = 0; s < tile.count; ++s) {
    for (std::int64_t u = 0; call.d_c_start && u < H; ++u) {
      call.d_c_start[t.forward.place[s] * H + u] = t.d_c_of(s, u / L)[u % L];
    }
    if (call.d_h_start) copy(call.d_h_start + t.forward.place[s] * P, t.d_h + s * t.layout.width, P);
  }
}

}  // namespace quadgate::QUADGATE_TARGET
