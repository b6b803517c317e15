// The class GRU of the Python module.
#pragma once

#include <nanobind/nanobind.h>

namespace quadgate::binding {

void register_gru(nanobind::module_& module);

}  // namespace quadgate::binding
