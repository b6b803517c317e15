#include "python_lstm.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "arguments.h"
#include "lstm.h"
#include "placed.h"
#include "python_call.h"

namespace quadgate::binding {
namespace {

double limit(const char* name, std::optional<double> clip) {
  if (!clip) return kNoClip;
  if (!(*clip > 0)) {
    throw Refused(std::string(name) + ": found " + std::to_string(*clip) + ", expected a limit above 0");
  }
  return *clip;
}

// Weights come as TensorFlow 1 keeps them, `(kernel [C+P, 4H], bias [4H])`, or with the gates apart, `(w_x [4, C, H],
// w_h [4, P, H], b_x [4, H], b_h [4, H], peepholes [4, H] of which j is not used, projection
// [H, P])`, or as any framework keeps them, `(arrays, (C, H, P), places)`: for each of those six None or
// `(k, offsets, row_stride, unit_stride)`, its place in the array number k as quadgate.layouts.strides tells it.
// Gradients go to arrays of the same form.
constexpr std::size_t kFused = 2, kPlaced = 3, kApart = 6;
constexpr const char* kNames[] = {"kernel", "bias", "w_x", "w_h", "b_x", "b_h", "peepholes", "projection"};
constexpr const char* kGradients[] = {"d_kernel", "d_bias", "d_w_x", "d_w_h", "d_b_x", "d_b_h", "d_peepholes",
                                      "d_projection"};

const char* name_of(std::size_t form, std::size_t place, bool gradient) {
  return (gradient ? kGradients : kNames)[(form == kFused ? 0 : kFused) + place];
}

// One block of rows and columns of the kernel; a bias is a kernel of one row that is never stepped to.
template <class Real>
GateArray<Real> fused(const Array* array, int64_t first_row, int64_t units) {
  if (!array) return {};
  const bool rows = array->dimensions() == 2;
  const int64_t down = rows ? array->stride(0) : 0, across = array->stride(rows ? 1 : 0);
  return {array->data<Real>() + first_row * down,
          {0, units * across, 2 * units * across, 3 * units * across},
          down,
          across};
}

std::size_t form_of(const nb::tuple& weights) {
  if (weights.size() != kFused && weights.size() != kPlaced && weights.size() != kApart) {
    throw Refused("weights: found " + std::to_string(weights.size()) +
                  " arrays, expected kernel and bias, or six, or (arrays, sizes, places)");
  }
  return weights.size();
}

// Reads the sizes of the cell off its weights.
void measure(LstmCell& cell, const nb::tuple& weights) {
  const std::size_t form = form_of(weights);
  if (form == kPlaced) {
    constexpr const char* kForm = "(arrays, (C, H, P), six places)";
    const nb::tuple sizes = taken_tuple("weights", weights[1], 3, kForm);
    const nb::tuple places = taken_tuple("weights", weights[2], kApart, kForm);
    cell.inputs = taken<int64_t>("weights", sizes[0], kForm);
    cell.units = taken<int64_t>("weights", sizes[1], kForm);
    cell.width = taken<int64_t>("weights", sizes[2], kForm);
    cell.peepholes = !places[4].is_none();
    cell.projection = !places[5].is_none();
    constexpr int64_t kMost = int64_t{1} << 30;
    for (const int64_t size : {cell.inputs, cell.units, cell.width}) {
      if (size < 1 || size > kMost) throw Refused("weights: found a size of " + std::to_string(size));
    }
    if (!cell.projection && cell.width != cell.units) throw Refused("weights: found P other than H without a projection");
    if (places[0].is_none() || places[1].is_none()) throw Refused("weights: expected places for w_x and w_h");
    return;
  }
  const Array first(name_of(form, 0, false), weights[0], false);
  if (form == kFused) {
    const bool plane = first.dimensions() == 2;
    const int64_t rows = plane ? first.size(0) : 0, columns = plane ? first.size(1) : 0;
    cell.units = cell.width = columns / 4;
    cell.inputs = rows - cell.width;
    if (columns < 4 || columns % 4 || cell.inputs < 1) first.refuse_shape("(C+H, 4*H), C and H from 1");
  } else {
    if (first.dimensions() != 3 || first.size(1) < 1 || first.size(2) < 1) {
      first.refuse_shape("(4, C, H), C and H from 1");
    }
    const Array second(name_of(form, 1, false), weights[1], false);
    if (second.dimensions() != 3 || second.size(1) < 1) second.refuse_shape("(4, P, H), P from 1");
    cell.inputs = first.size(1);
    cell.units = first.size(2);
    cell.width = second.size(1);
    cell.peepholes = !weights[4].is_none();
    cell.projection = !weights[5].is_none();
    if (!cell.projection && cell.width != cell.units) second.refuse_shape("(4, H, H) without a projection");
  }
}

// Checks the weights, or the arrays for their gradients, and tells the kernels where they are.
template <class Real>
LstmArrays<Real> weights_of(const LstmCell& cell, const nb::tuple& weights, Arguments& arguments) {
  constexpr bool gradient = !std::is_const_v<Real>;
  const std::size_t form = form_of(weights);
  const int64_t C = cell.inputs, H = cell.units, P = cell.width;
  const auto one = [&](std::size_t place, const std::vector<int64_t>& shape, const char* dimensions) {
    const Array* array = arguments.add(name_of(form, place, gradient), weights[place], gradient);
    if (array) array->expect<std::remove_const_t<Real>>(shape, dimensions);
    return array;
  };
  LstmArrays<Real> found;
  if (form == kPlaced) {
    const Placed placed(weights, {std::begin(kNames) + kFused, std::end(kNames)}, arguments, static_cast<Real*>(nullptr));
    const std::vector<int> all{0, 1, 2, 3};
    found.w_x = placed.at<Real>(0, all, C, H);
    found.w_h = placed.at<Real>(1, all, P, H);
    found.b_x = placed.at<Real>(2, all, 1, H);
    found.b_h = placed.at<Real>(3, all, 1, H);
    found.peepholes = placed.at<Real>(4, {0, 2, 3}, 1, H);
    found.projection = placed.at<Real>(5, {0}, H, P);
  } else if (form == kFused) {
    const Array* kernel = one(0, {C + P, 4 * H}, "C+P, 4*H");
    found.w_x = fused<Real>(kernel, 0, H);
    found.w_h = fused<Real>(kernel, C, H);
    found.b_x = fused<Real>(one(1, {4 * H}, "4*H"), 0, H);
  } else {
    found.w_x = apart<Real>(one(0, {4, C, H}, "gates, C, H"));
    found.w_h = apart<Real>(one(1, {4, P, H}, "gates, P, H"));
    found.b_x = apart<Real>(one(2, {4, H}, "gates, H"));
    found.b_h = apart<Real>(one(3, {4, H}, "gates, H"));
    found.peepholes = apart<Real>(one(4, {4, H}, "gates, H"));
    if (const Array* projection = one(5, {H, P}, "H, P")) {
      found.projection = {projection->data<Real>(), {}, projection->stride(0), projection->stride(1)};
    }
  }
  return found;
}

template <class Real>
class PythonLstm {
 public:
  PythonLstm(const nb::tuple& weights, double forget_bias, const std::string& gate, const std::string& cell,
             const std::string& output, std::optional<double> input_clip, std::optional<double> cell_clip,
             std::optional<double> projection_clip, bool reverse, bool trainable) {
    measure(cell_, weights);
    cell_.gate = activation("gate", gate);
    cell_.cell = activation("cell", cell);
    cell_.output = activation("output", output);
    cell_.forget_bias = forget_bias;
    cell_.input_clip = limit("input_clip", input_clip);
    cell_.cell_clip = limit("cell_clip", cell_clip);
    cell_.projection_clip = limit("projection_clip", projection_clip);
    cell_.reverse = reverse;
    Arguments arguments;
    lstm_.emplace(cell_, weights_of<const Real>(cell_, weights, arguments), trainable);
    trainable_ = trainable;
  }

