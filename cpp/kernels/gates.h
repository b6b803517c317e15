// What a step does to each unit once the sums are there.
#pragma once

#include "functions.h"

namespace quadgate::QUADGATE_TARGET {

// How z and the state before a step act on what comes after it. These six and the weights are all that backward needs:
//
//     d_c' += d_h * of_c          d_z_o = d_h * of_o
//     d_z_i = d_c' * of_i         d_z_j = d_c' * of_j         d_z_f = d_c' * of_f         d_c = d_c' * keep
//
// Clips and other activations have gone into them as factors.
template <class Real>
struct Slopes {
  Vector<Real> of_i, of_j, of_f, of_o, of_c, keep;
};

template <class Real>
struct UnitState {
  Vector<Real> c, shown;  // shown = o * output(c): h, but for a projection
};

// The basic cell: sigmoid, tanh, and nothing else. One division serves the product of a sigmoid and a tanh.
template <class Real>
struct BasicGates {
  static constexpr bool kGeneral = false;

  template <bool kSlopes>
  QUADGATE_INLINE UnitState<Real> step(const Vector<Real> (&z)[4], Vector<Real> c, const Real*,
                                       Slopes<Real>& slopes) const {
    using K = ExponentialConstants<Real>;
    const Vector<Real> one = constant<Real>(1), two = constant<Real>(2);
    const Vector<Real> f = one / sigmoid_divisor<Real>(z[2], K::kMost);
    const Vector<Real> divisor_i = sigmoid_divisor<Real>(z[0], K::kFactorMost);
    const Vector<Real> dividend_j = tanh_dividend<Real>(z[1]), divisor_j = dividend_j + two;
    const Vector<Real> share_ij = one / (divisor_i * divisor_j);
    const Vector<Real> ij = dividend_j * share_ij;
    const Vector<Real> c_new = fma(f, c, ij);

    const Vector<Real> divisor_o = sigmoid_divisor<Real>(z[3], K::kFactorMost);
    const Vector<Real> dividend_c = tanh_dividend<Real>(c_new), divisor_c = dividend_c + two;
    const Vector<Real> share_oc = one / (divisor_o * divisor_c);
    const Vector<Real> h = dividend_c * share_oc;
    if constexpr (kSlopes) {
      const Vector<Real> i = divisor_j * share_ij, j = dividend_j * (divisor_i * share_ij);
      const Vector<Real> o = divisor_c * share_oc, tanh_c = dividend_c * (divisor_o * share_oc);
      const Vector<Real> fc = f * c;
      slopes = {fma(-ij, i, ij), fma(-ij, j, i), fma(-fc, f, fc), fma(-h, o, h), fma(-h, tanh_c, o), f};
    }
    return {c_new, h};
  }
};

// Every option. `peepholes` is the unit's [3][lanes], i, f, o; zero where the cell has none.
template <class Real>
struct GeneralGates {
  static constexpr bool kGeneral = true;
  Activation gate, cell, output;
  Real input_clip, cell_clip;

  // 1 where a value is within its limit, the limit included, else 0.
  static QUADGATE_INLINE Vector<Real> within(Vector<Real> value, Real most) {
    const Vector<Real> zero{}, one = constant<Real>(1);
    return ((value <= constant<Real>(most)) & (value >= constant<Real>(-most))) ? one : zero;
  }

  template <bool kSlopes>
  QUADGATE_INLINE UnitState<Real> step(const Vector<Real> (&z)[4], Vector<Real> c, const Real* peepholes,
                                       Slopes<Real>& slopes) const {
    const Vector<Real> p_i = load(peepholes), p_f = load(peepholes + kLanes<Real>);
    const Vector<Real> p_o = load(peepholes + 2 * kLanes<Real>);
    const Vector<Real> z_i = fma(p_i, c, z[0]), z_j = z[1], z_f = fma(p_f, c, z[2]);
    const Vector<Real> i = activate<Real>(gate, clipped<Real>(z_i, input_clip));
    const Vector<Real> j = activate<Real>(cell, clipped<Real>(z_j, input_clip));
    const Vector<Real> f = activate<Real>(gate, clipped<Real>(z_f, input_clip));
    const Vector<Real> c_open = fma(f, c, i * j), c_new = clipped<Real>(c_open, cell_clip);
    const Vector<Real> z_o = fma(p_o, c_new, z[3]);
    const Vector<Real> o = activate<Real>(gate, clipped<Real>(z_o, input_clip));
    const Vector<Real> shown_c = activate<Real>(output, c_new);
    if constexpr (kSlopes) {
      const Vector<Real> open = within(c_open, cell_clip);
      slopes.of_i = open * j * slope<Real>(gate, i) * within(z_i, input_clip);
      slopes.of_j = open * i * slope<Real>(cell, j) * within(z_j, input_clip);
      slopes.of_f = open * c * slope<Real>(gate, f) * within(z_f, input_clip);
      slopes.of_o = shown_c * slope<Real>(gate, o) * within(z_o, input_clip);
      slopes.of_c = fma(slopes.of_o, p_o, o * slope<Real>(output, shown_c));
      slopes.keep = open * f;
      slopes.keep = fma(slopes.of_i, p_i, slopes.keep);
      slopes.keep = fma(slopes.of_f, p_f, slopes.keep);
    }
    return {c_new, o * shown_c};
  }
};

}  // namespace quadgate::QUADGATE_TARGET
