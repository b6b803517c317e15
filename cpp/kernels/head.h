// What follows the recurrent layers of a network: its top layer's outputs gathered step by step into the features of a
// case, one dense layer, and the probabilities of the classes.
//
//     features            last: outputs at the last step     mean: their mean     max: their largest, each by itself
//                         attention: sum_t w_t outputs_t / sum_t w_t,  w_t = exp(outputs_t . query)
//     logits[k] = biases[k] + features . weights[:, k]
//     probabilities = exp(logits - max) / sum of the same
//
// What a case has gathered is carried from step to step, so that a step costs the same for ever, and a series that comes
// in pieces has the same bits as one that comes whole. Attention needs no look back at what came before: when a
// step has the highest score so far, the sums are brought to its scale (Milakov and Gimelshein, 2018).
//
// A dot product is summed in 16 chains whatever the vector's width, so that every instruction set gives the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer.h"

namespace quadgate {

enum class Pool { last, mean, max, attention };

struct HeadShape {
  std::int64_t features = 0;  // F
  std::int64_t classes = 0;   // K
  Pool pool = Pool::last;
};

// What a case carries: [0] its steps (mean, max) or the sum of its weights (attention), [1] the highest score, [2...]
// the sums or maxima of F outputs. All zero before the first step. `last` carries nothing.
inline std::int64_t carried_size(const HeadShape& head) { return head.pool == Pool::last ? 0 : 2 + head.features; }

struct HeadKernels {
  // weights [F, K] and biases [K], dense; query [F], read for attention.
  std::size_t (*packed_size)(const HeadShape&);
  void (*pack)(const HeadShape&, const float* query, const float* weights, const float* biases, float* packed);

  // Gathers the outputs [F] of a step.
  void (*gather)(const HeadShape&, const float* packed, const float* outputs, double* carried);
  // The features [F] of what was gathered; zeros where there was no step. Not for `last`.
  void (*features)(const HeadShape&, const double* carried, float* features);
  // Logits [K], or probabilities in their place.
  void (*answer)(const HeadShape&, const float* packed, const float* features, bool probabilities, float* answer);
};

// Those of the instruction set that the LSTM kernels use.
const HeadKernels& head_kernels();

// A batch of series: gathers outputs [N, T, F] and writes answers [N, K].
struct HeadCall {
  std::int64_t cases = 0;  // N
  std::int64_t steps = 0;  // T
  const float* outputs = nullptr;         // [N, T, F], dense; not read for `last`
  const std::int64_t* lengths = nullptr;  // [N], 0 to T; null: all T
  const float* last = nullptr;            // [N, F], dense: the outputs at the last step; read for `last`
  bool probabilities = false;
  float* answers = nullptr;  // [N, K], dense
};

// The dense layer and the query of a head, copied into the order of reading.
class Head {
 public:
  Head(const HeadShape& shape, const float* query, const float* weights, const float* biases);

  void forward(const HeadCall& call) const;

  // A step of one case, without allocation, lock or system call: gathers the outputs [F] and writes the answer [K] to
  // all the steps so far. `features` is scratch for F numbers.
  void step(const float* outputs, double* carried, bool probabilities, float* features, float* answer) const;

  const HeadShape& shape() const { return shape_; }

 private:
  HeadShape shape_;
  const HeadKernels& kernels_;
  Buffer<float> packed_;
};

}  // namespace quadgate
