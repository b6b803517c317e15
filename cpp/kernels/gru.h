// The GRU over a batch of sequences, forward and backward, on the processor.
//
//     z = gate(b_z + x @ w_z + h @ u_z)                                      [N, H], and r likewise
//     n = candidate(b_xn + x @ w_n + r * (b_hn + h @ u_n))                   the reset after the product
//     n = candidate(b_xn + b_hn + x @ w_n + (r * h) @ u_n)                   the reset before it
//     h' = z * h + (1 - z) * n
//
// Dimensions: N cases, T steps, C inputs, H units.
//
// Every sum is one chain of fused multiply-adds, first the bias, then x, then h, each in rising order; with the reset
// after the product, what r multiplies is a chain of its own: b_hn, then h. What lstm.h promises of bits holds here too.
//
// No function checks its arguments: the caller does. None keeps an address beyond the call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "activation.h"
#include "views.h"
#include "work.h"

namespace quadgate {

// A cell but for its weights.
struct GruCell {
  std::int64_t inputs = 0;  // C
  std::int64_t units = 0;   // H
  bool reset_after = true;
  Activation gate = Activation::sigmoid, candidate = Activation::tanh;
  bool reverse = false;  // each case is read from its own last step to its first; outputs stay at their inputs' places
};

// The arrays of a cell, gates in the order z, r, n; with Real const, as they are read; else, as their gradients are
// written.
template <class Real>
struct GruArrays {
  GateArray<Real> w_x;  // [3, C, H]
  GateArray<Real> w_h;  // [3, H, H]
  GateArray<Real> b_x;  // [3, H] or null
  GateArray<Real> b_h;  // [3, H] or null
};

// One call forward. Arrays that are read may overlap each other; those written overlap nothing, but for the final state,
// which may lie where the starting state does.
template <class Real>
struct GruForward {
  std::int64_t cases = 0;                 // N
  std::int64_t steps = 0;                 // T
  Steps<const Real> x;                    // [N, T, C]; what stands past the end of a case is not read
  const std::int64_t* lengths = nullptr;  // [N], 0 to T; null: all T
  const Real* h_start = nullptr;          // [N, H] dense; null: zero
  Steps<Real> outputs;                    // [N, T, H], all of it written, zero past the end of a case; null: not wanted
  Real* h_final = nullptr;                // [N, H] dense; null: not wanted

  // For a later backward: gru_saved_size elements, private to these kernels. Where recompute_every is not 0 that is none:
  // backward takes the state from the outputs and computes so many steps again at a time. Either way backward needs the
  // outputs.
  Real* saved = nullptr;
  std::int64_t recompute_every = 0;
};

// One call backward: carries the gradient of a scalar back through a call forward.
template <class Real>
struct GruBackward {
  GruForward<Real> forward;        // as it was called, with what it wrote still in outputs and saved; only read
  Steps<const Real> d_outputs;     // [N, T, H]; what stands past the end of a case is not read; null: zero
  const Real* d_h_final = nullptr; // [N, H] dense; null: zero
  Steps<Real> d_x;                 // [N, T, C], all of it written, zero past the end of a case; null: not wanted
  Real* d_h_start = nullptr;       // [N, H] dense; null: not wanted
  GruArrays<Real> d_weights;       // written, not added to; null: not wanted
};

// Elements of GruForward::saved.
template <class Real>
std::size_t gru_saved_size(const GruCell& cell, std::int64_t cases, std::int64_t steps, std::int64_t recompute_every);

// A cell whose weights were copied into the order in which the kernels read them, as Lstm is.
template <class Real>
class Gru {
 public:
  // trainable: whether backward will be called; forward alone reads less.
  Gru(const GruCell& cell, const GruArrays<const Real>& arrays, bool trainable);
  ~Gru();
  Gru(Gru&&) noexcept;
  Gru& operator=(Gru&&) noexcept;

  void forward(const GruForward<Real>& call, int threads) const;
  void backward(const GruBackward<Real>& call, int threads) const;

  // As of Lstm: as tasks, and as tasks of so many steps.
  Work forward_work(const GruForward<Real>& call, int threads) const;
  Work backward_work(const GruBackward<Real>& call) const;
  Work forward_steps(const GruForward<Real>& call, std::int64_t steps) const;

  // As of Lstm: one step at a time, in memory of the caller's.
  std::size_t scratch_size(std::int64_t cases) const;
  void forward(const GruForward<Real>& call, Real* scratch) const;

  const GruCell& cell() const;

 private:
  struct Packed;
  std::unique_ptr<Packed> packed_;
};

extern template class Gru<float>;
extern template class Gru<double>;

}  // namespace quadgate
