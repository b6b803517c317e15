#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels.h"
#include "processor.h"

namespace quadgate {

#if defined(__x86_64__)
namespace baseline {
extern const LstmKernels<float> kFloatKernels;
extern const LstmKernels<double> kDoubleKernels;
}  // namespace baseline
namespace avx2 {
extern const LstmKernels<float> kFloatKernels;
extern const LstmKernels<double> kDoubleKernels;
}  // namespace avx2
namespace avx512 {
extern const LstmKernels<float> kFloatKernels;
extern const LstmKernels<double> kDoubleKernels;
}  // namespace avx512
#elif defined(__aarch64__)
namespace neon {
extern const LstmKernels<float> kFloatKernels;
extern const LstmKernels<double> kDoubleKernels;
}  // namespace neon
#endif

namespace {

struct Target {
  const char* name;
  const LstmKernels<float>* float_kernels;
  const LstmKernels<double>* double_kernels;
};

constexpr Target kTargets[] = {
#if defined(__x86_64__)
    {"avx512", &avx512::kFloatKernels, &avx512::kDoubleKernels},
    {"avx2", &avx2::kFloatKernels, &avx2::kDoubleKernels},
    {"x86-64", &baseline::kFloatKernels, &baseline::kDoubleKernels},
#elif defined(__aarch64__)
    {"neon", &neon::kFloatKernels, &neon::kDoubleKernels},
#endif
};

const Target& chosen_target() {
  const std::string name = instruction_set();
  for (const Target& target : kTargets) {
    if (name == target.name) return target;
  }
  throw std::logic_error("no kernels were compiled for " + name);
}

}  // namespace

template <>
const LstmKernels<float>& lstm_kernels() {
  return *chosen_target().float_kernels;
}

template <>
const LstmKernels<double>& lstm_kernels() {
  return *chosen_target().double_kernels;
}

}  // namespace quadgate
