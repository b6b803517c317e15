// The interface over plain loops; the packed kernels take its place.
#include "lstm.h"

#include "../tests/reference.h"

namespace quadgate {

template <class Real>
std::size_t lstm_saved_size(const LstmCell& cell, std::int64_t cases, std::int64_t steps, std::int64_t every) {
  return static_cast<std::size_t>(cell.units) * cases * (every ? (steps + every - 1) / every : 6 * steps);
}

template std::size_t lstm_saved_size<float>(const LstmCell&, std::int64_t, std::int64_t, std::int64_t);
template std::size_t lstm_saved_size<double>(const LstmCell&, std::int64_t, std::int64_t, std::int64_t);

template <class Real>
struct Lstm<Real>::Packed {
  LstmCell cell;
  LstmArrays<const Real> arrays;
};

template <class Real>
Lstm<Real>::Lstm(const LstmCell& cell, const LstmArrays<const Real>& arrays, bool)
    : packed_(new Packed{cell, arrays}) {}
template <class Real>
Lstm<Real>::~Lstm() = default;
template <class Real>
Lstm<Real>::Lstm(Lstm&&) noexcept = default;
template <class Real>
Lstm<Real>& Lstm<Real>::operator=(Lstm&&) noexcept = default;

template <class Real>
void Lstm<Real>::forward(const LstmForward<Real>& call, int) const {
  reference::forward(packed_->cell, packed_->arrays, call);
}

template <class Real>
void Lstm<Real>::backward(const LstmBackward<Real>& call, int) const {
  reference::backward(packed_->cell, packed_->arrays, call);
}

template class Lstm<float>;
template class Lstm<double>;

}  // namespace quadgate
