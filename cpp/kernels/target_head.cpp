// Compiled once per instruction set, with QUADGATE_TARGET naming its namespace.
#include "head_kernels.h"

namespace quadgate::QUADGATE_TARGET {

extern const HeadKernels kHead = {head_packed_size, pack_head, gather, gathered_features, answer};

}  // namespace quadgate::QUADGATE_TARGET