  Call forward_call(nb::handle x, nb::handle lengths, nb::handle c_start, nb::handle h_start, nb::handle outputs,
               nb::handle c_final, nb::handle h_final, nb::handle saved, int64_t recompute_every, int threads,
                    int64_t at_a_time) const {
    Call made;
    Arguments& arguments = made.arguments;
    LstmForward<Real> call = read<Real>(arguments, made.room, x, lengths, c_start, h_start, recompute_every);
    call.outputs = arguments.steps<Real>("outputs", outputs, call.cases, call.steps, cell_.width, "N, T, P");
    call.c_final = arguments.rows<Real>("c_final", c_final, call.cases, cell_.units, "N, H");
    call.h_final = arguments.rows<Real>("h_final", h_final, call.cases, cell_.width, "N, P");
    call.saved = saved_of<Real>(arguments, saved, call);
    if (!saved.is_none() && outputs.is_none()) throw Refused("outputs: found none, expected an array beside saved");
    arguments.expect_apart();
    check_at_a_time(at_a_time, cell_.reverse, call.c_final && call.h_final, call.saved);
    made.work = at_a_time > 0 ? lstm_->forward_steps(call, at_a_time) : lstm_->forward_work(call, threads);
    return made;
  }

  Call backward_call(nb::handle x, nb::handle lengths, nb::handle c_start, nb::handle h_start, nb::handle outputs,
                nb::handle saved, int64_t recompute_every, nb::handle d_outputs, nb::handle d_c_final,
                nb::handle d_h_final, nb::handle d_x, nb::handle d_c_start, nb::handle d_h_start,
                std::optional<nb::tuple> d_weights) const {
    if (!trainable_) throw Refused("backward: found a layer packed for forward alone, expected trainable=True");
    Call made;
    Arguments& arguments = made.arguments;
    LstmBackward<Real> call;
    call.forward = read<Real>(arguments, made.room, x, lengths, c_start, h_start, recompute_every);
    const int64_t N = call.forward.cases, T = call.forward.steps, C = cell_.inputs, H = cell_.units, P = cell_.width;
    if (outputs.is_none()) throw Refused("outputs: found none, expected what forward wrote");
    if (saved.is_none()) throw Refused("saved: found none, expected what forward wrote");
    // The kernels read these two alone here, through the same struct that forward writes them by.
    const Steps<const Real> written = arguments.steps<const Real>("outputs", outputs, N, T, P, "N, T, P");
    call.forward.outputs = {const_cast<Real*>(written.data), written.n, written.t};
    call.forward.saved = const_cast<Real*>(saved_of<const Real>(arguments, saved, call.forward));
    call.d_outputs = arguments.steps<const Real>("d_outputs", d_outputs, N, T, P, "N, T, P");
    call.d_c_final = arguments.rows<const Real>("d_c_final", d_c_final, N, H, "N, H");
    call.d_h_final = arguments.rows<const Real>("d_h_final", d_h_final, N, P, "N, P");
    call.d_x = arguments.steps<Real>("d_x", d_x, N, T, C, "N, T, C");
    call.d_c_start = arguments.rows<Real>("d_c_start", d_c_start, N, H, "N, H");
    call.d_h_start = arguments.rows<Real>("d_h_start", d_h_start, N, P, "N, P");
    if (d_weights) call.d_weights = weights_of<Real>(cell_, *d_weights, arguments);
    arguments.expect_apart();
    made.work = lstm_->backward_work(call);
    return made;
  }

