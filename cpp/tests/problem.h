// A cell with random weights and a batch for it, and everything that a call reads or writes, poisoned where it writes.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "lstm.h"

namespace quadgate::testing {

inline int failures = 0;

inline void expect(bool condition, const std::string& what) {
  if (condition) return;
  std::fprintf(stderr, "failed: %s\n", what.c_str());
  ++failures;
}

template <class Real>
std::vector<Real> poison(std::size_t size) {
  return std::vector<Real>(size, std::numeric_limits<Real>::quiet_NaN());
}

template <class Real>
struct Weights {
  std::vector<Real> w_x, w_h, b_x, b_h, peepholes, projection;

  std::vector<std::vector<Real>*> all() { return {&w_x, &w_h, &b_x, &b_h, &peepholes, &projection}; }

  // Gates in TensorFlow's order one after the other, each [rows][units].
  template <class Element>
  LstmArrays<Element> arrays(const LstmCell& cell, std::vector<Element*> data) const {
    const std::int64_t C = cell.inputs, H = cell.units, P = cell.width;
    const auto gates = [&](Element* first, std::int64_t rows) {
      return GateArray<Element>{first, {0, rows * H, 2 * rows * H, 3 * rows * H}, H, 1};
    };
    return {gates(data[0], C), gates(data[1], P), gates(data[2], 1), gates(data[3], 1),
            {cell.peepholes ? data[4] : nullptr, {0, H, 2 * H, 3 * H}, 0, 1},
            {cell.projection ? data[5] : nullptr, {0, 0, 0, 0}, P, 1}};
  }
  LstmArrays<const Real> read(const LstmCell& cell) const {
    return arrays<const Real>(cell, {w_x.data(), w_h.data(), b_x.data(), b_h.data(), peepholes.data(), projection.data()});
  }
  LstmArrays<Real> written(const LstmCell& cell) {
    return arrays<Real>(cell, {w_x.data(), w_h.data(), b_x.data(), b_h.data(), peepholes.data(), projection.data()});
  }
};

template <class Real>
struct Problem {
  LstmCell cell;
  std::int64_t N, T;
  Weights<Real> weights;
  std::vector<Real> x, c_start, h_start, d_outputs, d_c, d_h;
  std::vector<std::int64_t> lengths;

  Problem(const LstmCell& shape, std::int64_t N, std::int64_t T, double scale = 1, unsigned seed = 1)
      : cell(shape), N(N), T(T), random_(seed) {
    if (!cell.projection) cell.width = cell.units;
    const std::int64_t C = cell.inputs, H = cell.units, P = cell.width;
    const double spread = scale / std::sqrt(static_cast<double>(C + P));
    weights = {draw(4 * C * H, spread), draw(4 * P * H, spread), draw(4 * H, 0.5), draw(4 * H, 0.5),
               draw(4 * H, 0.3),        draw(H * P, 1 / std::sqrt(static_cast<double>(H)))};
    x = draw(N * T * C, 2);
    c_start = draw(N * H, 1), h_start = draw(N * P, 1);
    d_outputs = draw(N * T * P, 1), d_c = draw(N * H, 1), d_h = draw(N * P, 1);
  }

  std::vector<Real> draw(std::int64_t size, double spread) {
    std::uniform_real_distribution<double> uniform(-spread, spread);
    std::vector<Real> values(size);
    for (Real& value : values) value = static_cast<Real>(uniform(random_));
    return values;
  }

 private:
  std::mt19937 random_;
};

// What a forward call writes.
template <class Real>
struct Results {
  std::vector<Real> outputs, c, h, saved;

  explicit Results(const Problem<Real>& p)
      : outputs(poison<Real>(p.N * p.T * p.cell.width)),
        c(poison<Real>(p.N * p.cell.units)),
        h(poison<Real>(p.N * p.cell.width)) {}

