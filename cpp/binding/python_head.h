// The class Head of the Python module.
#pragma once

#include <nanobind/nanobind.h>

namespace quadgate::binding {

void register_head(nanobind::module_& module);

}  // namespace quadgate::binding
