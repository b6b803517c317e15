// Weights as any framework keeps them, by the places of their gates in its arrays.
#pragma once

#include <cstdint>
#include <iterator>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "arguments.h"

namespace quadgate::binding {

// Arrays with the places in them. Every element that a place reaches is checked against the array it lies in.
class Placed {
 public:
  // `names` are those of the places, for the refusals.
  template <class Real>
  Placed(const nb::tuple& weights, const std::vector<const char*>& names, Arguments& arguments, Real*)
      : names_(names), places_(taken_tuple("weights", weights[2], names.size(), "a place for each array of the cell")) {
    constexpr bool gradient = !std::is_const_v<Real>;
    for (const nb::handle value : taken<nb::tuple>("weights", weights[0], "a tuple of arrays")) {
      if (arrays_.size() == std::size(kPlacedNames)) throw Refused("weights: found more than six arrays");
      const char* name = (gradient ? kPlacedGradients : kPlacedNames)[arrays_.size()];
      const Array* array = arguments.add(name, value, gradient);
      if (!array) throw Refused(std::string(name) + ": found None, expected an array");
      array->expect<std::remove_const_t<Real>>(std::vector<int64_t>(array->dimensions(), kAnySize), "");
      arrays_.push_back(array);
    }
  }

  // The array of one place, whose offsets belong to `gates`.
  template <class Real>
  GateArray<Real> at(std::size_t number, const std::vector<int>& gates, int64_t rows, int64_t units) const {
    if (places_[number].is_none()) return {};
    const std::string name = names_[number];
    constexpr const char* kForm = "(array, offsets, row stride, unit stride), whole numbers, an offset for each gate";
    const nb::tuple place = taken_tuple(name, places_[number], 4, kForm);
    const nb::tuple offsets = taken_tuple(name, place[1], gates.size(), kForm);
    const auto k = taken<int64_t>(name, place[0], kForm);
    if (k < 0 || k >= static_cast<int64_t>(arrays_.size())) {
      throw Refused(name + ": found a place in array " + std::to_string(k) + ", expected 0 to " +
                    std::to_string(static_cast<int64_t>(arrays_.size()) - 1));
    }
    GateArray<Real> found;
    found.data = arrays_[k]->data<Real>();
    found.row_stride = taken<int64_t>(name, place[2], kForm);
    found.unit_stride = taken<int64_t>(name, place[3], kForm);
    const auto [first, last] = arrays_[k]->reach();
    for (std::size_t n = 0; n < gates.size(); ++n) {
      int64_t low = taken<int64_t>(name, offsets[n], kForm), high = low;
      found.gate_offset[gates[n]] = low;
      for (const auto& [count, stride] : {std::pair{rows, found.row_stride}, std::pair{units, found.unit_stride}}) {
        // Beyond this no product of a size and a stride is an address; below it none overflows.
        constexpr int64_t kMost = int64_t{1} << 30;
        if (stride > kMost || stride < -kMost || low > kMost * kMost / 4 || low < -kMost * kMost / 4) {
          throw Refused(name + ": found a place beyond its array");
        }
        (stride < 0 ? low : high) += (count - 1) * stride;
      }
      if (low < first || high > last) {
        throw Refused(name + ": found elements " + std::to_string(low) + " to " + std::to_string(high) +
                      ", expected " + std::to_string(first) + " to " + std::to_string(last) + ", those of its array");
      }
    }
    return found;
  }

 private:
  static constexpr const char* kPlacedNames[] = {"weights[0]", "weights[1]", "weights[2]",
                                                 "weights[3]", "weights[4]", "weights[5]"};
  static constexpr const char* kPlacedGradients[] = {"d_weights[0]", "d_weights[1]", "d_weights[2]",
                                                     "d_weights[3]", "d_weights[4]", "d_weights[5]"};
  std::vector<const Array*> arrays_;
  std::vector<const char*> names_;
  nb::tuple places_;
};

}  // namespace quadgate::binding
