// What the processor can do at most, measured: the yardstick of the benchmarks.
#pragma once

namespace quadgate {

// Floating-point operations per second of float32 fused multiply-adds alone, on `threads` threads at once.
double fma_peak(int threads);

}  // namespace quadgate
