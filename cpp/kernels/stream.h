// A whole network, one sample after the other: scaling, every layer, pooling, dense layer, probabilities.
//
// A step costs the same for ever: it allocates nothing, takes no lock and calls no system. Its answer has the bits that
// the same samples have in one batch, since it runs the same kernels, and they do not depend on how series are cut.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "buffer.h"
#include "gru.h"
#include "head.h"
#include "lstm.h"

namespace quadgate {

// One layer and the state of N streams, which the caller keeps.
template <class Real>
struct StreamedLstm {
  using Number = Real;
  const Lstm<Real>* packed = nullptr;
  Real* c = nullptr;  // [N, H], dense
  Real* h = nullptr;  // [N, P], dense

  std::int64_t width() const { return packed->cell().width; }
  LstmForward<Real> from(std::int64_t first) const {
    LstmForward<Real> call;
    call.c_start = call.c_final = c + first * packed->cell().units;
    call.h_start = call.h_final = h + first * width();
    return call;
  }
};

template <class Real>
struct StreamedGru {
  using Number = Real;
  const Gru<Real>* packed = nullptr;
  Real* h = nullptr;  // [N, H], dense

  std::int64_t width() const { return packed->cell().units; }
  GruForward<Real> from(std::int64_t first) const {
    GruForward<Real> call;
    call.h_start = call.h_final = h + first * width();
    return call;
  }
};

using StreamedLayer = std::variant<StreamedLstm<float>, StreamedLstm<double>, StreamedGru<float>, StreamedGru<double>>;

// What is kept with the weights for a stream: all of it belongs to the caller, and stays where it is.
struct StreamParts {
  std::int64_t streams = 1;           // N
  std::vector<StreamedLayer> layers;  // read forward in time, each as wide as the next one reads
  const double* mean = nullptr;       // [C], or null: no scaling
  const double* scale = nullptr;      // [C]
  const Head* head = nullptr;         // null: the answer is the top layer's outputs
  double* carried = nullptr;          // [N, carried_size], dense
  bool probabilities = false;
};

// Samples [N, T, C], in float or double; element (n, t, k) is data[n * n + t * t + k].
template <class Number>
struct Samples {
  const Number* data = nullptr;
  std::int64_t n = 0;
  std::int64_t t = 0;
};

// Where a number was found that is not finite, or would not be once it is scaled; stream -1: nowhere.
struct Place {
  std::int64_t stream = -1, step = 0, channel = 0;
};

class Stream {
 public:
  explicit Stream(const StreamParts& parts);

  // Reads `steps` samples of each stream and writes the answer after each of them, [N, T, K], dense. Where a sample is
  // not finite nothing is read or written, and the first such place is told.
  template <class Number>
  Place advance(const Samples<Number>& samples, std::int64_t steps, float* answers);

  std::int64_t streams() const { return parts_.streams; }
  std::int64_t inputs() const { return inputs_; }
  std::int64_t width() const { return width_; }  // K, or F without a head

 private:
  // Streams [first, first + streams) at steps [begin, begin + steps) of a chunk.
  struct Part {
    std::int64_t first, streams, begin, steps;
  };
  template <class Number>
  Place find_bad(const Samples<Number>& samples, std::int64_t steps) const;
  template <class Number>
  void scale(const Samples<Number>& samples, const Part& part, float* to) const;
  template <class Layer>
  void run(const Layer& layer, const Part& part, const float* x, float* outputs);
  void answer(const Part& part, const float* outputs, std::int64_t steps, float* answers);

  StreamParts parts_;
  std::int64_t inputs_, width_, features_;
  std::int64_t together_, block_, row_size_;
  Buffer<double> limits_;  // [2, C]: the least and the most that a sample may be
  Buffer<float> rows_;     // two of [together, block, row_size]: what a layer reads, and what it writes
  Buffer<float> features_of_case_;
  Buffer<char> scratch_;  // of the layer that runs
};

}  // namespace quadgate
