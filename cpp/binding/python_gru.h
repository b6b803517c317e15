// The class GRU of the Python module.
#pragma once

#include <nanobind/nanobind.h>

#include "gru.h"

namespace quadgate::binding {

void register_gru(nanobind::module_& module);

// As packed_lstm.
template <class Real>
const Gru<Real>* packed_gru(nanobind::handle object);

extern template const Gru<float>* packed_gru<float>(nanobind::handle);
extern template const Gru<double>* packed_gru<double>(nanobind::handle);

}  // namespace quadgate::binding