  LstmForward<Real> call(const Problem<Real>& p) {
    const std::int64_t C = p.cell.inputs, P = p.cell.width;
    LstmForward<Real> call;
    call.cases = p.N, call.steps = p.T;
    call.x = {p.x.data(), p.T * C, C};
    call.lengths = p.lengths.empty() ? nullptr : p.lengths.data();
    call.c_start = p.c_start.data(), call.h_start = p.h_start.data();
    call.outputs = {outputs.data(), p.T * P, P};
    call.c_final = c.data(), call.h_final = h.data();
    return call;
  }
  bool operator==(const Results& other) const {
    return outputs == other.outputs && c == other.c && h == other.h;
  }
};

// What a backward call writes.
template <class Real>
struct Gradients {
  std::vector<Real> x, c, h;
  Weights<Real> weights;

  explicit Gradients(const Problem<Real>& p)
      : x(poison<Real>(p.x.size())), c(poison<Real>(p.c_start.size())), h(poison<Real>(p.h_start.size())),
        weights(p.weights) {
    for (std::vector<Real>* array : weights.all()) *array = poison<Real>(array->size());
    // The candidate has no peephole, and what is not in the cell is not written.
    const std::int64_t H = p.cell.units;
    for (std::int64_t u = 0; u < H; ++u) weights.peepholes[H + u] = 0;
    if (!p.cell.peepholes) weights.peepholes.assign(4 * H, 0);
    if (!p.cell.projection) weights.projection.assign(weights.projection.size(), 0);
  }

  LstmBackward<Real> call(const Problem<Real>& p, const LstmForward<Real>& forward) {
    const std::int64_t C = p.cell.inputs, P = p.cell.width;
    LstmBackward<Real> call;
    call.forward = forward;
    call.d_outputs = {p.d_outputs.data(), p.T * P, P};
    call.d_c_final = p.d_c.data(), call.d_h_final = p.d_h.data();
    call.d_x = {x.data(), p.T * C, C};
    call.d_c_start = c.data(), call.d_h_start = h.data();
    call.d_weights = weights.written(p.cell);
    return call;
  }
  bool operator==(const Gradients& other) const {
    return x == other.x && c == other.c && h == other.h && weights.w_x == other.weights.w_x &&
           weights.w_h == other.weights.w_h && weights.b_x == other.weights.b_x && weights.b_h == other.weights.b_h &&
           weights.peepholes == other.weights.peepholes && weights.projection == other.weights.projection;
  }
};

template <class Real>
Results<Real> run_forward(const Problem<Real>& p, int threads = 1) {
  Results<Real> results(p);
  Lstm<Real>(p.cell, p.weights.read(p.cell), false).forward(results.call(p), threads);
  return results;
}

// Forward with what backward needs, and backward; both results.
template <class Real>
std::pair<Results<Real>, Gradients<Real>> run_both(const Problem<Real>& p, int threads = 1, std::int64_t every = 0) {
  Results<Real> results(p);
  Gradients<Real> gradients(p);
  results.saved = poison<Real>(lstm_saved_size<Real>(p.cell, p.N, p.T, every));
  LstmForward<Real> forward = results.call(p);
  forward.saved = results.saved.data();
  forward.recompute_every = every;
  const Lstm<Real> lstm(p.cell, p.weights.read(p.cell), true);
  lstm.forward(forward, threads);
  const std::vector<Real> saved = results.saved;
  lstm.backward(gradients.call(p, forward), threads);
  expect(std::equal(saved.begin(), saved.end(), results.saved.begin(),
                    [](Real a, Real b) { return a == b || (a != a && b != b); }),
         "backward leaves what forward saved");
  return {std::move(results), std::move(gradients)};
}

// The largest difference, relative to the largest value; infinite where either has a NaN.
template <class Real, class Other>
double difference(const std::vector<Real>& found, const std::vector<Other>& expected) {
  double most = 0, scale = 1e-30;
  for (std::size_t k = 0; k < found.size(); ++k) {
    const double apart = std::fabs(static_cast<double>(found[k]) - static_cast<double>(expected[k]));
    most = std::isnan(apart) ? std::numeric_limits<double>::infinity() : std::max(most, apart);
    scale = std::max(scale, std::fabs(static_cast<double>(expected[k])));
  }
  return most / std::max(scale, 1e-3);
}

}  // namespace quadgate::testing