  void forward(nb::handle x, nb::handle lengths, nb::handle c_start, nb::handle h_start, nb::handle outputs,
               nb::handle c_final, nb::handle h_final, nb::handle saved, int64_t recompute_every, int threads) const {
    const Call call = forward_call(x, lengths, c_start, h_start, outputs, c_final, h_final, saved, recompute_every, threads, 0);
    const nb::gil_scoped_release released;
    call.run(threads);
  }

  void backward(nb::handle x, nb::handle lengths, nb::handle c_start, nb::handle h_start, nb::handle outputs,
                nb::handle saved, int64_t recompute_every, nb::handle d_outputs, nb::handle d_c_final,
                nb::handle d_h_final, nb::handle d_x, nb::handle d_c_start, nb::handle d_h_start,
                std::optional<nb::tuple> d_weights, int threads) const {
    const Call call = backward_call(x, lengths, c_start, h_start, outputs, saved, recompute_every, d_outputs, d_c_final,
                                    d_h_final, d_x, d_c_start, d_h_start, std::move(d_weights));
    const nb::gil_scoped_release released;
    call.run(threads);
  }

  const Lstm<Real>& packed() const { return *lstm_; }

  std::size_t saved_size(int64_t cases, int64_t steps, int64_t recompute_every) const {
    if (cases < 0 || steps < 0 || recompute_every < 0) throw Refused("saved_size: found a negative size");
    return lstm_saved_size<Real>(cell_, cases, steps, recompute_every);
  }

