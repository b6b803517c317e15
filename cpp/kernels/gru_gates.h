// What a step of a GRU does to each unit once the sums are there.
#pragma once

#include "functions.h"

namespace quadgate::QUADGATE_TARGET {

// sigmoid and tanh. One division serves z and n.
template <class Real>
struct BasicGruGates {
  QUADGATE_INLINE Vector<Real> gate(Vector<Real> z) const { return activate<Real>(Activation::sigmoid, z); }
  QUADGATE_INLINE Vector<Real> gate_slope(Vector<Real> y) const { return slope<Real>(Activation::sigmoid, y); }
  QUADGATE_INLINE Vector<Real> candidate_slope(Vector<Real> y) const { return slope<Real>(Activation::tanh, y); }

  QUADGATE_INLINE void open(Vector<Real> sum_z, Vector<Real> sum_n, Vector<Real>& z, Vector<Real>& n) const {
    const Vector<Real> divisor_z = sigmoid_divisor<Real>(sum_z, ExponentialConstants<Real>::kFactorMost);
    const Vector<Real> dividend_n = tanh_dividend<Real>(sum_n), divisor_n = dividend_n + constant<Real>(2);
    const Vector<Real> share = constant<Real>(1) / (divisor_z * divisor_n);
    z = divisor_n * share;
    n = dividend_n * (divisor_z * share);
  }
};

// Every activation.
template <class Real>
struct GeneralGruGates {
  Activation gate_, candidate_;

  QUADGATE_INLINE Vector<Real> gate(Vector<Real> z) const { return activate<Real>(gate_, z); }
  QUADGATE_INLINE Vector<Real> gate_slope(Vector<Real> y) const { return slope<Real>(gate_, y); }
  QUADGATE_INLINE Vector<Real> candidate_slope(Vector<Real> y) const { return slope<Real>(candidate_, y); }

  QUADGATE_INLINE void open(Vector<Real> sum_z, Vector<Real> sum_n, Vector<Real>& z, Vector<Real>& n) const {
    z = activate<Real>(gate_, sum_z);
    n = activate<Real>(candidate_, sum_n);
  }
};

template <class Real, class Function>
void with_gru_gates(const GruCell& cell, const Function& function) {
  if (cell.gate == Activation::sigmoid && cell.candidate == Activation::tanh) {
    function(BasicGruGates<Real>{});
  } else {
    function(GeneralGruGates<Real>{cell.gate, cell.candidate});
  }
}

}  // namespace quadgate::QUADGATE_TARGET
