// The classes LstmFloat32 and LstmFloat64 of the Python module.
#pragma once

#include <nanobind/nanobind.h>

#include "lstm.h"

namespace quadgate::binding {

void register_lstm(nanobind::module_& module);

// The packed layer within an object of the class for Real; null where the object is of another class.
template <class Real>
const Lstm<Real>* packed_lstm(nanobind::handle object);

extern template const Lstm<float>* packed_lstm<float>(nanobind::handle);
extern template const Lstm<double>* packed_lstm<double>(nanobind::handle);

}  // namespace quadgate::binding
