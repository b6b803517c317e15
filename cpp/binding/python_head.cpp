#include "python_head.h"

#include <nanobind/stl/string.h>

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "arrays.h"
#include "head.h"

namespace quadgate::binding {
namespace {

using std::int64_t;

Pool pool_of(const std::string& name) {
  constexpr std::pair<const char*, Pool> known[] = {
      {"last", Pool::last}, {"mean", Pool::mean}, {"max", Pool::max}, {"attention", Pool::attention}};
  for (const auto& [one, value] : known) {
    if (name == one) return value;
  }
  throw Refused("pool: found '" + name + "', expected one of last, mean, max, attention");
}

template <class Number>
const Number* dense(std::deque<Array>& arrays, const char* name, nb::handle value,
                    const std::vector<int64_t>& shape, const char* dimensions) {
  return arrays.emplace_back(name, value, false).expect<Number>(shape, dimensions).expect_dense().template data<const Number>();
}

void construct(Head* head, const std::string& pool, nb::handle query, nb::handle weights, nb::handle biases) {
  std::deque<Array> arrays;
  const float* const rows = dense<float>(arrays, "weights", weights, {kAnySize, kAnySize}, "F, K");
  const HeadShape shape{arrays[0].size(0), arrays[0].size(1), pool_of(pool)};
  if (shape.features < 1 || shape.classes < 1) arrays[0].refuse_shape("(F, K), both from 1");
  const float* const offsets = dense<float>(arrays, "biases", biases, {shape.classes}, "K");
  const float* asked = nullptr;
  if (shape.pool == Pool::attention) asked = dense<float>(arrays, "query", query, {shape.features}, "F");
  new (head) Head(shape, asked, rows, offsets);
}

// `outputs [N, T, F]` and `lengths [N]`, or None; `last [N, F]`, or None.
void forward(const Head& head, nb::handle outputs, nb::handle lengths, nb::handle last, bool probabilities,
             nb::handle answers) {
  const HeadShape& shape = head.shape();
  std::deque<Array> read, written;
  HeadCall call;
  call.probabilities = probabilities;
  if (shape.pool == Pool::last) {
    call.last = dense<float>(read, "last", last, {kAnySize, shape.features}, "N, F");
    call.cases = read[0].size(0);
  } else {
    call.outputs = dense<float>(read, "outputs", outputs, {kAnySize, kAnySize, shape.features}, "N, T, F");
    call.cases = read[0].size(0);
    call.steps = read[0].size(1);
    if (!lengths.is_none()) {
      call.lengths = dense<int64_t>(read, "lengths", lengths, {call.cases}, "N");
      for (int64_t n = 0; n < call.cases; ++n) {
        if (call.lengths[n] < 0 || call.lengths[n] > call.steps) {
          throw Refused("lengths: found " + std::to_string(call.lengths[n]) + " at case " + std::to_string(n) +
                        ", expected 0 to " + std::to_string(call.steps) + ", the steps of the batch");
        }
      }
    }
  }
  const Array& to = written.emplace_back("answers", answers, true);
  call.answers = to.expect<float>({call.cases, shape.classes}, "N, K").expect_dense().data<float>();
  expect_apart(written, read);
  head.forward(call);
}

}  // namespace

void register_head(nb::module_& module) {
  nb::class_<Head>(module, "Head", "Pooling, the dense layer and the probabilities, packed.")
      .def("__init__", &construct, nb::arg("pool"), nb::arg("query").none(), nb::arg("weights"), nb::arg("biases"))
      .def("forward", &forward, nb::arg("outputs").none(), nb::arg("lengths").none(), nb::arg("last").none(),
           nb::arg("probabilities"), nb::arg("answers"))
      .def_prop_ro("carried_size", [](const Head& head) { return carried_size(head.shape()); },
                   "Numbers that a case carries from step to step.");
}

}  // namespace quadgate::binding
