// The GRU kernels against a loop over scalars in float64, and their gradients against its differences.
#include "gru.h"

#include <functional>

#include "poisoned_memory.h"
#include "problem.h"
#include "reference.h"

namespace {

using namespace quadgate;
using namespace quadgate::testing;

template <class Real>
using Arrays = std::array<std::vector<Real>, 6>;
enum { kX, kWx, kWh, kBx, kBh, kStart };
const char* const kNames[] = {"x", "w_x", "w_h", "b_x", "b_h", "the starting h"};

template <class Real>
struct GruProblem {
  GruCell cell;
  std::int64_t N, T;
  Arrays<Real> arrays;
  std::vector<std::int64_t> lengths;
  std::vector<Real> d_outputs, d_h;

  GruProblem(const GruCell& cell, std::int64_t N, std::int64_t T, double scale = 1, std::vector<std::int64_t> lengths = {})
      : cell(cell), N(N), T(T), lengths(std::move(lengths)) {
    const std::int64_t C = cell.inputs, H = cell.units;
    std::mt19937 random(1);
    const auto draw = [&](std::int64_t size, double spread) {
      std::uniform_real_distribution<double> uniform(-spread, spread);
      std::vector<Real> values(size);
      for (Real& value : values) value = static_cast<Real>(uniform(random));
      return values;
    };
    const double spread = scale / std::sqrt(static_cast<double>(C + H));
    arrays = {draw(N * T * C, 2), draw(3 * C * H, spread), draw(3 * H * H, spread),
              draw(3 * H, 0.5),   draw(3 * H, 0.5),        draw(N * H, 1)};
    d_outputs = draw(N * T * H, 1), d_h = draw(N * H, 1);
  }

  std::int64_t length(std::int64_t n) const { return lengths.empty() ? T : lengths[n]; }

