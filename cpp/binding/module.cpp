// The Python module quadgate.kernels.cpu._native: argument checks and calls, no arithmetic.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "peak.h"
#include "processor.h"
#include "python_call.h"
#include "python_gru.h"
#include "python_head.h"
#include "python_lstm.h"
#include "python_stream.h"

namespace nb = nanobind;

// threadpoolctl knows our library among those of the process by this symbol.
extern "C" __attribute__((visibility("default"))) int quadgate_kernels_version() { return 1; }

NB_MODULE(_native, module) {
  // A graph of PyTorch's that lives until the process ends is never torn down, nor the packed layers in it.
  nb::set_leak_warnings(false);
  module.doc() = "Compiled kernels of quadgate.";
  quadgate::binding::register_refusals();
  module.def("instruction_sets", &quadgate::instruction_sets,
             "The instruction sets that this processor has, best first.");
  module.def("instruction_set", &quadgate::instruction_set,
             "The instruction set that the kernels use: the best, or the one that QUADGATE_ISA names.");
  quadgate::binding::register_call(module);
  quadgate::binding::register_lstm(module);
  quadgate::binding::register_gru(module);
  quadgate::binding::register_head(module);
  quadgate::binding::register_stream(module);
  module.def("fma_peak", &quadgate::fma_peak, nb::arg("threads"), nb::call_guard<nb::gil_scoped_release>(),
             "Floating-point operations per second of fused multiply-adds alone.");
}
