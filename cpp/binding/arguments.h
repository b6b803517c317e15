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

// `value` as a T, by which Python's own types are meant; refuses all else.
template <class T>
T taken(const std::string& name, nb::handle value, const char* expected) {
  T found;
  if (!nb::try_cast(value, found)) {
    throw Refused(name + ": found " + nb::str(value.type().attr("__name__")).c_str() + ", expected " + expected);
  }
  return found;
}

// A tuple of so many, which alone may then be read by number.
inline nb::tuple taken_tuple(const std::string& name, nb::handle value, std::size_t size, const char* expected) {
  nb::tuple found = taken<nb::tuple>(name, value, expected);
  if (found.size() != size) {
    throw Refused(name + ": found " + std::to_string(found.size()) + " values, expected " + expected);
  }
  return found;
}

// Copied, so that nobody changes them between the check and the use.
std::vector<int64_t> checked_lengths(nb::handle value, int64_t cases, int64_t steps);

// What every layer reads.
template <class Real>
struct Batch {
  int64_t cases, steps;
  Steps<const Real> x;
  const int64_t* lengths;
};

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
    return dense<Real>(name, value, {cases, width}, dimensions);
  }

  // A dense array.
  template <class Real>
  Real* dense(const char* name, nb::handle value, const std::vector<int64_t>& shape, const char* dimensions) {
    const Array* array = add(name, value, !std::is_const_v<Real>);
    if (!array) return nullptr;
    array->expect<std::remove_const_t<Real>>(shape, dimensions).expect_dense();
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

  // x `[N, T, C]` and the lengths, which are kept in `room`.
  template <class Real>
  Batch<Real> batch(nb::handle x, nb::handle lengths, int64_t channels, int64_t recompute_every,
                    std::vector<int64_t>& room) {
    if (recompute_every < 0) {
      throw Refused("recompute_every: found " + std::to_string(recompute_every) + ", expected 0 or a number of steps");
    }
    if (x.is_none()) throw Refused("x: found None, expected an array (N, T, C=" + std::to_string(channels) + ")");
    const Steps<const Real> places = steps<const Real>("x", x, kAnySize, kAnySize, channels, "N, T, C");
    const Array& array = read_.back();
    Batch<Real> found{array.size(0), array.size(1), places, nullptr};
    if (!lengths.is_none()) {
      room = checked_lengths(lengths, found.cases, found.steps);
      found.lengths = room.data();
    }
    return found;
  }

  void expect_apart() const { binding::expect_apart(written_, read_); }

  // Refuses what another call writes as well, and, unless the two run one behind the other, what it reads.
  void expect_apart_from(const Arguments& other, bool behind) const;

 private:
  std::deque<Array> written_, read_;
};

// Refuses tasks of so many steps where the state could not be handed on from one to the next.
void check_at_a_time(int64_t at_a_time, bool reverse, bool has_final_state, bool is_saved);

// An array with its gates apart, [gates, rows, H] or [gates, H]; null where there is none.
template <class Real>
GateArray<Real> apart(const Array* array) {
  if (!array) return {};
  const bool rows = array->dimensions() == 3;
  const int64_t gate = array->stride(0);
  return {array->data<Real>(),
          {0, gate, 2 * gate, 3 * gate},
          rows ? array->stride(1) : 0,
          array->stride(rows ? 2 : 1)};
}

}  // namespace quadgate::binding
