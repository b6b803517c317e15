// Compiled once per instruction set, with QUADGATE_TARGET naming its namespace.
#include "lstm_backward.h"

namespace quadgate::QUADGATE_TARGET {

template <class Real>
std::size_t forward_scratch(const LstmCell& cell, std::int64_t cases) {
  return ForwardTile<Real>::scratch_size(cell, cases);
}

template <class Real>
std::size_t backward_scratch(const LstmCell& cell, const LstmForward<Real>& call, std::int64_t cases) {
  return BackwardTile<Real>::scratch_size(cell, call, cases);
}

template <class Real>
constexpr LstmKernels<Real> kernels_of() {
  return {packed_size<Real>, pack<Real>,     saved_size<Real>,    forward_scratch<Real>, forward<Real>,
          backward_scratch<Real>, backward<Real>, gradient_size<Real>, add<Real>,             unpack<Real>};
}

extern const LstmKernels<float> kLstmFloat = kernels_of<float>();
extern const LstmKernels<double> kLstmDouble = kernels_of<double>();

}  // namespace quadgate::QUADGATE_TARGET
