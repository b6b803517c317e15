#include "python_stream.h"

#include <nanobind/stl/optional.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "arguments.h"
#include "arrays.h"
#include "head.h"
#include "python_gru.h"
#include "python_lstm.h"
#include "stream.h"

namespace quadgate::binding {
namespace {

using std::int64_t;

// Fewer rows than this are over before another thread would have been given the interpreter.
constexpr int64_t kRowsThatKeepTheInterpreter = 64;

// A dense array as the buffer protocol gives it, which costs a third of what a wrapper around an array costs.
class DenseBuffer {
 public:
  DenseBuffer(nb::handle object, bool written) {
    taken_ = PyObject_GetBuffer(object.ptr(), &view_, PyBUF_ND | PyBUF_FORMAT | (written ? PyBUF_WRITABLE : 0)) == 0;
    if (!taken_) PyErr_Clear();
  }
  ~DenseBuffer() {
    if (taken_) PyBuffer_Release(&view_);
  }
  DenseBuffer(const DenseBuffer&) = delete;
  DenseBuffer& operator=(const DenseBuffer&) = delete;

  bool holds(char type) const { return taken_ && view_.format && view_.format[0] == type && view_.format[1] == 0; }
  int dimensions() const { return view_.ndim; }
  int64_t size(int dimension) const { return view_.shape[dimension]; }
  void* data() const { return view_.buf; }
  const char* begin() const { return static_cast<const char*>(view_.buf); }
  const char* end() const { return begin() + view_.len; }

 private:
  Py_buffer view_;
  bool taken_;
};

class PythonStream {
 public:
  // layers: (packed LSTM, c [N, H], h [N, P]) or (packed GRU, h [N, H]) each; the arrays are the state, read and written by every step.
  PythonStream(const nb::list& layers, nb::handle mean, nb::handle scale, nb::handle head, nb::handle carried,
               bool probabilities, bool many)
      : many_(many) {
    if (layers.size() == 0) throw Refused("layers: found none, expected at least one");
    StreamParts parts;
    parts.probabilities = probabilities;
    for (std::size_t k = 0; k < layers.size(); ++k) parts.layers.push_back(layer(layers[k], parts, k));
    if (!mean.is_none()) {
      parts.mean = keep<double>("mean", mean, false, {inputs_}, "C");
      parts.scale = keep<double>("scale", scale, false, {inputs_}, "C");
    }
    if (!head.is_none()) {
      parts.head = taken<const Head*>("head", head, "a Head or None");
      kept_.push_back(nb::borrow(head));
      if (parts.head->shape().features != next_inputs_) {
        throw Refused("head: found " + std::to_string(parts.head->shape().features) + " features, expected " +
                      std::to_string(next_inputs_) + ", the width of the last layer");
      }
      const int64_t width = carried_size(parts.head->shape());
      if (width) parts.carried = keep<double>("carried", carried, true, {parts.streams, width}, "N, carried_size");
    }
    stream_.emplace(parts);
  }

  // Reads one sample of each stream and writes the answers; false, and nothing done, where x is no dense array of
  // numbers of the right shape: the caller then looks closer.
  bool step(nb::handle x, nb::handle answers) { return advance(x, answers, false); }
  // The same for `[T, C]` samples, or `[N, T, C]` for many streams.
  bool run(nb::handle x, nb::handle answers) { return advance(x, answers, true); }

  // Steps through x [T, C], one sample at a time, and writes the nanoseconds that each took: those of the step alone,
  // without Python.
  void time_steps(nb::handle x, nb::handle nanoseconds) {
    const Array samples("x", x, false), taken("nanoseconds", nanoseconds, true);
    const int64_t N = stream_->streams();
    samples.expect<float>({kAnySize, N, inputs_}, "T, N, C").expect_dense();
    taken.expect<int64_t>({samples.size(0)}, "T").expect_dense();
    std::vector<float> answers(static_cast<std::size_t>(N * stream_->width()));
    for (int64_t t = 0; t < samples.size(0); ++t) {
      const Samples<float> row{samples.data<float>() + t * N * inputs_, inputs_, inputs_};
      const auto begin = std::chrono::steady_clock::now();
      stream_->advance(row, 1, answers.data());
      const std::chrono::nanoseconds length = std::chrono::steady_clock::now() - begin;
      taken.data<int64_t>()[t] = length.count();
    }
  }

 private:
  template <class Number>
  Number* keep(const char* name, nb::handle value, bool written, const std::vector<int64_t>& shape,
               const char* dimensions) {
    return arrays_.emplace_back(name, value, written).expect<Number>(shape, dimensions).expect_dense().template data<Number>();
  }

