// exp, sigmoid and tanh by additions, multiplications, fused multiply-adds, divisions and shifts alone: so that every
// instruction set gives the same bits.
//
// e^x = 2^k e^r with k = round(x / ln 2) and |r| <= ln 2 / 2, and e^r = 1 + r + r^2 q(r); q has the least relative error
// in e^r - 1, below 2^-26 and 2^-56, so that e^x - 1 is exact to the last digits near zero too.
#pragma once

#include "activation.h"
#include "vector.h"

namespace quadgate::QUADGATE_TARGET {

template <class Real>
struct ExponentialConstants;

template <>
struct ExponentialConstants<float> {
  // Added to a number below 2^22, it rounds it to an integer k; its last digits are then k + 127, an exponent.
  static constexpr float kRounder = 12582912.0f + 127.0f;
  static constexpr int kMantissaBits = 23;
  static constexpr float kPerLn2 = 1.44269504f;
  static constexpr float kLn2 = 0.693147182f;  // off by 2e-9: k of them stay within a digit where e^x matters
  static constexpr float kLn2Rest = 0.0f;
  static constexpr int kTerms = 5;
  static constexpr float kTerm[kTerms] = {0.49999998143839905f, 0.16666543174733588f, 0.041667201862973571f,
                                          0.0083665806514174189f, 0.001388250439015270f};
  static constexpr float kLeast = -87.0f, kMost = 87.0f;  // e^x is a normal number
  static constexpr float kFactorMost = 66.0f;             // and its product with the square of e^kFlat is one too
  static constexpr float kFlat = 10.5f;                   // where tanh is 1 to the last digit
};

template <>
struct ExponentialConstants<double> {
  static constexpr double kRounder = 6755399441055744.0 + 1023.0;
  static constexpr int kMantissaBits = 52;
  static constexpr double kPerLn2 = 1.4426950408889634;
  static constexpr double kLn2 = 0.69314718055994529;
  static constexpr double kLn2Rest = 2.3190468138462996e-17;
  static constexpr int kTerms = 10;
  static constexpr double kTerm[kTerms] = {0.50000000000000052261, 0.16666666666666588577,   0.04166666666657610555, 0.0083333333333899594015,
                                           0.0013888888931795855248, 0.00019841269718343528212,
                                           0.000024801504977983199996, 2.7557407861794329884e-6,
                                           2.7626161741036310166e-7, 2.5053777922977547549e-8};
  static constexpr double kLeast = -708.0, kMost = 708.0;
  static constexpr double kFactorMost = 660.0;
  static constexpr double kFlat = 22.0;
};

// e^x = scale + scale * fraction.
template <class Real>
struct Exponential {
  Vector<Real> scale, fraction;
};

template <class Real>
QUADGATE_INLINE Vector<Real> constant(Real value) {
  return broadcast(value);
}

// x is between kLeast and kMost, or NaN, which comes back in fraction.
template <class Real>
QUADGATE_INLINE Exponential<Real> exponential(Vector<Real> x) {
  using K = ExponentialConstants<Real>;
  const Vector<Real> rounder = constant<Real>(K::kRounder);
  const Vector<Real> rounded = fma(x, constant<Real>(K::kPerLn2), rounder);
  const Vector<Real> k = rounded - rounder;
  Vector<Real> r = fma(k, constant<Real>(-K::kLn2), x);
  if constexpr (K::kLn2Rest != 0) r = fma(k, constant<Real>(-K::kLn2Rest), r);
  const Vector<Real> square = r * r;
  // Pairs of terms, then Horner's rule in r^2: half the latency.
  Vector<Real> q;
  if constexpr (K::kTerms % 2) {
    q = constant<Real>(K::kTerm[K::kTerms - 1]);
  } else {
    q = fma(constant<Real>(K::kTerm[K::kTerms - 1]), r, constant<Real>(K::kTerm[K::kTerms - 2]));
  }
#pragma GCC unroll 8
  for (int term = (K::kTerms - 1) / 2 * 2 - 2; term >= 0; term -= 2) {
    const Vector<Real> pair = fma(constant<Real>(K::kTerm[term + 1]), r, constant<Real>(K::kTerm[term]));
    q = fma(q, square, pair);
  }
  const IntegerVector<Real> exponent = reinterpret_cast<IntegerVector<Real>>(rounded) << K::kMantissaBits;
  return {reinterpret_cast<Vector<Real>>(exponent), fma(square, q, r)};
}

// 1 + e^-z: sigmoid(z) is its reciprocal. z counts no further than -most.
template <class Real>
QUADGATE_INLINE Vector<Real> sigmoid_divisor(Vector<Real> z, Real most) {
  using K = ExponentialConstants<Real>;
  const auto [scale, fraction] = exponential<Real>(limit(-z, constant<Real>(K::kLeast), constant<Real>(most)));
  return fma(scale, fraction, scale + constant<Real>(1));
}

// e^2z - 1, where tanh(z) has not yet come to 1: tanh(z) is u / (u + 2).
template <class Real>
QUADGATE_INLINE Vector<Real> tanh_dividend(Vector<Real> z) {
  using K = ExponentialConstants<Real>;
  const auto [scale, fraction] =
      exponential<Real>(limit(z + z, constant<Real>(-2 * K::kFlat), constant<Real>(2 * K::kFlat)));
  return fma(scale, fraction, scale - constant<Real>(1));
}

template <class Real>
QUADGATE_INLINE Vector<Real> clipped(Vector<Real> value, Real most) {
  return limit(value, constant<Real>(-most), constant<Real>(most));
}

template <class Real>
QUADGATE_INLINE Vector<Real> activate(Activation activation, Vector<Real> z) {
  const Vector<Real> zero{}, one = constant<Real>(1);
  switch (activation) {
    case Activation::sigmoid: return one / sigmoid_divisor(z, ExponentialConstants<Real>::kMost);
    case Activation::tanh: {
      const Vector<Real> u = tanh_dividend<Real>(z);
      return u / (u + constant<Real>(2));
    }
    case Activation::relu: return z < zero ? zero : z;
    case Activation::linear: return z;
    case Activation::hard_sigmoid:
      return limit(fma(z, constant<Real>(Real(0.2)), constant<Real>(Real(0.5))), zero, one);
    case Activation::hard_sigmoid_v3: return limit(fma(z, constant<Real>(Real(1) / 6), constant<Real>(Real(0.5))), zero, one);
  }
  return z;
}

// The slope where the value is y; at a corner, that of the flat side.
template <class Real>
QUADGATE_INLINE Vector<Real> slope(Activation activation, Vector<Real> y) {
  const Vector<Real> zero{}, one = constant<Real>(1);
  switch (activation) {
    case Activation::sigmoid: return fma(-y, y, y);
    case Activation::tanh: return fma(-y, y, one);
    case Activation::relu: return y > zero ? one : zero;
    case Activation::linear: return one;
    case Activation::hard_sigmoid: return ((y > zero) & (y < one)) ? constant<Real>(Real(0.2)) : zero;
    case Activation::hard_sigmoid_v3: return ((y > zero) & (y < one)) ? constant<Real>(Real(1) / 6) : zero;
  }
  return one;
}

}  // namespace quadgate::QUADGATE_TARGET
