// The Python module quadgate.kernels.cpu._native: argument checks and calls, no arithmetic.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "processor.h"

NB_MODULE(_native, module) {
  module.doc() = "Compiled kernels of quadgate.";
  module.def("instruction_sets", &quadgate::instruction_sets,
             "The instruction sets that this processor has, best first.");
}
