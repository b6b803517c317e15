#include "head.h"

#include <algorithm>

#include "float_mode.h"

namespace quadgate {

Head::Head(const HeadShape& shape, const float* query, const float* weights, const float* biases)
    : shape_(shape), kernels_(head_kernels()), packed_(kernels_.packed_size(shape)) {
  kernels_.pack(shape, query, weights, biases, packed_.data());
}

void Head::step(const float* outputs, double* carried, bool probabilities, float* features, float* answer) const {
  if (shape_.pool != Pool::last) {
    kernels_.gather(shape_, packed_.data(), outputs, carried);
    kernels_.features(shape_, carried, features);
    outputs = features;
  }
  kernels_.answer(shape_, packed_.data(), outputs, probabilities, answer);
}

void Head::forward(const HeadCall& call) const {
  const DefaultFloatMode mode;
  const std::int64_t F = shape_.features, K = shape_.classes, carried_width = carried_size(shape_);
  const Buffer<double> carried(static_cast<std::size_t>(carried_width));
  const Buffer<float> features(static_cast<std::size_t>(F));
  for (std::int64_t n = 0; n < call.cases; ++n) {
    const float* of_case = call.last + n * F;
    if (shape_.pool != Pool::last) {
      std::fill_n(carried.data(), carried_width, 0.0);
      const std::int64_t steps = call.lengths ? call.lengths[n] : call.steps;
      for (std::int64_t t = 0; t < steps; ++t) {
        kernels_.gather(shape_, packed_.data(), call.outputs + (n * call.steps + t) * F, carried.data());
      }
      kernels_.features(shape_, carried.data(), features.data());
      of_case = features.data();
    }
    kernels_.answer(shape_, packed_.data(), of_case, call.probabilities, call.answers + n * K);
  }
}

}  // namespace quadgate
