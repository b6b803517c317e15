"""Compiled kernels of quadgate."""

from typing import Any

# A NumPy array, a torch tensor or anything with DLPack, in main memory; nothing is copied.
_Array = Any
_Weights = tuple[Any, ...]

def instruction_sets() -> list[str]:
    """Return the instruction sets that this processor has, best first."""

def instruction_set() -> str:
    """Return the one that the kernels use: the best, or the one that `QUADGATE_ISA` names.

    Raises:
        InputError: `QUADGATE_ISA` names one that this processor has not.
    """

def fma_peak(threads: int) -> float:
    """Measure the floating-point operations per second of fused multiply-adds alone."""

class Call:
    """A call that was checked and is yet to run; it keeps the layer and the arrays."""

def run_beside(calls: list[Call], threads: int) -> None:
    """Run calls that know nothing of each other, sharing the threads.

    Raises:
        InputError: two of them share memory that one writes.
    """

def run_behind(calls: list[Call], threads: int) -> None:
    """Run calls made with `at_a_time`, of which each reads what the one before it writes, as a wavefront.

    Raises:
        InputError: they have other numbers of tasks, or two of them write to the same memory.
    """

class _Lstm:
    """A packed layer. Weights are `(kernel, bias)`, or `(w_x, w_h, b_x, b_h, peepholes [4, H], projection)`.

    Or they are `(arrays, (C, H, P), places)`, with for each of those six None or `(k, offsets, row_stride,
    unit_stride)`: where it stands in the array number k, as `quadgate.layouts.strides` tells.

    Raises:
        InputError: an argument of another dtype, shape or stride than stands below, by its name.
    """

    def __init__(
        self,
        weights: _Weights,
        *,
        forget_bias: float = 0.0,
        gate: str = "sigmoid",
        cell: str = "tanh",
        output: str = "tanh",
        input_clip: float | None = None,
        cell_clip: float | None = None,
        projection_clip: float | None = None,
        reverse: bool = False,
        trainable: bool = False,
    ) -> None: ...
    def forward(
        self,
        x: _Array,  # [N, T, C], dense along C
        lengths: _Array | None,  # [N] int64
        c_start: _Array | None,  # [N, H], dense
        h_start: _Array | None,  # [N, P], dense
        outputs: _Array | None,  # [N, T, P], dense along P, written
        c_final: _Array | None,  # [N, H], dense, written
        h_final: _Array | None,  # [N, P], dense, written
        saved: _Array | None,  # [saved_size], written for backward
        recompute_every: int,
        threads: int,
    ) -> None: ...
    def backward(
        self,
        x: _Array,
        lengths: _Array | None,
        c_start: _Array | None,
        h_start: _Array | None,
        outputs: _Array,
        saved: _Array,
        recompute_every: int,
        d_outputs: _Array | None,
        d_c_final: _Array | None,
        d_h_final: _Array | None,
        d_x: _Array | None,
        d_c_start: _Array | None,
        d_h_start: _Array | None,
        d_weights: _Weights | None,
        threads: int,
    ) -> None: ...
    def forward_call(
        self,
        x: _Array,
        lengths: _Array | None,
        c_start: _Array | None,
        h_start: _Array | None,
        outputs: _Array | None,
        c_final: _Array | None,
        h_final: _Array | None,
        saved: _Array | None,
        recompute_every: int,
        threads: int,
        at_a_time: int = 0,  # steps of a task, for run_behind
    ) -> Call: ...
    def backward_call(
        self,
        x: _Array,
        lengths: _Array | None,
        c_start: _Array | None,
        h_start: _Array | None,
        outputs: _Array,
        saved: _Array,
        recompute_every: int,
        d_outputs: _Array | None,
        d_c_final: _Array | None,
        d_h_final: _Array | None,
        d_x: _Array | None,
        d_c_start: _Array | None,
        d_h_start: _Array | None,
        d_weights: _Weights | None,
    ) -> Call: ...
    def saved_size(self, cases: int, steps: int, recompute_every: int) -> int: ...

