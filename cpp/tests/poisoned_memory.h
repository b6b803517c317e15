// For one file of a program: the kernels' scratch memory, poisoned.
#pragma once

#include <cstdlib>
#include <cstring>
#include <new>

// All bits set is a NaN.
void* operator new(std::size_t size, std::align_val_t alignment) {
  const std::size_t line = static_cast<std::size_t>(alignment);
  void* const memory = std::aligned_alloc(line, (size + line - 1) / line * line);
  if (!memory) throw std::bad_alloc();
  return std::memset(memory, 0xff, size);
}
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
