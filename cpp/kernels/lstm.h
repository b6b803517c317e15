// The LSTM over a batch of sequences, forward and backward, on the processor.
//
//     z = bias + x @ w_x + h @ w_h                     [N, 4, H], gates i, j, f, o
//     i, f, o = gate(z_i + p_i c), gate(z_f + forget_bias + p_f c), gate(z_o + p_o c')
//     c' = clip(f c + i cell(z_j), cell_clip)
//     h' = clip((o output(c')) @ projection, projection_clip)
//
// Dimensions: N cases, T steps, C inputs, H units, P width of h and of the outputs (H where there is no projection).
//
// Every sum of a pre-activation is one chain of fused multiply-adds, first the bias, then x, then h, each in rising
// order. So a case has the same outputs, bit for bit, wherever in whatever batch it stands, with any number of threads,
// cut into any chunks, on every instruction set that has fused multiply-add. Gradients are the same bits for any number
// of threads and with or without recomputation.
//
// No function checks its arguments: the caller does. None keeps an address beyond the call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>

#include "activation.h"
#include "views.h"
#include "work.h"

namespace quadgate {

constexpr double kNoClip = std::numeric_limits<double>::infinity();

// A cell but for its weights.
struct LstmCell {
  std::int64_t inputs = 0;  // C
  std::int64_t units = 0;   // H
  std::int64_t width = 0;   // P, equal to H where there is no projection
  bool projection = false;
  bool peepholes = false;
  Activation gate = Activation::sigmoid, cell = Activation::tanh, output = Activation::tanh;
  double forget_bias = 0;
  double input_clip = kNoClip;  // limits each z, with all that was added to it
  double cell_clip = kNoClip;
  double projection_clip = kNoClip;
  bool reverse = false;  // each case is read from its own last step to its first; outputs stay at their inputs' places
};

// The arrays of a cell, gates in the order i, j, f, o (of peepholes i, f, o count); with Real const, as they are read;
// else, as their gradients are written.
template <class Real>
struct LstmArrays {
  GateArray<Real> w_x;         // [4, C, H]
  GateArray<Real> w_h;         // [4, P, H]
  GateArray<Real> b_x;         // [4, H] or null
  GateArray<Real> b_h;         // [4, H] or null; the two are added
  GateArray<Real> peepholes;   // [4, H], j unused; read where the cell has them
  GateArray<Real> projection;  // [H, P]; read where the cell has it
};

// One call forward. Arrays that are read may overlap each other; those written overlap nothing, but for the final state,
// which may lie where the starting state does.
template <class Real>
struct LstmForward {
  std::int64_t cases = 0;                 // N
  std::int64_t steps = 0;                 // T
  Steps<const Real> x;                    // [N, T, C]; what stands past the end of a case is not read
  const std::int64_t* lengths = nullptr;  // [N], 0 to T; null: all T
  const Real* c_start = nullptr;          // [N, H] dense; null: zero
  const Real* h_start = nullptr;          // [N, P] dense; null: zero
  Steps<Real> outputs;                    // [N, T, P], all of it written, zero past the end of a case; null: not wanted
  Real* c_final = nullptr;                // [N, H] dense; null: not wanted
  Real* h_final = nullptr;                // [N, P] dense; null: not wanted

  // For a later backward: lstm_saved_size elements, private to these kernels; null: none will come. With it, outputs
  // are required. Where recompute_every is not 0, only the state at each so many steps is kept, and backward computes
  // the rest again.
  Real* saved = nullptr;
  std::int64_t recompute_every = 0;
};

// One call backward: carries the gradient of a scalar back through a call forward.
template <class Real>
struct LstmBackward {
  LstmForward<Real> forward;       // as it was called, with what it wrote still in outputs and saved; only read
  Steps<const Real> d_outputs;     // [N, T, P]; what stands past the end of a case is not read; null: zero
  const Real* d_c_final = nullptr; // [N, H] dense; null: zero
  const Real* d_h_final = nullptr; // [N, P] dense; null: zero
  Steps<Real> d_x;                 // [N, T, C], all of it written, zero past the end of a case; null: not wanted
  Real* d_c_start = nullptr;       // [N, H] dense; null: not wanted
  Real* d_h_start = nullptr;       // [N, P] dense; null: not wanted
  LstmArrays<Real> d_weights;      // written, not added to; null: not wanted; both biases get the same
};

// Elements of LstmForward::saved.
template <class Real>
std::size_t lstm_saved_size(const LstmCell& cell, std::int64_t cases, std::int64_t steps, std::int64_t recompute_every);

// A cell whose weights were copied into the order in which the kernels read them. It does not see later changes of the
// arrays it was made from: make one for every training call, which costs little, and keep one for a frozen model.
// Calls may run at the same time on several threads.
template <class Real>
class Lstm {
 public:
  // trainable: whether backward will be called; forward alone reads less.
  Lstm(const LstmCell& cell, const LstmArrays<const Real>& arrays, bool trainable);
  ~Lstm();
  Lstm(Lstm&&) noexcept;
  Lstm& operator=(Lstm&&) noexcept;

  void forward(const LstmForward<Real>& call, int threads) const;
  void backward(const LstmBackward<Real>& call, int threads) const;

  // The same as tasks, to be run with those of other calls; they outlive neither this layer nor the caller's arrays.
  // `threads` is how many are to share the tasks of this call.
  Work forward_work(const LstmForward<Real>& call, int threads) const;
  Work backward_work(const LstmBackward<Real>& call) const;

  // Forward as tasks of so many steps each, to be taken in order. Not for a cell that reads in reverse; the final state
  // is wanted, and nothing is saved.
  Work forward_steps(const LstmForward<Real>& call, std::int64_t steps) const;

  // Forward on the calling thread alone, in memory of the caller's: it allocates nothing, takes no lock and calls no
  // system, which is what one step at a time needs. `scratch` has scratch_size elements and begins with a cache line;
  // call.saved is null.
  std::size_t scratch_size(std::int64_t cases) const;
  void forward(const LstmForward<Real>& call, Real* scratch) const;

  const LstmCell& cell() const;

 private:
  struct Packed;
  std::unique_ptr<Packed> packed_;
};

extern template class Lstm<float>;
extern template class Lstm<double>;

}  // namespace quadgate
