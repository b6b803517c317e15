// What the processor can do, as far as the kernels care.
#pragma once

#include <string>
#include <vector>

namespace quadgate {

// The instruction sets that this processor has, best first, by the names that QUADGATE_ISA takes.
std::vector<std::string> instruction_sets();

// The one that the kernels use: the best, or the one that QUADGATE_ISA names. Throws std::invalid_argument where the
// processor does not have that one, or there is none of that name.
std::string instruction_set();

}  // namespace quadgate
