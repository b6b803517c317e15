#include "arrays.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <utility>

namespace quadgate::binding {
namespace {

std::string text_of(nb::dlpack::dtype type) {
  using Code = nb::dlpack::dtype_code;
  std::string name = "type code " + std::to_string(type.code) + ", bits ";
  switch (static_cast<Code>(type.code)) {
    case Code::Float: name = "float"; break;
    case Code::Bfloat: name = "bfloat"; break;
    case Code::Int: name = "int"; break;
    case Code::UInt: name = "uint"; break;
    case Code::Complex: name = "complex"; break;
    case Code::Bool: return "bool";
    default: break;
  }
  return name + std::to_string(type.bits);
}

std::string joined(const std::vector<std::string>& words) {
  std::string text = "(";
  for (std::size_t k = 0; k < words.size(); ++k) text += (k ? ", " : "") + words[k];
  return text + (words.size() == 1 ? ",)" : ")");
}

std::string shape_of(const nb::ndarray<nb::ro>& array) {
  std::vector<std::string> sizes;
  for (std::size_t d = 0; d < array.ndim(); ++d) sizes.push_back(std::to_string(array.shape(d)));
  return joined(sizes);
}

// The dimensions' names, each with its size where only one size will do.
std::string text_of(const std::vector<std::int64_t>& shape, const std::string& dimensions) {
  std::vector<std::string> words;
  std::size_t begin = 0;
  for (const std::int64_t size : shape) {
    const std::size_t end = std::min(dimensions.find(", ", begin), dimensions.size());
    const std::string name = dimensions.substr(begin, end - begin);
    words.push_back(size == kAnySize ? name : name + "=" + std::to_string(size));
    begin = end + 2;
  }
  return joined(words);
}

bool is_in_main_memory(int device) {
  return device == nb::device::cpu::value || device == nb::device::cuda_host::value;
}

}  // namespace

Array::Array(const char* name, nb::handle value, bool written) : name_(name) {
  bool taken;
  if (written) {
    nb::ndarray<> writable;
    taken = nb::try_cast(value, writable, false);
    if (taken) array_ = nb::ndarray<nb::ro>(writable);
  } else {
    taken = nb::try_cast(value, array_, false);
  }
  if (!taken) {
    const nb::str type(value.type().attr("__name__"));
    refuse(type.c_str(), written ? "an array in main memory that can be written" : "an array in main memory");
  }
  if (!is_in_main_memory(array_.device_type())) {
    refuse("an array on a device of DLPack type " + std::to_string(array_.device_type()), "one in main memory");
  }
}

void Array::refuse(const std::string& found, const std::string& expected) const {
  throw Refused(std::string(name_) + ": found " + found + ", expected " + expected);
}

void Array::expect(nb::dlpack::dtype type, const std::vector<std::int64_t>& shape, const char* dimensions) const {
  if (dtype() != type) refuse(text_of(dtype()), text_of(type));
  if (reinterpret_cast<std::uintptr_t>(array_.data()) % (type.bits / 8) != 0) {
    refuse("an address that is no multiple of its element's size", "an aligned array: make a copy");
  }
  bool fits = array_.ndim() == shape.size();
  for (std::size_t d = 0; fits && d < shape.size(); ++d) {
    fits = shape[d] == kAnySize || shape[d] == static_cast<std::int64_t>(array_.shape(d));
  }
  if (!fits) refuse("shape " + shape_of(array_), text_of(shape, dimensions));
}

const Array& Array::expect_dense_rows() const {
  const int last = dimensions() - 1;
  if (size(last) > 1 && stride(last) != 1) {
    refuse("a step of " + std::to_string(stride(last)) + " elements along the last dimension",
           "1: make the array contiguous");
  }
  return *this;
}

const Array& Array::expect_dense() const {
  std::int64_t step = 1;
  for (int d = dimensions() - 1; d >= 0; --d) {
    if (size(d) == 0) return *this;
    if (size(d) > 1 && stride(d) != step) {
      refuse("gaps or another order in memory", "a dense array: make it contiguous");
    }
    step *= size(d);
  }
  return *this;
}

void Array::refuse_shape(const std::string& expected) const { refuse("shape " + shape_of(array_), expected); }

const Array& Array::expect_separate_elements() const {
  // Sorted by stride, each dimension has to step over all that the ones before it span.
  std::vector<std::pair<std::int64_t, std::int64_t>> steps;
  for (int d = 0; d < dimensions(); ++d) {
    if (size(d) == 0) return *this;
    if (size(d) > 1) steps.emplace_back(std::abs(stride(d)), size(d));
  }
  std::sort(steps.begin(), steps.end());
  std::int64_t span = 1;
  for (const auto& [step, count] : steps) {
    if (step < span) refuse("elements that share memory", "one place for each element: make a copy");
    span += step * (count - 1);
  }
  return *this;
}

std::pair<std::int64_t, std::int64_t> Array::reach() const {
  std::int64_t first = 0, last = 0;
  for (int d = 0; d < dimensions(); ++d) {
    if (size(d) == 0) return {0, -1};
    const std::int64_t reach = stride(d) * (size(d) - 1);
    (reach < 0 ? first : last) += reach;
  }
  return {first, last};
}

Array::Range Array::range() const {
  const auto [first, last] = reach();
  if (last < first) return {0, 0};
  const auto base = reinterpret_cast<std::uintptr_t>(data<char>());
  const auto width = static_cast<std::int64_t>(array_.itemsize());
  return {base + first * width, base + (last + 1) * width};
}

bool Array::overlaps(const Array& other) const {
  const Range mine = range(), its = other.range();
  return mine.begin < its.end && its.begin < mine.end && !beside(other);
}

bool Array::beside(const Array& other) const {
  const int last = dimensions() - 1;
  if (last < 1 || other.dimensions() != last + 1 || array_.itemsize() != other.array_.itemsize()) return false;
  if (stride(last) != 1 || other.stride(last) != 1) return false;
  std::int64_t pitch = 0;  // what every step from row to row is a multiple of
  for (const Array* one : {this, &other}) {
    for (int d = 0; d < last; ++d) {
      if (one->size(d) > 1) pitch = std::gcd(pitch, one->stride(d));
    }
  }
  const auto width = static_cast<std::int64_t>(array_.itemsize());
  const std::int64_t bytes = other.data<char>() - data<char>();
  if (pitch == 0 || bytes % width) return false;
  const std::int64_t place = (bytes / width % pitch + pitch) % pitch;
  return place >= size(last) && place + other.size(last) <= pitch;
}

void expect_apart(const std::deque<Array>& written, const std::deque<Array>& read) {
  const auto check = [](const Array& first, const Array& second) {
    if (first.overlaps(second)) {
      throw Refused(std::string(first.name()) + ": found memory that " + second.name() +
                    " uses too, expected memory of its own");
    }
  };
  for (std::size_t k = 0; k < written.size(); ++k) {
    for (std::size_t other = 0; other < k; ++other) check(written[k], written[other]);
    for (const Array& other : read) check(written[k], other);
  }
}

void register_refusals() {
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::invalid_argument& refused) {
      PyErr_SetString(nb::module_::import_("quadgate.errors").attr("InputError").ptr(), refused.what());
    }
  });
}

}  // namespace quadgate::binding
