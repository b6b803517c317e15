// Arrays as Python hands them over, checked before a kernel sees their addresses.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <deque>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace quadgate::binding {

namespace nb = nanobind;

// A mistake in an argument; reaches Python as quadgate.errors.InputError.
struct Refused : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

constexpr std::int64_t kAnySize = -1;

// An argument: what it is called, and the array. It keeps the caller's memory alive and copies nothing.
class Array {
 public:
  // Takes a NumPy array, a torch tensor or anything with DLPack that is in main memory; refuses all else by name.
  Array(const char* name, nb::handle value, bool written);

  // Refuses another element type or shape; kAnySize takes any. `dimensions` names them in the refusal, as in "N, T, C".
  template <typename T>
  const Array& expect(const std::vector<std::int64_t>& shape, const char* dimensions) const {
    expect(nb::dtype<T>(), shape, dimensions);
    return *this;
  }

  // Refuses steps of other than one element along the last dimension.
  const Array& expect_dense_rows() const;

  // Refuses gaps and another order than that of rising indices.
  const Array& expect_dense() const;

  // Refuses elements that share memory: an array that is written must have one place for each.
  const Array& expect_separate_elements() const;

  template <typename T>
  T* data() const {
    return static_cast<T*>(const_cast<void*>(array_.data()));
  }
  nb::dlpack::dtype dtype() const { return array_.dtype(); }
  std::int64_t size(int dimension) const { return static_cast<std::int64_t>(array_.shape(dimension)); }
  std::int64_t stride(int dimension) const { return array_.stride(dimension); }
  int dimensions() const { return static_cast<int>(array_.ndim()); }
  const char* name() const { return name_; }

  [[noreturn]] void refuse_shape(const std::string& expected) const;

  // The first and the last of its elements, counted from the one that data points to; the last is before the first
  // where there is none.
  std::pair<std::int64_t, std::int64_t> reach() const;

  // Whether the two share memory, as far as their first and last elements tell, and that their rows stand beside each other.
  bool overlaps(const Array& other) const;

 private:
  void expect(nb::dlpack::dtype type, const std::vector<std::int64_t>& shape, const char* dimensions) const;
  [[noreturn]] void refuse(const std::string& found, const std::string& expected) const;
  struct Range {
    std::uintptr_t begin, end;
  };
  Range range() const;
  // Whether the rows of the two lie between each other, as two halves of the columns of one array do.
  bool beside(const Array& other) const;

  const char* name_;
  nb::ndarray<nb::ro> array_;
};

// Refuses arrays of which two overlap, when at least one of the two is written.
void expect_apart(const std::deque<Array>& written, const std::deque<Array>& read);

// Lets the refusals reach Python as quadgate.errors.InputError.
void register_refusals();

}  // namespace quadgate::binding
