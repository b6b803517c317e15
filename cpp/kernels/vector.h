// Vectors of the instruction set that this file is compiled for: the only place that knows its instructions.
//
// Compiled once per instruction set, each time in a namespace of its own, QUADGATE_TARGET, so that no function compiled
// for a larger set is linked into a smaller one. For the same reason nothing here or in the files above uses inline
// functions of the standard library.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace quadgate::QUADGATE_TARGET {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kRegisters = 32;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32, kRegisters = 16;
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16, kRegisters = 32;
#else
constexpr int kVectorBytes = 16, kRegisters = 16;
#endif

template <class Real>
struct VectorTypes;

template <>
struct VectorTypes<float> {
  using Integer = std::int32_t;
  typedef float Values __attribute__((vector_size(kVectorBytes)));
  typedef std::int32_t Integers __attribute__((vector_size(kVectorBytes)));
  typedef float Unaligned __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
};

template <>
struct VectorTypes<double> {
  using Integer = std::int64_t;
  typedef double Values __attribute__((vector_size(kVectorBytes)));
  typedef std::int64_t Integers __attribute__((vector_size(kVectorBytes)));
  typedef double Unaligned __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
};

template <class Real>
using Vector = typename VectorTypes<Real>::Values;
template <class Real>
using IntegerVector = typename VectorTypes<Real>::Integers;
template <class Real>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(Real));

// Under sanitizers every copy of an inlined function is instrumented anew, which takes a compiler minutes.
#if defined(QUADGATE_SANITIZED)
#define QUADGATE_INLINE inline __attribute__((noinline))
#else
#define QUADGATE_INLINE inline __attribute__((always_inline))
#endif

// a * b + c with one rounding. The compiler never fuses by itself (-ffp-contract=off): this decides the bits. Baseline
// x86-64 has no such instruction; there it rounds twice, and no bits are promised.
QUADGATE_INLINE Vector<float> fma(Vector<float> a, Vector<float> b, Vector<float> c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#elif defined(__aarch64__)
  return vfmaq_f32(c, a, b);
#else
  return a * b + c;
#endif
}

QUADGATE_INLINE Vector<double> fma(Vector<double> a, Vector<double> b, Vector<double> c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_pd(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_pd(a, b, c);
#elif defined(__aarch64__)
  return vfmaq_f64(c, a, b);
#else
  return a * b + c;
#endif
}

// value limited to [low, high]; a NaN stays. The compiler has no expression that it turns into these instructions.
QUADGATE_INLINE Vector<float> limit(Vector<float> value, Vector<float> low, Vector<float> high) {
#if defined(__AVX512F__)
  return _mm512_min_ps(high, _mm512_max_ps(low, value));
#elif defined(__AVX2__)
  return _mm256_min_ps(high, _mm256_max_ps(low, value));
#elif defined(__aarch64__)
  return vminq_f32(high, vmaxq_f32(low, value));
#else
  return _mm_min_ps(high, _mm_max_ps(low, value));
#endif
}

QUADGATE_INLINE Vector<double> limit(Vector<double> value, Vector<double> low, Vector<double> high) {
#if defined(__AVX512F__)
  return _mm512_min_pd(high, _mm512_max_pd(low, value));
#elif defined(__AVX2__)
  return _mm256_min_pd(high, _mm256_max_pd(low, value));
#elif defined(__aarch64__)
  return vminq_f64(high, vmaxq_f64(low, value));
#else
  return _mm_min_pd(high, _mm_max_pd(low, value));
#endif
}

template <class Real>
QUADGATE_INLINE Vector<Real> load(const Real* from) {
  return *reinterpret_cast<const typename VectorTypes<Real>::Unaligned*>(from);
}

template <class Real>
QUADGATE_INLINE void store(Real* to, Vector<Real> values) {
  *reinterpret_cast<typename VectorTypes<Real>::Unaligned*>(to) = values;
}

template <class Real>
QUADGATE_INLINE Vector<Real> broadcast(Real value) {
  return value - Vector<Real>{};
}

// The first `count` lanes, the others zero; nothing beyond them is read.
template <class Real>
QUADGATE_INLINE Vector<Real> load_part(const Real* from, std::int64_t count) {
  if (count >= kLanes<Real>) return load(from);
  Vector<Real> values{};
  for (std::int64_t lane = 0; lane < count; ++lane) values[lane] = from[lane];
  return values;
}

// Nothing beyond the first `count` lanes is written.
template <class Real>
QUADGATE_INLINE void store_part(Real* to, Vector<Real> values, std::int64_t count) {
  if (count >= kLanes<Real>) return store(to, values);
  for (std::int64_t lane = 0; lane < count; ++lane) to[lane] = values[lane];
}

}  // namespace quadgate::QUADGATE_TARGET
