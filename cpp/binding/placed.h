// Weights as any framework keeps them, by the places of their gates in its arrays.
#pragma once

#include <cstdint>
#include <cstdlib>
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
      : names_(names), places_(nb::cast<nb::tuple>(weights[2])) {
    constexpr bool gradient = !std::is_const_v<Real>;
    for (const nb::handle value : nb::cast<nb::tuple>(weights[0])) {
      if (arrays_.size() == std::size(kPlacedNames)) throw Refused("weights: found more than six arrays");
      const char* name = (gradient ? kPlacedGradients : kPlacedNames)[arrays_.size()];
      const Array* array = arguments.add(name, value, gradient);
      if (!array) throw Refused(std::string(name) + ": found None, expected an array");
      array->expect<std::remove_const_t<Real>>(std::vector<int64_t>(array->dimensions(), kAnySize), "");
      arrays_.push_back(array);
    }
    if (places_.size() != names.size()) {
      throw Refused("weights: found " + std::to_string(places_.size()) + " places, expected " +
                    std::to_string(names.size()));
    }
  }

  // The array of one place, whose offsets belong to `gates`.
  template <class Real>
  GateArray<Real> at(std::size_t number, const std::vector<int>& gates, int64_t rows, int64_t units) const {
    if (places_[number].is_none()) return {};
    const auto place = nb::cast<nb::tuple>(places_[number]);
    const auto offsets = nb::cast<nb::tuple>(place[1]);
    const auto k = nb::cast<std::size_t>(place[0]);
    const auto name = [&] { return std::string(names_[number]); };
    if (k >= arrays_.size() || offsets.size() != gates.size()) throw Refused(name() + ": found a place of another form");
    GateArray<Real> found;
    found.data = arrays_[k]->data<Real>();
    found.row_stride = nb::cast<int64_t>(place[2]);
    found.unit_stride = nb::cast<int64_t>(place[3]);
    const auto [first, last] = arrays_[k]->reach();
    for (std::size_t n = 0; n < gates.size(); ++n) {
      int64_t low = nb::cast<int64_t>(offsets[n]), high = low;
      found.gate_offset[gates[n]] = low;
      for (const auto& [count, stride] : {std::pair{rows, found.row_stride}, std::pair{units, found.unit_stride}}) {
        // Beyond this no product of a size and a stride is an address; below it none overflows.
        constexpr int64_t kMost = int64_t{1} << 30;
        if (std::abs(stride) > kMost || std::abs(low) > kMost * kMost / 4) {
          throw Refused(name() + ": found a place beyond its array");
        }
        (stride < 0 ? low : high) += (count - 1) * stride;
      }
      if (low < first || high > last) {
        throw Refused(name() + ": found elements " + std::to_string(low) + " to " + std::to_string(high) +
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
