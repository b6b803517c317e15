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
QUADGATE_KERNELS_OF(avx512)
QUADGATE_KERNELS_OF(avx2)
QUADGATE_KERNELS_OF(baseline)
QUADGATE_KERNELS_OF(neon)

namespace {

struct Target {
  const char* name;
  const LstmKernels<float>* lstm_float;
  const LstmKernels<double>* lstm_double;
  const GruKernels<float>* gru_float;
  const GruKernels<double>* gru_double;
  const HeadKernels* head;
};

#define QUADGATE_TARGET_OF(name, target) \
  {name, &target::kLstmFloat, &target::kLstmDouble, &target::kGruFloat, &target::kGruDouble, &target::kHead},
constexpr Target kTargets[] = {
#if defined(QUADGATE_HAS_avx512)
    QUADGATE_TARGET_OF("avx512", avx512)
#endif
#if defined(QUADGATE_HAS_avx2)
    QUADGATE_TARGET_OF("avx2", avx2)
#endif
#if defined(QUADGATE_HAS_baseline)
    QUADGATE_TARGET_OF("x86-64", baseline)
#endif
#if defined(QUADGATE_HAS_neon)
    QUADGATE_TARGET_OF("neon", neon)
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
