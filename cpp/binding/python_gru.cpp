#include "python_gru.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "arguments.h"
#include "gru.h"
#include "placed.h"
#include "python_call.h"

namespace quadgate::binding {
namespace {

// Weights come with the gates apart, `(w_x [3, C, H], w_h [3, H, H], b_x [3, H], b_h [3, H])`, or as any framework keeps
// them, `(arrays, (C, H), places)`: for each of those four None or `(k, offsets, row_stride, unit_stride)`, its place in
// the array number k as quadgate.layouts.strides tells it. Gradients go to arrays of the same form.
constexpr std::size_t kPlaced = 3, kApart = 4;
constexpr const char* kNames[] = {"w_x", "w_h", "b_x", "b_h"};
constexpr const char* kGradients[] = {"d_w_x", "d_w_h", "d_b_x", "d_b_h"};

std::size_t form_of(const nb::tuple& weights) {
  if (weights.size() != kPlaced && weights.size() != kApart) {
    throw Refused("weights: found " + std::to_string(weights.size()) +
                  " arrays, expected w_x, w_h, b_x and b_h, or (arrays, sizes, places)");
  }
  return weights.size();
}

// Reads the sizes of the cell off its weights.
void measure(GruCell& cell, const nb::tuple& weights) {
  if (form_of(weights) == kPlaced) {
    constexpr const char* kForm = "(arrays, (C, H), four places)";
    const nb::tuple sizes = taken_tuple("weights", weights[1], 2, kForm);
    const nb::tuple places = taken_tuple("weights", weights[2], kApart, kForm);
    cell.inputs = taken<int64_t>("weights", sizes[0], kForm);
    cell.units = taken<int64_t>("weights", sizes[1], kForm);
    constexpr int64_t kMost = int64_t{1} << 30;
    for (const int64_t size : {cell.inputs, cell.units}) {
      if (size < 1 || size > kMost) throw Refused("weights: found a size of " + std::to_string(size));
    }
    if (places[0].is_none() || places[1].is_none()) throw Refused("weights: expected places for w_x and w_h");
    return;
  }
  const Array w_x(kNames[0], weights[0], false);
  if (w_x.dimensions() != 3 || w_x.size(1) < 1 || w_x.size(2) < 1) w_x.refuse_shape("(3, C, H), C and H from 1");
  if (weights[1].is_none()) throw Refused("w_h: found None, expected an array (3, H, H)");
  cell.inputs = w_x.size(1);
  cell.units = w_x.size(2);
}

// Checks the weights, or the arrays for their gradients, and tells the kernels where they are.
template <class Real>
GruArrays<Real> weights_of(const GruCell& cell, const nb::tuple& weights, Arguments& arguments) {
  constexpr bool gradient = !std::is_const_v<Real>;
  const int64_t C = cell.inputs, H = cell.units;
  if (form_of(weights) == kPlaced) {
    const Placed placed(weights, {std::begin(kNames), std::end(kNames)}, arguments, static_cast<Real*>(nullptr));
    const std::vector<int> gates{0, 1, 2};
    return {placed.at<Real>(0, gates, C, H), placed.at<Real>(1, gates, H, H), placed.at<Real>(2, gates, 1, H),
            placed.at<Real>(3, gates, 1, H)};
  }
  const auto one = [&](std::size_t place, const std::vector<int64_t>& shape, const char* dimensions) {
    const Array* array = arguments.add((gradient ? kGradients : kNames)[place], weights[place], gradient);
    if (array) array->expect<std::remove_const_t<Real>>(shape, dimensions);
    return apart<Real>(array);
  };
  return {one(0, {3, C, H}, "gates, C, H"), one(1, {3, H, H}, "gates, H, H"), one(2, {3, H}, "gates, H"),
          one(3, {3, H}, "gates, H")};
}

template <class Real>
class PythonGru {
 public:
  PythonGru(const nb::tuple& weights, bool reset_after, const std::string& gate, const std::string& candidate,
            bool reverse, bool trainable) {
    measure(cell_, weights);
    cell_.reset_after = reset_after;
    cell_.gate = activation("gate", gate);
    cell_.candidate = activation("candidate", candidate);
    cell_.reverse = reverse;
    Arguments arguments;
    gru_.emplace(cell_, weights_of<const Real>(cell_, weights, arguments), trainable);
    trainable_ = trainable;
  }

