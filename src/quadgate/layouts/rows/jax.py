"""The JAX libraries, and DeepMind's Sonnet for TensorFlow, whose line Haiku continues."""

from __future__ import annotations

from quadgate.layouts.layout import ActivationRule, Layout, Tensor
from quadgate.layouts.rows.notation import (
    ALL,
    ALWAYS_ONE,
    AT_RUN_TIME,
    BIASES,
    PEEPHOLES,
    PROJECTION,
    each,
    one,
    stacked,
    stored_one,
)

_LINEN = "google/flax@18f8f31 flax/linen/recurrent.py"
_NNX = "google/flax@18f8f31 flax/nnx/nn/recurrent.py"
_HAIKU = "google-deepmind/dm-haiku@f4d858a haiku/_src/recurrent.py"
_SONNET_1 = "google-deepmind/sonnet sonnet/python/modules/gated_rnn.py"
_SONNET_2 = "google-deepmind/sonnet@26b0518 sonnet/src/recurrent.py"
_EQUINOX = "patrick-kidger/equinox@9336d82 equinox/nn/_rnn.py"

_TIED = ActivationRule(gates=ALL, cells=ALL)
_RECURRENT_BIAS = "The one bias stands with h: PyTorch's two do not both fit, their sum does."


def _flax(forget: str) -> tuple[Tensor, ...]:
    names = {"i": "i", "f": forget, "j": "g", "o": "o"}
    return (
        *each("i*/kernel", "w_x", "r u", names),
        *(
            tensor
            for gate, name in (names | {"f": "f"}).items()
            for tensor in (one(f"h{name}/kernel", "w_h", "r u", gate), one(f"h{name}/bias", "b_h", "u", gate))
        ),
    )


def _flax_gru() -> tuple[Tensor, ...]:
    gates = {"r": "r", "z": "z", "n": "n"}
    return (
        *each("i*/kernel", "w_x", "r u", gates),
        *each("i*/bias", "b_x", "u", gates),
        *each("h*/kernel", "w_h", "r u", gates),
        one("hn/bias", "b_h", "u", "n"),
    )


ROWS = (
    *(
        Layout(
            name=f"flax.{name}",
            gates="ifjo",
            tensors=_flax(forget),
            evidence="V",
            source=source,
            state=("c", "h"),
            activations=_TIED,
            notes=(_RECURRENT_BIAS, "Zero biases in a new layer, so no forget bias.", *more),
        )
        for name, forget, source, more in (
            ("linen.LSTMCell", "f", _LINEN, ()),
            ("linen.OptimizedLSTMCell", "f", _LINEN, ("The parameters of LSTMCell: one tree serves both.",)),
            (
                "nnx.LSTMCell",
                "f_",
                _NNX,
                ("The attribute of the forget gate's input is if_, with an underscore.",),
            ),
        )
    ),
    Layout(
        name="flax.nnx.OptimizedLSTMCell",
        gates="ifjo",
        tensors=(
            one("dense_i/kernel", "w_x", "r (g u)"),
            one("dense_h/kernel", "w_h", "r (g u)"),
            one("dense_h/bias", "b_h", "(g u)"),
        ),
        evidence="V",
        source=_NNX,
        state=("c", "h"),
        activations=_TIED,
        notes=(_RECURRENT_BIAS, "Its documentation claims the parameters of LSTMCell; they are fused here."),
    ),
    Layout(
        name="flax.linen.GRUCell",
        cell="gru",
        gates="rzn",
        tensors=_flax_gru(),
        evidence="R",
        source="flax 0.12.8 flax/linen/recurrent.py",
        state=("h",),
        activations=_TIED,
        reset_after=True,
        notes=("Of the biases with h, only the candidate's is kept: the others add to those with x.",),
    ),
    Layout(
        name="equinox.nn.LSTMCell",
        gates="ifjo",
        tensors=(
            one("weight_ih", "w_x", "(g u) r"),
            one("weight_hh", "w_h", "(g u) r"),
            one("bias", "b_x", "(g u)"),
        ),
        evidence="V",
        source=_EQUINOX,
        state=("h", "c"),
        optional=BIASES,
        notes=("PyTorch's matrices with one bias. Its files have no names: the tensors follow in this order.",),
    ),
    Layout(
        name="equinox.nn.GRUCell",
        cell="gru",
        gates="rzn",
        tensors=(
            one("weight_ih", "w_x", "(g u) r"),
            one("weight_hh", "w_h", "(g u) r"),
            one("bias", "b_x", "(g u)"),
            one("bias_n", "b_h", "u", "n"),
        ),
        evidence="V",
        source="patrick-kidger/equinox@090c403 equinox/nn/_rnn.py",
        state=("h",),
        optional=BIASES,
        reset_after=True,
        notes=("bias_n is the candidate's bias with h, inside the reset.",),
    ),
    Layout(
        name="haiku.LSTM",
        gates="ijfo",
        tensors=(stacked("w", ("w_x", "w_h"), "r (g u)"), one("b", "b_x", "(g u)")),
        evidence="V",
        source=_HAIKU,
        state=("h", "c"),
        scope="lstm/linear/",
        forget=ALWAYS_ONE,
        notes=("The numbers of tf1.BasicLSTMCell with forget_bias=1; the 1 is written into the code.",),
    ),
    Layout(
        name="sonnet1.LSTM",
        gates="ijfo",
        tensors=(
            stacked("w_gates", ("w_x", "w_h"), "r (g u)"),
            one("b_gates", "b_x", "(g u)"),
            *each("w_*_diag", "peepholes", "u", {"f": "f", "i": "i", "o": "o"}),
            one("w_h_projection", "projection", "u p"),
        ),
        evidence="V",
        source=_SONNET_1,
        state=("h", "c"),
        scope="lstm/",
        optional=PEEPHOLES | PROJECTION,
        forget=AT_RUN_TIME,
        notes=("The forget bias is an argument, in no checkpoint.",),
        unverified=("The order of the state and the orientation of the projection are not verified.",),
    ),
    Layout(
        name="sonnet2.LSTM",
        gates="ifjo",
        tensors=(
            one("w_i", "w_x", "r (g u)"),
            one("w_h", "w_h", "r (g u)"),
            one("b", "b_x", "(g u)"),
            one("projection", "projection", "u p"),
        ),
        evidence="V",
        source=_SONNET_2,
        state=("h", "c"),
        scope="lstm/",
        optional=PROJECTION,
        forget=stored_one("b"),
        notes=("Another order than Sonnet 1, and the forget bias is in the stored bias from the start.",),
    ),
)
