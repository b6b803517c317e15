// The class LSTM of the Python module.
#pragma once

#include <nanobind/nanobind.h>

namespace quadgate::binding {

void register_lstm(nanobind::module_& module);

}  // namespace quadgate::binding
