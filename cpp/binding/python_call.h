// A call that was checked and is yet to run, alone or with others.
#pragma once

#include <cstdint>
#include <vector>

#include "arguments.h"
#include "work.h"

namespace quadgate::binding {

struct Call {
  Arguments arguments;
  std::vector<int64_t> room;  // the lengths
  Work work;

  void run(int threads) const { run_beside({&work}, threads); }
};

void register_call(nb::module_& module);

}  // namespace quadgate::binding