  const Gru<Real>& packed() const { return *gru_; }

  Call forward_call(nb::handle x, nb::handle lengths, nb::handle h_start, nb::handle outputs, nb::handle h_final,
               nb::handle saved, int64_t recompute_every, int threads,
                    int64_t at_a_time) const {
    Call made;
    Arguments& arguments = made.arguments;
    GruForward<Real> call = read(arguments, made.room, x, lengths, h_start, recompute_every);
    call.outputs = arguments.steps<Real>("outputs", outputs, call.cases, call.steps, cell_.units, "N, T, H");
    call.h_final = arguments.rows<Real>("h_final", h_final, call.cases, cell_.units, "N, H");
    call.saved = saved_of<Real>(arguments, saved, call);
    if (!saved.is_none() && outputs.is_none()) throw Refused("outputs: found none, expected an array beside saved");
    arguments.expect_apart();
    check_at_a_time(at_a_time, cell_.reverse, call.h_final, call.saved);
    made.work = at_a_time > 0 ? gru_->forward_steps(call, at_a_time) : gru_->forward_work(call, threads);
    return made;
  }

  Call backward_call(nb::handle x, nb::handle lengths, nb::handle h_start, nb::handle outputs, nb::handle saved,
                int64_t recompute_every, nb::handle d_outputs, nb::handle d_h_final, nb::handle d_x,
                nb::handle d_h_start, std::optional<nb::tuple> d_weights) const {
    if (!trainable_) throw Refused("backward: found a layer packed for forward alone, expected trainable=True");
    Call made;
    Arguments& arguments = made.arguments;
    GruBackward<Real> call;
    call.forward = read(arguments, made.room, x, lengths, h_start, recompute_every);
    const int64_t N = call.forward.cases, T = call.forward.steps, C = cell_.inputs, H = cell_.units;
    if (outputs.is_none()) throw Refused("outputs: found none, expected what forward wrote");
    if (saved.is_none()) throw Refused("saved: found none, expected what forward wrote");
    // The kernels read these two alone here, through the same struct that forward writes them by.
    const Steps<const Real> written = arguments.steps<const Real>("outputs", outputs, N, T, H, "N, T, H");
    call.forward.outputs = {const_cast<Real*>(written.data), written.n, written.t};
    call.forward.saved = const_cast<Real*>(saved_of<const Real>(arguments, saved, call.forward));
    call.d_outputs = arguments.steps<const Real>("d_outputs", d_outputs, N, T, H, "N, T, H");
    call.d_h_final = arguments.rows<const Real>("d_h_final", d_h_final, N, H, "N, H");
    call.d_x = arguments.steps<Real>("d_x", d_x, N, T, C, "N, T, C");
    call.d_h_start = arguments.rows<Real>("d_h_start", d_h_start, N, H, "N, H");
    if (d_weights) call.d_weights = weights_of<Real>(cell_, *d_weights, arguments);
    arguments.expect_apart();
    made.work = gru_->backward_work(call);
    return made;
  }

  void forward(nb::handle x, nb::handle lengths, nb::handle h_start, nb::handle outputs, nb::handle h_final,
               nb::handle saved, int64_t recompute_every, int threads) const {
    const Call call = forward_call(x, lengths, h_start, outputs, h_final, saved, recompute_every, threads, 0);
    const nb::gil_scoped_release released;
    call.run(threads);
  }

  void backward(nb::handle x, nb::handle lengths, nb::handle h_start, nb::handle outputs, nb::handle saved,
                int64_t recompute_every, nb::handle d_outputs, nb::handle d_h_final, nb::handle d_x,
                nb::handle d_h_start, std::optional<nb::tuple> d_weights, int threads) const {
    const Call call = backward_call(x, lengths, h_start, outputs, saved, recompute_every, d_outputs, d_h_final, d_x,
                                    d_h_start, std::move(d_weights));
    const nb::gil_scoped_release released;
    call.run(threads);
  }

