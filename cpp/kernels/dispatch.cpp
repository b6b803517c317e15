#include <cstdlib>
#include <stdexcept>
#include <string>

#include "head.h"
#include "kernels.h"
#include "processor.h"

namespace quadgate {

#define QUADGATE_KERNELS_OF(target)            \
  namespace target {                           \
  extern const LstmKernels<float> kLstmFloat;  \
  extern const LstmKernels<double> kLstmDouble; \
  extern const GruKernels<float> kGruFloat;    \
  extern const GruKernels<double> kGruDouble;  \
  extern const HeadKernels kHead;              \
  }
#if defined(__x86_64__)
QUADGATE_KERNELS_OF(baseline)
QUADGATE_KERNELS_OF(avx2)
QUADGATE_KERNELS_OF(avx512)
#elif defined(__aarch64__)
QUADGATE_KERNELS_OF(neon)
#endif

namespace {

struct Target {
  const char* name;
  const LstmKernels<float>* lstm_float;
  const LstmKernels<double>* lstm_double;
  const GruKernels<float>* gru_float;
  const GruKernels<double>* gru_double;
  const HeadKernels* head;
};

constexpr Target kTargets[] = {
#if defined(__x86_64__)
    {"avx512", &avx512::kLstmFloat, &avx512::kLstmDouble, &avx512::kGruFloat, &avx512::kGruDouble, &avx512::kHead},
    {"avx2", &avx2::kLstmFloat, &avx2::kLstmDouble, &avx2::kGruFloat, &avx2::kGruDouble, &avx2::kHead},
    {"x86-64", &baseline::kLstmFloat, &baseline::kLstmDouble, &baseline::kGruFloat, &baseline::kGruDouble, &baseline::kHead},
#elif defined(__aarch64__)
    {"neon", &neon::kLstmFloat, &neon::kLstmDouble, &neon::kGruFloat, &neon::kGruDouble, &neon::kHead},
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
  return *chosen_target().lstm_float;
}

template <>
const LstmKernels<double>& lstm_kernels() {
  return *chosen_target().lstm_double;
}

template <>
const GruKernels<float>& gru_kernels() {
  return *chosen_target().gru_float;
}

template <>
const GruKernels<double>& gru_kernels() {
  return *chosen_target().gru_double;
}

const HeadKernels& head_kernels() { return *chosen_target().head; }

}  // namespace quadgate
