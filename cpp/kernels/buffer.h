// Memory of any contents that begins with a cache line.
#pragma once

#include <cstddef>
#include <new>

namespace quadgate {

template <class Real>
class Buffer {
 public:
  explicit Buffer(std::size_t size) : data_(static_cast<Real*>(operator new(size * sizeof(Real), kLine))) {}
  ~Buffer() { operator delete(data_, kLine); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Real* data() const { return data_; }

 private:
  static constexpr std::align_val_t kLine{64};
  Real* data_;
};

}  // namespace quadgate
