// What each instruction set provides: the same functions, compiled for it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gru.h"
#include "lstm.h"

namespace quadgate {

// Cases that go through all steps together: the unit of work of a thread.
struct Tile {
  std::int64_t first, count;
  const std::int64_t* order = nullptr;  // of a batch, the tiles' places in it one after the other; null: as they stand
};

constexpr std::int64_t kMostCases = 32;  // in a tile

template <class Real>
struct LstmKernels {
  // The weights in the order of reading; `trainable` adds the transposes that backward reads.
  std::size_t (*packed_size)(const LstmCell&, bool trainable);
  void (*pack)(const LstmCell&, const LstmArrays<const Real>&, bool trainable, Real* packed);

  // Elements that a case needs of LstmForward::saved; those of a tile follow those of the tiles before.
  std::size_t (*saved_size)(const LstmCell&, std::int64_t steps, std::int64_t recompute_every);

  // A tile forward and back. `scratch` is the tile's own, of any contents.
  std::size_t (*forward_scratch)(const LstmCell&, std::int64_t cases);
  void (*forward)(const LstmCell&, const Real* packed, const LstmForward<Real>&, Tile, Real* scratch);
  std::size_t (*backward_scratch)(const LstmCell&, const LstmForward<Real>&, std::int64_t cases);
  void (*backward)(const LstmCell&, const Real* packed, const LstmBackward<Real>&, Tile, Real* scratch, Real* gradient);

  // The gradient of the weights in a tile, packed: made by backward, added up tile by tile, taken apart at the end.
  std::size_t (*gradient_size)(const LstmCell&);
  void (*add)(Real* sum, const Real* gradient, std::size_t size);
  void (*unpack)(const LstmCell&, const Real* gradient, const LstmArrays<Real>& to);
};

// The same of a GRU.
template <class Real>
struct GruKernels {
  std::size_t (*packed_size)(const GruCell&, bool trainable);
  void (*pack)(const GruCell&, const GruArrays<const Real>&, bool trainable, Real* packed);
  std::size_t (*saved_size)(const GruCell&, std::int64_t steps, std::int64_t recompute_every);
  std::size_t (*forward_scratch)(const GruCell&, std::int64_t cases);
  void (*forward)(const GruCell&, const Real* packed, const GruForward<Real>&, Tile, Real* scratch);
  std::size_t (*backward_scratch)(const GruCell&, const GruForward<Real>&, std::int64_t cases);
  void (*backward)(const GruCell&, const Real* packed, const GruBackward<Real>&, Tile, Real* scratch, Real* gradient);
  std::size_t (*gradient_size)(const GruCell&);
  void (*add)(Real* sum, const Real* gradient, std::size_t size);
  void (*unpack)(const GruCell&, const Real* gradient, const GruArrays<Real>& to);
};

// Those of the best instruction set that the processor has, or of the one that QUADGATE_ISA names.
template <class Real>
const LstmKernels<Real>& lstm_kernels();
template <class Real>
const GruKernels<Real>& gru_kernels();

}  // namespace quadgate
