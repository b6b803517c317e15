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

// Gates take a step in two halves: `remember` makes the new c, `show` makes of it what is shown, o * output(c): h, but for
// a projection. The processor looks ahead a few hundred instructions, which is about one whole step; of half a step it
// sees several units at once, and they do not wait for each other.

// The basic cell: sigmoid, tanh, and nothing else. One division serves the product of a sigmoid and a tanh.
template <class Real>
struct BasicGates {
  static constexpr bool kGeneral = false;

  template <bool kSlopes>
  QUADGATE_INLINE Vector<Real> remember(const Real* z, Vector<Real> c, const Real*, Slopes<Real>& slopes) const {
    using K = ExponentialConstants<Real>;
    const Vector<Real> one = constant<Real>(1);
    const Vector<Real> f = one / sigmoid_divisor<Real>(load(z + 2 * kLanes<Real>), K::kMost);
    const Vector<Real> divisor_i = sigmoid_divisor<Real>(load(z), K::kFactorMost);
    const Vector<Real> dividend_j = tanh_dividend<Real>(load(z + kLanes<Real>));
    const Vector<Real> divisor_j = dividend_j + constant<Real>(2);
    const Vector<Real> share = one / (divisor_i * divisor_j), ij = dividend_j * share;
    if constexpr (kSlopes) {
      const Vector<Real> i = divisor_j * share, j = dividend_j * (divisor_i * share), fc = f * c;
      slopes.of_i = fma(-ij, i, ij);
      slopes.of_j = fma(-ij, j, i);
      slopes.of_f = fma(-fc, f, fc);
      slopes.keep = f;
    }
    return fma(f, c, ij);
  }

  template <bool kSlopes>
  QUADGATE_INLINE Vector<Real> show(const Real* z, Vector<Real> c, const Real*, Slopes<Real>& slopes) const {
    const Vector<Real> divisor_o =
        sigmoid_divisor<Real>(load(z + 3 * kLanes<Real>), ExponentialConstants<Real>::kFactorMost);
    const Vector<Real> dividend_c = tanh_dividend<Real>(c), divisor_c = dividend_c + constant<Real>(2);
    const Vector<Real> share = constant<Real>(1) / (divisor_o * divisor_c), h = dividend_c * share;
    if constexpr (kSlopes) {
      const Vector<Real> o = divisor_c * share, tanh_c = dividend_c * (divisor_o * share);
      slopes.of_o = fma(-h, o, h);
      slopes.of_c = fma(-h, tanh_c, o);
    }
    return h;
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
  QUADGATE_INLINE Vector<Real> remember(const Real* z, Vector<Real> c, const Real* peepholes,
                                        Slopes<Real>& slopes) const {
    constexpr int L = kLanes<Real>;
    const Vector<Real> p_i = load(peepholes), p_f = load(peepholes + L);
    const Vector<Real> z_i = fma(p_i, c, load(z)), z_j = load(z + L), z_f = fma(p_f, c, load(z + 2 * L));
    const Vector<Real> i = activate<Real>(gate, clipped<Real>(z_i, input_clip));
    const Vector<Real> j = activate<Real>(cell, clipped<Real>(z_j, input_clip));
    const Vector<Real> f = activate<Real>(gate, clipped<Real>(z_f, input_clip));
    const Vector<Real> c_open = fma(f, c, i * j);
    if constexpr (kSlopes) {
      const Vector<Real> open = within(c_open, cell_clip);
      slopes.of_i = open * j * slope<Real>(gate, i) * within(z_i, input_clip);
      slopes.of_j = open * i * slope<Real>(cell, j) * within(z_j, input_clip);
      slopes.of_f = open * c * slope<Real>(gate, f) * within(z_f, input_clip);
      slopes.keep = fma(slopes.of_f, p_f, fma(slopes.of_i, p_i, open * f));
    }
    return clipped<Real>(c_open, cell_clip);
  }

  template <bool kSlopes>
  QUADGATE_INLINE Vector<Real> show(const Real* z, Vector<Real> c, const Real* peepholes, Slopes<Real>& slopes) const {
    constexpr int L = kLanes<Real>;
    const Vector<Real> p_o = load(peepholes + 2 * L), z_o = fma(p_o, c, load(z + 3 * L));
    const Vector<Real> o = activate<Real>(gate, clipped<Real>(z_o, input_clip));
    const Vector<Real> shown_c = activate<Real>(output, c);
    if constexpr (kSlopes) {
      slopes.of_o = shown_c * slope<Real>(gate, o) * within(z_o, input_clip);
      slopes.of_c = fma(slopes.of_o, p_o, o * slope<Real>(output, shown_c));
    }
    return o * shown_c;
  }
};

}  // namespace quadgate::QUADGATE_TARGET
