// The recurrence of an LSTM of up to 128 units, forward and backward: one launch for all steps, one block for a tile of
// cases, the recurrent weights in registers, one barrier a step.
//
// Compiled for one kernel at a time: QUADGATE_FORWARD or QUADGATE_BACKWARD, QUADGATE_MODE (exact, tf32, bfloat16, float16),
// QUADGATE_HP (the units, filled up to a multiple of 16), QUADGATE_CASES (of a block), QUADGATE_THREADS, QUADGATE_SHARED
// (bytes). Nothing is included but the files beside this one, since NVRTC has no others.
#include <lstm_device.cuh>
#include <lstm_products.cuh>
#include <lstm_gates.cuh>
#include <lstm_places.cuh>
#include <lstm_forward.cuh>
#include <lstm_backward.cuh>

constexpr Mode mode = Mode::QUADGATE_MODE;
constexpr int HP = QUADGATE_HP, cases = QUADGATE_CASES;
using Stored = Number<mode>::Stored;

extern __shared__ uint4 shared_memory[];

#ifdef QUADGATE_FORWARD
static_assert(QUADGATE_THREADS == Places<mode, HP, cases>::Forward::threads);
static_assert(QUADGATE_SHARED ==
              4 * (2 * Operand<mode, HP, cases>::size + decltype(ForwardProduct<mode, HP, cases>::product)::shared_words));

KERNEL(QUADGATE_THREADS)
lstm_forward(const Stored* __restrict__ z, const Stored* __restrict__ w_h, const float* __restrict__ c_0,
             const Stored* __restrict__ h_0, const int* __restrict__ lengths, Stored* __restrict__ outputs,
             float* __restrict__ c_T, Stored* __restrict__ h_T, Stored* __restrict__ gates, float* __restrict__ cells, int N,
             int T, int H, int start, int stop, float forget_bias, int reverse) {
    forward<mode, HP, cases>(shared_memory, z, w_h, c_0, h_0, lengths, outputs, c_T, h_T, gates, cells, N, T, H, start, stop,
                             forget_bias, reverse != 0);
}
#endif

#ifdef QUADGATE_BACKWARD
static_assert(QUADGATE_THREADS == Places<mode, HP, cases>::Backward::threads);
static_assert(QUADGATE_SHARED == 4 * (2 * Operand<mode, 4 * HP, cases>::size +
                                      decltype(BackwardProduct<mode, HP, cases>::product)::shared_words));

KERNEL(QUADGATE_THREADS)
lstm_backward(const Stored* __restrict__ w_h, const Stored* __restrict__ gates, const float* __restrict__ cells,
              const float* __restrict__ c_0, const int* __restrict__ lengths, const Stored* __restrict__ d_outputs,
              const float* __restrict__ d_c_T, const float* __restrict__ d_h_T, Stored* __restrict__ d_z,
              float* __restrict__ d_c_0, float* __restrict__ d_h_0, int N, int T, int H, int start, int stop, int reverse) {
    backward<mode, HP, cases>(shared_memory, w_h, gates, cells, c_0, lengths, d_outputs, d_c_T, d_h_T, d_z, d_c_0, d_h_0, N,
                              T, H, start, stop, reverse != 0);
}
#endif
