// The class Stream of the Python module.
#pragma once

#include <nanobind/nanobind.h>

namespace quadgate::binding {

void register_stream(nanobind::module_& module);

}  // namespace quadgate::binding
