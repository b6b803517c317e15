#include "processor.h"

#include <cstdlib>
#include <stdexcept>

namespace quadgate {

std::vector<std::string> instruction_sets() {
  std::vector<std::string> found;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma")) {
    found.push_back("avx512");
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back("avx2");
  found.push_back("x86-64");
#elif defined(__aarch64__)
  found.push_back("neon");
#endif
  return found;
}

std::string instruction_set() {
  const std::vector<std::string> found = instruction_sets();
  const char* const wanted = std::getenv("QUADGATE_ISA");
  if (!wanted || !*wanted) return found.front();
  std::string names;
  for (const std::string& name : found) {
    if (name == wanted) return name;
    names += (names.empty() ? "" : ", ") + name;
  }
  throw std::invalid_argument("QUADGATE_ISA: found '" + std::string(wanted) + "', expected one of this processor's: " +
                              names);
}

}  // namespace quadgate