  template <class Element>
  GruArrays<Element> weights(Arrays<Real>& of) const {
    const std::int64_t C = cell.inputs, H = cell.units;
    const auto gates = [&](Element* data, std::int64_t rows) {
      return GateArray<Element>{data, {0, rows * H, 2 * rows * H, 0}, rows == 1 ? 0 : H, 1};
    };
    return {gates(of[kWx].data(), C), gates(of[kWh].data(), H), gates(of[kBx].data(), 1), gates(of[kBh].data(), 1)};
  }
};

struct Found {
  std::vector<double> outputs, h;
};

// The equations of gru.h, one number at a time.
template <class Real>
Found judge(const GruProblem<Real>& p, const Arrays<double>& a) {
  const std::int64_t C = p.cell.inputs, H = p.cell.units;
  Found found{std::vector<double>(p.N * p.T * H, 0.0), a[kStart]};
  for (std::int64_t n = 0; n < p.N; ++n) {
    for (std::int64_t read = 0; read < p.length(n); ++read) {
      const std::int64_t t = p.cell.reverse ? p.length(n) - 1 - read : read;
      const double* const x = &a[kX][(n * p.T + t) * C];
      const std::vector<double> h(found.h.begin() + n * H, found.h.begin() + (n + 1) * H);
      const auto of_x = [&](int g, std::int64_t u) {
        double sum = a[kBx][g * H + u];
        for (std::int64_t k = 0; k < C; ++k) sum += x[k] * a[kWx][(g * C + k) * H + u];
        return sum;
      };
      const auto of_h = [&](int g, std::int64_t u, const std::vector<double>& fed) {
        double sum = a[kBh][g * H + u];
        for (std::int64_t k = 0; k < H; ++k) sum += fed[k] * a[kWh][(g * H + k) * H + u];
        return sum;
      };
      std::vector<double> r(H), reset(H);
      for (std::int64_t u = 0; u < H; ++u) {
        r[u] = reference::function(p.cell.gate, of_x(1, u) + of_h(1, u, h));
        reset[u] = r[u] * h[u];
      }
      for (std::int64_t u = 0; u < H; ++u) {
        const double z = reference::function(p.cell.gate, of_x(0, u) + of_h(0, u, h));
        const double fed = p.cell.reset_after ? r[u] * of_h(2, u, h) : of_h(2, u, reset);
        const double candidate = reference::function(p.cell.candidate, of_x(2, u) + fed);
        found.h[n * H + u] = found.outputs[(n * p.T + t) * H + u] = z * h[u] + (1 - z) * candidate;
      }
    }
  }
  return found;
}

template <class Real>
struct Ran {
  std::vector<Real> outputs, h;
  Arrays<Real> gradients;
  bool operator==(const Ran&) const = default;
};

template <class Real>
Ran<Real> run(GruProblem<Real>& p, int threads, std::int64_t every) {
  const std::int64_t C = p.cell.inputs, H = p.cell.units;
  Ran<Real> ran{poison<Real>(p.N * p.T * H), poison<Real>(p.N * H), {}};
  for (int k = 0; k < 6; ++k) ran.gradients[k] = poison<Real>(p.arrays[k].size());
  std::vector<Real> saved = poison<Real>(gru_saved_size<Real>(p.cell, p.N, p.T, every));
  const Gru<Real> gru(p.cell, p.template weights<const Real>(p.arrays), true);
  GruForward<Real> forward;
  forward.cases = p.N, forward.steps = p.T;
  forward.x = {p.arrays[kX].data(), p.T * C, C};
  forward.lengths = p.lengths.empty() ? nullptr : p.lengths.data();
  forward.h_start = p.arrays[kStart].data();
  forward.outputs = {ran.outputs.data(), p.T * H, H};
  forward.h_final = ran.h.data();
  forward.saved = saved.data();
  forward.recompute_every = every;
  gru.forward(forward, threads);
  GruBackward<Real> backward;
  backward.forward = forward;
  backward.d_outputs = {p.d_outputs.data(), p.T * H, H};
  backward.d_h_final = p.d_h.data();
  backward.d_x = {ran.gradients[kX].data(), p.T * C, C};
  backward.d_h_start = ran.gradients[kStart].data();
  backward.d_weights = p.template weights<Real>(ran.gradients);
  gru.backward(backward, threads);
  return ran;
}

template <class Real>
void compare(GruProblem<Real> p, const std::string& name) {
  const double tolerance = sizeof(Real) == 4 ? 1e-5 : 1e-13;
  const Ran<Real> ran = run(p, 2, 0);
  Arrays<double> exact;
  for (int k = 0; k < 6; ++k) exact[k].assign(p.arrays[k].begin(), p.arrays[k].end());
  const Found found = judge(p, exact);
  expect(difference(ran.outputs, found.outputs) <= tolerance, name + ": outputs");
  expect(difference(ran.h, found.h) <= tolerance, name + ": final h");
  for (const int threads : {1, 3}) expect(ran == run(p, threads, 0), name + ": bits of another number of threads");
  for (const std::int64_t every : {1, 5}) expect(ran == run(p, 2, every), name + ": bits where steps are computed again");

  // Along a direction in each array, the gradient is the difference of the loss.
  const auto loss = [&](const Arrays<double>& a) {
    const Found at = judge(p, a);
    double sum = 0;
    for (std::size_t k = 0; k < at.outputs.size(); ++k) sum += at.outputs[k] * p.d_outputs[k];
    for (std::size_t k = 0; k < at.h.size(); ++k) sum += at.h[k] * p.d_h[k];
    return sum;
  };
  for (int k = 0; k < 6; ++k) {
    constexpr double kStep = 1e-5;
    Arrays<double> above = exact, below = exact;
    double along = 0, scale = 1;
    for (std::size_t e = 0; e < exact[k].size(); ++e) {
      const double direction = std::sin(1.0 + static_cast<double>(e));
      above[k][e] += kStep * direction, below[k][e] -= kStep * direction;
      along += direction * static_cast<double>(ran.gradients[k][e]);
      scale += std::fabs(static_cast<double>(ran.gradients[k][e]));
    }
    const double difference = (loss(above) - loss(below)) / (2 * kStep);
    expect(std::fabs(along - difference) <= (sizeof(Real) == 4 ? 2e-6 : 1e-8) * scale,
           name + ": gradient of " + kNames[k]);
  }
}

template <class Real>
void all_options() {
  const std::string type = sizeof(Real) == 4 ? " float32" : " float64";
  for (const bool after : {true, false}) {
    const std::string reset = (after ? " after" : " before") + type;
    GruCell cell;
    cell.reset_after = after;
    for (const auto& [C, H, N, T] : std::vector<std::array<std::int64_t, 4>>{
             {1, 1, 1, 1}, {12, 64, 5, 3}, {3, 17, 33, 3}, {7, 31, 2, 5}, {40, 5, 13, 2}, {2, 3, 1, 300}}) {
      cell.inputs = C, cell.units = H;
      compare(GruProblem<Real>(cell, N, T), "H=" + std::to_string(H) + " N=" + std::to_string(N) + reset);
    }
    cell.inputs = 3, cell.units = 10;
    for (const bool reverse : {false, true}) {
      cell.reverse = reverse;
      compare(GruProblem<Real>(cell, 7, 11, 1, {0, 1, 11, 5, 11, 2, 10}), "lengths" + reset);
    }
    using enum Activation;
    for (const Activation gate : {sigmoid, hard_sigmoid, hard_sigmoid_v3}) {
      for (const Activation candidate : {tanh, sigmoid, linear}) {
        cell.gate = gate, cell.candidate = candidate;
        compare(GruProblem<Real>(cell, 5, 6, 0.7), "activations" + reset);
      }
    }
  }
}

}  // namespace

int main() {
  all_options<float>();
  all_options<double>();
  if (!failures) std::puts("gru: all tests passed");
  return failures != 0;
}