 private:
  template <class Element>
  LstmForward<Element> read(Arguments& arguments, std::vector<int64_t>& room, nb::handle x, nb::handle lengths,
                            nb::handle c_start, nb::handle h_start, int64_t recompute_every) const {
    const Batch<Element> batch = arguments.batch<Element>(x, lengths, cell_.inputs, recompute_every, room);
    LstmForward<Element> call;
    call.cases = batch.cases, call.steps = batch.steps, call.x = batch.x, call.lengths = batch.lengths;
    call.c_start = arguments.rows<const Element>("c_start", c_start, call.cases, cell_.units, "N, H");
    call.h_start = arguments.rows<const Element>("h_start", h_start, call.cases, cell_.width, "N, P");
    call.recompute_every = recompute_every;
    return call;
  }

  template <class Element>
  Element* saved_of(Arguments& arguments, nb::handle value, const LstmForward<Real>& call) const {
    const auto needed = static_cast<int64_t>(saved_size(call.cases, call.steps, call.recompute_every));
    return arguments.dense<Element>("saved", value, {needed}, "saved_size");
  }

  LstmCell cell_;
  std::optional<Lstm<Real>> lstm_;
  bool trainable_ = false;
};

template <class Real>
void register_class(nb::module_& module, const char* name, const char* summary) {
  using Class = PythonLstm<Real>;
  nb::class_<Class>(module, name, summary)
      .def(nb::init<const nb::tuple&, double, const std::string&, const std::string&, const std::string&,
                    std::optional<double>, std::optional<double>, std::optional<double>, bool, bool>(),
           nb::arg("weights"), nb::kw_only(), nb::arg("forget_bias") = 0.0, nb::arg("gate") = "sigmoid",
           nb::arg("cell") = "tanh", nb::arg("output") = "tanh", nb::arg("input_clip") = nb::none(),
           nb::arg("cell_clip") = nb::none(), nb::arg("projection_clip") = nb::none(), nb::arg("reverse") = false,
           nb::arg("trainable") = false)
      .def("forward", &Class::forward, nb::arg("x"), nb::arg("lengths").none(), nb::arg("c_start").none(),
           nb::arg("h_start").none(), nb::arg("outputs").none(), nb::arg("c_final").none(), nb::arg("h_final").none(),
           nb::arg("saved").none(), nb::arg("recompute_every"), nb::arg("threads"))
      .def("backward", &Class::backward, nb::arg("x"), nb::arg("lengths").none(), nb::arg("c_start").none(),
           nb::arg("h_start").none(), nb::arg("outputs").none(), nb::arg("saved").none(), nb::arg("recompute_every"),
           nb::arg("d_outputs").none(), nb::arg("d_c_final").none(), nb::arg("d_h_final").none(),
           nb::arg("d_x").none(), nb::arg("d_c_start").none(), nb::arg("d_h_start").none(),
           nb::arg("d_weights").none(), nb::arg("threads"))
      .def("forward_call", &Class::forward_call, nb::arg("x"), nb::arg("lengths").none(), nb::arg("c_start").none(),
           nb::arg("h_start").none(), nb::arg("outputs").none(), nb::arg("c_final").none(), nb::arg("h_final").none(),
           nb::arg("saved").none(), nb::arg("recompute_every"), nb::arg("threads"), nb::arg("at_a_time") = 0, nb::keep_alive<0, 1>())
      .def("backward_call", &Class::backward_call, nb::arg("x"), nb::arg("lengths").none(), nb::arg("c_start").none(),
           nb::arg("h_start").none(), nb::arg("outputs").none(), nb::arg("saved").none(), nb::arg("recompute_every"),
           nb::arg("d_outputs").none(), nb::arg("d_c_final").none(), nb::arg("d_h_final").none(),
           nb::arg("d_x").none(), nb::arg("d_c_start").none(), nb::arg("d_h_start").none(),
           nb::arg("d_weights").none(), nb::keep_alive<0, 1>())
      .def("saved_size", &Class::saved_size, nb::arg("cases"), nb::arg("steps"), nb::arg("recompute_every"));
}

}  // namespace

template <class Real>
const Lstm<Real>* packed_lstm(nb::handle object) {
  const PythonLstm<Real>* layer = nullptr;
  return nb::try_cast(object, layer, false) && layer ? &layer->packed() : nullptr;
}

template const Lstm<float>* packed_lstm<float>(nb::handle);
template const Lstm<double>* packed_lstm<double>(nb::handle);

void register_lstm(nb::module_& module) {
  register_class<float>(module, "LstmFloat32", "A packed layer, computed in float32.");
  register_class<double>(module, "LstmFloat64", "A packed layer, computed in float64.");
}

}  // namespace quadgate::binding
