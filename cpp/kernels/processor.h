// What the processor can do, as far as the kernels care.
#pragma once

#include <string>
#include <vector>

namespace quadgate {

// The instruction sets that this processor has, best first, by the names that QUADGATE_ISA takes.
std::vector<std::string> instruction_sets();

}  // namespace quadgate
