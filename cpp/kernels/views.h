// The caller's arrays, read and written where they are.
#pragma once

#include <cstdint>

namespace quadgate {

// Numbers of each gate where a framework keeps them: the one of `gate, row, unit` is
// data[gate_offset[gate] + row * row_stride + unit * unit_stride]. A bias has row_stride 0; a projection [H, P] is read at
// gate_offset[0] with a row for each unit of the cell and a unit for each of the output. data is null where the
// framework has no such array.
template <class Real>
struct GateArray {
  Real* data = nullptr;
  std::int64_t gate_offset[4] = {0, 0, 0, 0};
  std::int64_t row_stride = 0;
  std::int64_t unit_stride = 1;
};

// A sequence array [N, T, width], dense along its last dimension; element (n, t, k) is data[n * n + t * t + k].
template <class Real>
struct Steps {
  Real* data = nullptr;
  std::int64_t n = 0;
  std::int64_t t = 0;
};

}  // namespace quadgate
