// Compiled once per instruction set, with QUADGATE_TARGET naming its namespace.
#include "gru_backward.h"

namespace quadgate::QUADGATE_TARGET {

template <class Real>
constexpr GruKernels<Real> kernels_of() {
  return {gru_packed_size<Real>,
          gru_pack<Real>,
          gru_saved_size<Real>,
          GruForwardTile<Real>::scratch_size,
          gru_forward<Real>,
          GruBackwardTile<Real>::scratch_size,
          gru_backward<Real>,
          gru_gradient_size<Real>,
          add<Real>,
          gru_unpack<Real>};
}

extern const GruKernels<float> kGruFloat = kernels_of<float>();
extern const GruKernels<double> kGruDouble = kernels_of<double>();

}  // namespace quadgate::QUADGATE_TARGET
