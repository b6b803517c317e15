// The kernels against loops over scalars in float64: values and gradients of every option.
#include "lstm.h"

#include "poisoned_memory.h"
#include "problem.h"
#include "reference.h"

namespace {

using namespace quadgate;
using namespace quadgate::testing;

template <class Real>
constexpr double kTolerance = sizeof(Real) == 4 ? 1e-5 : 1e-13;

template <class Real>
void compare(const Problem<Real>& p, const std::string& name, double tolerance = kTolerance<Real>) {
  Results<Real> expected(p);
  Gradients<Real> expected_gradients(p);
  const LstmForward<Real> forward = expected.call(p);
  reference::forward(p.cell, p.weights.read(p.cell), forward);
  reference::backward(p.cell, p.weights.read(p.cell), expected_gradients.call(p, forward));

  const auto near = [&](const auto& found, const auto& wanted, const char* what) {
    const double apart = difference(found, wanted);
    expect(apart <= tolerance, name + (sizeof(Real) == 4 ? " float32 " : " float64 ") + what + ": off by " +
                                          std::to_string(apart / tolerance) + " times the tolerance");
  };
  for (const std::int64_t every : {0, 5}) {
    auto [results, gradients] = run_both(p, 2, every);
    near(results.outputs, expected.outputs, "outputs");
    near(results.c, expected.c, "final c");
    near(results.h, expected.h, "final h");
    near(gradients.x, expected_gradients.x, "gradient of x");
    near(gradients.c, expected_gradients.c, "gradient of the starting c");
    near(gradients.h, expected_gradients.h, "gradient of the starting h");
    const char* const names[] = {"w_x", "w_h", "b_x", "b_h", "peepholes", "projection"};
    for (int k = 0; k < 6; ++k) {
      near(*gradients.weights.all()[k], *expected_gradients.weights.all()[k],
           (std::string("gradient of ") + names[k]).c_str());
    }
  }
  expect(run_forward(p).outputs == run_both(p).first.outputs, name + ": training has the outputs of inference");
}

LstmCell basic(std::int64_t C, std::int64_t H) {
  LstmCell cell;
  cell.inputs = C, cell.units = H, cell.forget_bias = 1;
  return cell;
}

template <class Real>
void all_options() {
  for (const auto& [C, H, N, T] : std::vector<std::array<std::int64_t, 4>>{
           {1, 1, 1, 1}, {12, 64, 5, 9}, {3, 17, 33, 3}, {7, 31, 2, 13}, {40, 5, 13, 2}, {2, 33, 1, 300}}) {
    const std::string name = "C=" + std::to_string(C) + " H=" + std::to_string(H) + " N=" + std::to_string(N);
    compare(Problem<Real>(basic(C, H), N, T), name);
  }
  for (const bool reverse : {false, true}) {
    LstmCell cell = basic(3, 10);
    cell.reverse = reverse;
    Problem<Real> p(cell, 7, 11);
    p.lengths = {0, 1, 11, 5, 11, 2, 10};
    compare(p, reverse ? "lengths in reverse" : "lengths");
    cell.projection = cell.peepholes = true;
    cell.width = 6;
    Problem<Real> other(cell, 7, 11);
    other.lengths = {0, 1, 11, 5, 11, 2, 10};
    compare(other, reverse ? "lengths in reverse, every part" : "lengths, every part");
  }
  {
    LstmCell cell = basic(5, 19);
    cell.peepholes = true;
    compare(Problem<Real>(cell, 6, 9), "peepholes");
    cell.cell_clip = 0.4;
    compare(Problem<Real>(cell, 6, 9), "peepholes and cell clip");
    cell.input_clip = 0.5;
    compare(Problem<Real>(cell, 6, 9), "peepholes, cell clip and input clip");
  }
  for (const std::int64_t P : {1, 7, 40}) {
    LstmCell cell = basic(5, 19);
    cell.projection = true;
    cell.width = P;
    compare(Problem<Real>(cell, 9, 7), "projection to " + std::to_string(P));
    cell.projection_clip = 0.2;
    compare(Problem<Real>(cell, 9, 7), "projection with clip to " + std::to_string(P));
  }
  using enum Activation;
  for (const Activation gate : {sigmoid, hard_sigmoid, hard_sigmoid_v3}) {
    for (const Activation other : {tanh, sigmoid, relu, linear}) {
      LstmCell cell = basic(4, 18);
      cell.gate = gate, cell.cell = other, cell.output = other == relu ? tanh : other;
      compare(Problem<Real>(cell, 5, 6, 0.7), "activations");
    }
  }
  compare(Problem<Real>(basic(4, 18), 5, 6, 100), "large weights", 20 * kTolerance<Real>);
}

}  // namespace

int main() {
  all_options<float>();
  all_options<double>();
  if (!failures) std::puts("lstm: all tests passed");
  return failures != 0;
}
