// The arguments of a call, checked: what the layers of every kind of cell take alike.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <type_traits>
#include <vector>

#include "activation.h"
#include "arrays.h"
#include "views.h"

namespace quadgate::binding {

using std::int64_t;

Activation activation(const char* place, const std::string& name);

// The arguments of a call that were given, in the order of their names.
class Arguments {
 public:
  // None where the caller gave none. The address stays the same as more are added.
  const Array* add(const char* name, nb::handle value, bool written) {
    if (value.is_none()) return nullptr;
    auto& group = written ? written_ : read_;
    group.emplace_back(name, value, written);
    if (written) group.back().expect_separate_elements();
    return &group.back();
  }

  // A dense array `[N, width]`.
  template <class Real>
  Real* rows(const char* name, nb::handle value, int64_t cases, int64_t width, const char* dimensions) {
    const Array* array = add(name, value, !std::is_const_v<Real>);
    if (!array) return nullptr;
    array->expect<std::remove_const_t<Real>>({cases, width}, dimensions).expect_dense();
    return array->data<Real>();
  }

  // `[N, T, width]`, dense along the last dimension.
  template <class Real>
  Steps<Real> steps(const char* name, nb::handle value, int64_t cases, int64_t steps, int64_t width,
                    const char* dimensions) {
    const Array* array = add(name, value, !std::is_const_v<Real>);
    if (!array) return {};
    array->expect<std::remove_const_t<Real>>({cases, steps, width}, dimensions).expect_dense_rows();
    return {array->data<Real>(), array->stride(0), array->stride(1)};
  }

  const Array& last_read() const { return read_.back(); }

  void expect_apart() const { binding::expect_apart(written_, read_); }

 private:
  std::deque<Array> written_, read_;
};

// Copied, so that nobody changes them between the check and the use.
std::vector<int64_t> checked_lengths(nb::handle value, int64_t cases, int64_t steps);

}  // namespace quadgate::binding