  // An LSTM comes as (layer, c, h), a GRU as (layer, h).
  StreamedLayer layer(nb::handle value, StreamParts& parts, std::size_t place) {
    const nb::tuple given = taken<nb::tuple>("layers", value, "a tuple for each layer");
    if (given.size() != 2 && given.size() != 3) throw Refused("layers: found a tuple of " + std::to_string(given.size()) + ", expected 2 or 3");
    const nb::object packed = given[0], c = given[1], h = given[given.size() - 1];
    kept_.push_back(packed);
    const auto take = [&](auto one, const auto* found) -> StreamedLayer {
      one.packed = found;
      if (found->cell().reverse) throw Refused("layers: found one that reads backwards, expected forward layers alone");
      if (place > 0 && found->cell().inputs != next_inputs_) {
        throw Refused("layers: found one of " + std::to_string(found->cell().inputs) + " inputs after one of width " +
                      std::to_string(next_inputs_));
      }
      using Real = typename decltype(one)::Number;
      one.h = keep<Real>("h", h, true, {place ? parts.streams : kAnySize, one.width()}, "N, P");
      if (place == 0) {
        inputs_ = found->cell().inputs;
        parts.streams = arrays_.back().size(0);
        if (parts.streams < 1) arrays_.back().refuse_shape("(N, P), N from 1");
      }
      if constexpr (requires { one.c; }) one.c = keep<Real>("c", c, true, {parts.streams, found->cell().units}, "N, H");
      next_inputs_ = one.width();
      return one;
    };
    if (given.size() == 3) {
      if (const auto* found = packed_lstm<float>(packed)) return take(StreamedLstm<float>{}, found);
      if (const auto* found = packed_lstm<double>(packed)) return take(StreamedLstm<double>{}, found);
    } else {
      if (const auto* found = packed_gru<float>(packed)) return take(StreamedGru<float>{}, found);
      if (const auto* found = packed_gru<double>(packed)) return take(StreamedGru<double>{}, found);
    }
    throw Refused("layers: found an object that is no packed layer");
  }

  bool advance(nb::handle x, nb::handle answers, bool chunk) {
    const DenseBuffer samples(x, false);
    const bool single = samples.holds('f');
    if (!single && !samples.holds('d')) return false;
    // [N where there are many, T of a chunk, C]
    const int64_t N = stream_->streams();
    if (samples.dimensions() != many_ + chunk + 1 || samples.size(many_ + chunk) != inputs_) return false;
    if (many_ && samples.size(0) != N) return false;
    const int64_t steps = chunk ? samples.size(many_) : 1;

    const DenseBuffer to(answers, true);
    const bool fits = to.holds('f') && to.dimensions() == many_ + chunk + 1 && (!many_ || to.size(0) == N) &&
                      (!chunk || to.size(many_) == steps) && to.size(many_ + chunk) == stream_->width();
    if (!fits) throw Refused("out: expected a dense float32 array that can be written, of shape " + shape(steps, chunk));
    if (samples.begin() < to.end() && to.begin() < samples.end() && steps > 0) {
      throw Refused("out: found memory that x uses too, expected memory of its own");
    }
    if (busy_.test_and_set(std::memory_order_acquire)) {
      throw Refused("stream: found a step of another thread under way, expected one thread at a time");
    }
    const Place bad = single ? advance<float>(samples, steps, to) : advance<double>(samples, steps, to);
    busy_.clear(std::memory_order_release);
    if (bad.stream >= 0) refuse(samples, single, steps, bad, chunk);
    return true;
  }

  template <class Number>
  Place advance(const DenseBuffer& x, int64_t steps, const DenseBuffer& answers) {
    const Samples<Number> samples{static_cast<const Number*>(x.data()), steps * inputs_, inputs_};
    float* const to = static_cast<float*>(answers.data());
    if (stream_->streams() * steps < kRowsThatKeepTheInterpreter) return stream_->advance(samples, steps, to);
    const nb::gil_scoped_release released;
    return stream_->advance(samples, steps, to);
  }

  std::string shape(int64_t steps, bool chunk) const {
    std::string text = "(";
    if (many_) text += std::to_string(stream_->streams()) + ", ";
    if (chunk) text += std::to_string(steps) + ", ";
    return text + std::to_string(stream_->width()) + (many_ || chunk ? ")" : ",)");
  }

  [[noreturn]] void refuse(const DenseBuffer& x, bool single, int64_t steps, const Place& bad, bool chunk) const {
    const int64_t k = (bad.stream * steps + bad.step) * inputs_ + bad.channel;
    const double value = single ? static_cast<const float*>(x.data())[k] : static_cast<const double*>(x.data())[k];
    char number[32];
    std::snprintf(number, sizeof number, "%g", value);
    std::string place;
    if (many_) place += " stream " + std::to_string(bad.stream) + ",";
    if (chunk) place += " step " + std::to_string(bad.step) + ",";
    throw Refused("x: found " + std::string(number) + " at" + place + " channel " + std::to_string(bad.channel) +
                  ", expected finite numbers within float32; nothing was read: fill or drop the sample");
  }

  bool many_;
  int64_t inputs_ = 0, next_inputs_ = 0;
  std::vector<nb::object> kept_;
  std::deque<Array> arrays_;
  std::optional<Stream> stream_;
  std::atomic_flag busy_;
};

}  // namespace

void register_stream(nb::module_& module) {
  nb::class_<PythonStream>(module, "Stream", "A network and the state of its streams, one sample after the other.")
      .def(nb::init<const nb::list&, nb::handle, nb::handle, nb::handle, nb::handle, bool, bool>(), nb::arg("layers"),
           nb::arg("mean").none(), nb::arg("scale").none(), nb::arg("head").none(), nb::arg("carried").none(),
           nb::arg("probabilities"), nb::arg("many"))
      .def("step", &PythonStream::step, nb::arg("x"), nb::arg("out"))
      .def("run", &PythonStream::run, nb::arg("x"), nb::arg("out"))
      .def("time_steps", &PythonStream::time_steps, nb::arg("x"), nb::arg("nanoseconds"));
}

}  // namespace quadgate::binding