  std::size_t saved_size(int64_t cases, int64_t steps, int64_t recompute_every) const {
    if (cases < 0 || steps < 0 || recompute_every < 0) throw Refused("saved_size: found a negative size");
    return gru_saved_size<Real>(cell_, cases, steps, recompute_every);
  }

 private:
  GruForward<Real> read(Arguments& arguments, std::vector<int64_t>& room, nb::handle x, nb::handle lengths,
                        nb::handle h_start, int64_t recompute_every) const {
    const Batch<Real> batch = arguments.batch<Real>(x, lengths, cell_.inputs, recompute_every, room);
    GruForward<Real> call;
    call.cases = batch.cases, call.steps = batch.steps, call.x = batch.x, call.lengths = batch.lengths;
    call.h_start = arguments.rows<const Real>("h_start", h_start, call.cases, cell_.units, "N, H");
    call.recompute_every = recompute_every;
    return call;
  }

  template <class Element>
  Element* saved_of(Arguments& arguments, nb::handle value, const GruForward<Real>& call) const {
    const auto needed = static_cast<int64_t>(saved_size(call.cases, call.steps, call.recompute_every));
    return arguments.dense<Element>("saved", value, {needed}, "saved_size");
  }

  GruCell cell_;
  std::optional<Gru<Real>> gru_;
  bool trainable_ = false;
};

template <class Real>
void register_class(nb::module_& module, const char* name, const char* summary) {
  using Class = PythonGru<Real>;
  nb::class_<Class>(module, name, summary)
      .def(nb::init<const nb::tuple&, bool, const std::string&, const std::string&, bool, bool>(), nb::arg("weights"),
           nb::kw_only(), nb::arg("reset_after") = true, nb::arg("gate") = "sigmoid", nb::arg("candidate") = "tanh",
           nb::arg("reverse") = false, nb::arg("trainable") = false)
      .def("forward", &Class::forward, nb::arg("x"), nb::arg("lengths").none(), nb::arg("h_start").none(),
           nb::arg("outputs").none(), nb::arg("h_final").none(), nb::arg("saved").none(), nb::arg("recompute_every"),
           nb::arg("threads"))
      .def("backward", &Class::backward, nb::arg("x"), nb::arg("lengths").none(), nb::arg("h_start").none(),
           nb::arg("outputs").none(), nb::arg("saved").none(), nb::arg("recompute_every"), nb::arg("d_outputs").none(),
           nb::arg("d_h_final").none(), nb::arg("d_x").none(), nb::arg("d_h_start").none(), nb::arg("d_weights").none(),
           nb::arg("threads"))
      .def("forward_call", &Class::forward_call, nb::arg("x"), nb::arg("lengths").none(), nb::arg("h_start").none(),
           nb::arg("outputs").none(), nb::arg("h_final").none(), nb::arg("saved").none(), nb::arg("recompute_every"),
           nb::arg("threads"), nb::arg("at_a_time") = 0, nb::keep_alive<0, 1>())
      .def("backward_call", &Class::backward_call, nb::arg("x"), nb::arg("lengths").none(), nb::arg("h_start").none(),
           nb::arg("outputs").none(), nb::arg("saved").none(), nb::arg("recompute_every"), nb::arg("d_outputs").none(),
           nb::arg("d_h_final").none(), nb::arg("d_x").none(), nb::arg("d_h_start").none(), nb::arg("d_weights").none(),
           nb::keep_alive<0, 1>())
      .def("saved_size", &Class::saved_size, nb::arg("cases"), nb::arg("steps"), nb::arg("recompute_every"));
}

}  // namespace

template <class Real>
const Gru<Real>* packed_gru(nb::handle object) {
  const PythonGru<Real>* layer = nullptr;
  return nb::try_cast(object, layer, false) && layer ? &layer->packed() : nullptr;
}

template const Gru<float>* packed_gru<float>(nb::handle);
template const Gru<double>* packed_gru<double>(nb::handle);

void register_gru(nb::module_& module) {
  register_class<float>(module, "GruFloat32", "A packed GRU layer, computed in float32.");
  register_class<double>(module, "GruFloat64", "A packed GRU layer, computed in float64.");
}

}  // namespace quadgate::binding
