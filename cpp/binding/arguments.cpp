#include "arguments.h"

#include <utility>

namespace quadgate::binding {

Activation activation(const char* place, const std::string& name) {
  constexpr std::pair<const char*, Activation> known[] = {
      {"sigmoid", Activation::sigmoid},           {"tanh", Activation::tanh},
      {"relu", Activation::relu},                 {"linear", Activation::linear},
      {"hard_sigmoid", Activation::hard_sigmoid}, {"hard_sigmoid_v3", Activation::hard_sigmoid_v3},
  };
  std::string names;
  for (const auto& [one, value] : known) {
    if (name == one) return value;
    names += (names.empty() ? "" : ", ") + std::string(one);
  }
  throw Refused(std::string(place) + ": found '" + name + "', expected one of " + names);
}

void Arguments::expect_apart_from(const Arguments& other, bool behind) const {
  const auto compare = [](const std::deque<Array>& ours, const std::deque<Array>& theirs) {
    for (const Array& one : ours) {
      for (const Array& two : theirs) {
        if (!one.overlaps(two)) continue;
        throw Refused(std::string(one.name()) + ": found memory that it shares with " + two.name() +
                      " of another call, expected calls that run at the same time apart");
      }
    }
  };
  compare(written_, other.written_);
  if (behind) return;
  compare(written_, other.read_);
  compare(other.written_, read_);
}

void check_at_a_time(int64_t at_a_time, bool reverse, bool has_final_state, bool is_saved) {
  if (at_a_time < 0) throw Refused("at_a_time: found " + std::to_string(at_a_time) + ", expected 0 or a number of steps");
  if (at_a_time > 0 && (reverse || !has_final_state || is_saved)) {
    throw Refused("at_a_time: expected a layer that reads forward, room for its final state, and nothing saved");
  }
}

std::vector<int64_t> checked_lengths(nb::handle value, int64_t cases, int64_t steps) {
  const Array array("lengths", value, false);
  array.expect<int64_t>({cases}, "N");
  std::vector<int64_t> lengths;
  for (int64_t n = 0; n < cases; ++n) {
    const int64_t length = array.data<const int64_t>()[n * array.stride(0)];
    if (length < 0 || length > steps) {
      throw Refused("lengths: found " + std::to_string(length) + " at case " + std::to_string(n) + ", expected 0 to " +
                    std::to_string(steps) + ", the steps of the batch");
    }
    lengths.push_back(length);
  }
  return lengths;
}

}  // namespace quadgate::binding