class LstmFloat32(_Lstm):
    """A packed layer, computed in float32."""

class LstmFloat64(_Lstm):
    """A packed layer, computed in float64."""

class _Gru:
    """A packed layer. Weights are `(w_x [3, C, H], w_h [3, H, H], b_x [3, H], b_h [3, H])`, gates z, r, n.

    Or they are `(arrays, (C, H), places)`, as those of an LSTM.

    Raises:
        InputError: an argument of another dtype, shape or stride than stands below, by its name.
    """

    def __init__(
        self,
        weights: _Weights,
        *,
        reset_after: bool = True,
        gate: str = "sigmoid",
        candidate: str = "tanh",
        reverse: bool = False,
        trainable: bool = False,
    ) -> None: ...
    def forward(
        self,
        x: _Array,  # [N, T, C], dense along C
        lengths: _Array | None,  # [N] int64
        h_start: _Array | None,  # [N, H], dense
        outputs: _Array | None,  # [N, T, H], dense along H, written
        h_final: _Array | None,  # [N, H], dense, written
        saved: _Array | None,  # [saved_size], written for backward
        recompute_every: int,
        threads: int,
    ) -> None: ...
    def backward(
        self,
        x: _Array,
        lengths: _Array | None,
        h_start: _Array | None,
        outputs: _Array,
        saved: _Array,
        recompute_every: int,
        d_outputs: _Array | None,
        d_h_final: _Array | None,
        d_x: _Array | None,
        d_h_start: _Array | None,
        d_weights: _Weights | None,
        threads: int,
    ) -> None: ...
    def forward_call(
        self,
        x: _Array,
        lengths: _Array | None,
        h_start: _Array | None,
        outputs: _Array | None,
        h_final: _Array | None,
        saved: _Array | None,
        recompute_every: int,
        threads: int,
        at_a_time: int = 0,  # steps of a task, for run_behind
    ) -> Call: ...
    def backward_call(
        self,
        x: _Array,
        lengths: _Array | None,
        h_start: _Array | None,
        outputs: _Array,
        saved: _Array,
        recompute_every: int,
        d_outputs: _Array | None,
        d_h_final: _Array | None,
        d_x: _Array | None,
        d_h_start: _Array | None,
        d_weights: _Weights | None,
    ) -> Call: ...
    def saved_size(self, cases: int, steps: int, recompute_every: int) -> int: ...

class GruFloat32(_Gru):
    """A packed layer, computed in float32."""

class GruFloat64(_Gru):
    """A packed layer, computed in float64."""

class Head:
    """Pooling, the dense layer and the probabilities, packed; see `quadgate.kernels.head`."""

    carried_size: int

    def __init__(self, pool: str, query: _Array | None, weights: _Array, biases: _Array) -> None: ...
    def forward(
        self,
        outputs: _Array | None,  # [N, T, F], dense; not read for last
        lengths: _Array | None,  # [N] int64
        last: _Array | None,  # [N, F], dense; read for last
        probabilities: bool,
        answers: _Array,  # [N, K], dense, written
    ) -> None: ...

class Stream:
    """A network and the state of its streams; the arrays of the state are the caller's, read and written by each step.

    Raises:
        InputError: arrays or layers that do not fit each other, or a number that is not finite.
    """

    def __init__(
        self,
        layers: list[tuple[Any, ...]],  # (packed LSTM, c [N, H], h [N, P]) or (packed GRU, h [N, H])
        mean: _Array | None,  # [C] float64
        scale: _Array | None,  # [C] float64
        head: Head | None,
        carried: _Array | None,  # [N, carried_size] float64
        probabilities: bool,
        many: bool,
    ) -> None: ...
    def step(self, x: Any, out: Any) -> bool:
        """Take one sample of each stream; False, and nothing done, where x is no dense float32 or float64 buffer."""

    def run(self, x: Any, out: Any) -> bool:
        """Take a chunk of samples."""

    def time_steps(self, x: _Array, nanoseconds: _Array) -> None:
        """Take `x [T, N, C]` one step at a time and write how long each took, without Python around it."""
