"""The compiled module refuses by name what it cannot take, and never reads or writes beyond what it was given."""

import ast
import gc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quadgate.errors import InputError
from quadgate.kernels.cpu import _native
from quadgate.kernels.cpu._native import GruFloat32, LstmFloat32, LstmFloat64

N, T, C, H = 3, 4, 2, 5


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def layer(trainable=False):
    return LstmFloat32((zeros(C + H, 4 * H), zeros(4 * H)), trainable=trainable)


FORWARD = {
    "x": lambda: zeros(N, T, C),
    "lengths": lambda: np.array([T, 0, 1]),
    "c_start": lambda: zeros(N, H),
    "h_start": lambda: zeros(N, H),
    "outputs": lambda: zeros(N, T, H),
    "c_final": lambda: zeros(N, H),
    "h_final": lambda: zeros(N, H),
    "saved": lambda: zeros(layer().saved_size(N, T, 0)),
    "recompute_every": lambda: 0,
    "threads": lambda: 1,
}
BACKWARD = {
    **{name: FORWARD[name] for name in ("x", "lengths", "c_start", "h_start", "outputs", "saved", "recompute_every")},
    "d_outputs": lambda: zeros(N, T, H),
    "d_c_final": lambda: zeros(N, H),
    "d_h_final": lambda: zeros(N, H),
    "d_x": lambda: zeros(N, T, C),
    "d_c_start": lambda: zeros(N, H),
    "d_h_start": lambda: zeros(N, H),
    "d_weights": lambda: (zeros(C + H, 4 * H), zeros(4 * H)),
    "threads": lambda: 1,
}
ARRAYS = sorted((set(FORWARD) | set(BACKWARD)) - {"recompute_every", "threads", "d_weights", "lengths"})
WRITTEN = {
    "forward": ("outputs", "c_final", "h_final", "saved"),
    "backward": ("d_x", "d_c_start", "d_h_start"),
}


def call(name, **change):
    made = {argument: make() for argument, make in (FORWARD if name == "forward" else BACKWARD).items()}
    getattr(layer(trainable=name == "backward"), name)(**(made | change))


CALLS = [(name, argument) for name in ("forward", "backward") for argument in ARRAYS]
CALLS = [(name, a) for name, a in CALLS if a in (FORWARD if name == "forward" else BACKWARD)]


@pytest.mark.parametrize("name", ["forward", "backward"])
def test_a_right_call_is_taken(name):
    call(name)


@pytest.mark.parametrize(("name", "argument"), CALLS)
class TestRefused:
    def right(self, name, argument):
        return (FORWARD if name == "forward" else BACKWARD)[argument]()

    def refused(self, name, argument, value, message):
        with pytest.raises(InputError, match=rf"^{argument}: found .*{message}.*, expected "):
            call(name, **{argument: value})

    def test_another_type(self, name, argument):
        self.refused(name, argument, self.right(name, argument).astype(np.float64), "float64")
        self.refused(name, argument, self.right(name, argument).astype(np.int32), "int32")

    def test_another_shape(self, name, argument):
        right = self.right(name, argument)
        self.refused(name, argument, right[..., :-1].copy(), "shape")
        self.refused(name, argument, right[None], "shape")
        self.refused(name, argument, zeros(*right.shape[:-1], right.shape[-1] + 1), "shape")

    def test_no_array(self, name, argument):
        self.refused(name, argument, self.right(name, argument).tolist(), "list")
        self.refused(name, argument, "zeros", "str")

    def test_another_device(self, name, argument):
        self.refused(name, argument, torch.zeros(self.right(name, argument).shape, device="meta"), "Tensor")

    def test_gaps(self, name, argument):
        right = self.right(name, argument)
        self.refused(name, argument, np.repeat(right, 2, axis=-1)[..., ::2], "")

    def test_an_address_between_elements(self, name, argument):
        right = self.right(name, argument)
        shifted = np.zeros(right.nbytes + 1, np.uint8)[1:].view(right.dtype).reshape(right.shape)
        self.refused(name, argument, shifted, "address")


@pytest.mark.parametrize(
    ("name", "argument"), [(name, argument) for name, arguments in WRITTEN.items() for argument in arguments]
)
class TestWritten:
    def test_read_only(self, name, argument):
        value = (FORWARD | BACKWARD)[argument]()
        value.flags.writeable = False
        with pytest.raises(InputError, match=f"{argument}: found .*, expected an array .* that can be written"):
            call(name, **{argument: value})

    def test_several_elements_in_one_place(self, name, argument):
        value = (FORWARD | BACKWARD)[argument]()
        shared = np.lib.stride_tricks.as_strided(value, strides=(0,) * (value.ndim - 1) + value.strides[-1:])
        if value.ndim > 1:
            with pytest.raises(InputError, match=f"{argument}: found"):
                call(name, **{argument: shared})

    def test_memory_of_another_argument(self, name, argument):
        memory = np.zeros(10000, np.float32)
        value = (FORWARD | BACKWARD)[argument]()
        mine = memory[: value.size].reshape(value.shape)
        x = memory[value.size - 1 :][: N * T * C].reshape(N, T, C)
        with pytest.raises(InputError, match=f"{argument}: found memory that x uses too, expected memory of its own"):
            call(name, **{argument: mine}, x=x)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (np.array([1, 2, T + 1]), "found 5 at case 2, expected 0 to 4, the steps of the batch"),
        (np.array([-1, 2, 1]), "found -1 at case 0, expected 0 to 4"),
        (np.array([1, 2, np.iinfo(np.int64).min]), "found -9223372036854775808 at case 2"),
        (np.array([1, 2]), r"found shape \(2,\), expected \(N=3,\)"),
        (np.array([1, 2, 3], np.int32), "found int32, expected int64"),
        (np.array([1.0, 2, 3]), "found float64, expected int64"),
        ([1, 2, 3], "found list"),
    ],
)
def test_lengths_that_are_refused(lengths, message):
    for name in ("forward", "backward"):
        with pytest.raises(InputError, match=f"lengths: {message}"):
            call(name, lengths=lengths)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((zeros(C + H, 4 * H),), "weights: found 1 arrays, expected kernel and bias, or six"),
        ((zeros(C + H, 4 * H + 1), None), r"kernel: found shape \(7, 21\), expected \(C\+H, 4\*H\)"),
        ((zeros(H, 4 * H), None), r"kernel: found shape \(5, 20\)"),
        ((zeros(C + H, 0), None), r"kernel: found shape \(7, 0\)"),
        ((zeros(C + H, 4 * H), zeros(H)), r"bias: found shape \(5,\), expected \(4\*H=20,\)"),
        ((zeros(C + H, 4 * H, dtype=np.float64), None), "kernel: found float64, expected float32"),
        ((zeros(4, C, H), zeros(4, H + 1, H), None, None, None, None), r"w_h: found shape \(4, 6, 5\)"),
        ((zeros(3, C, H), zeros(4, H, H), None, None, None, None), r"w_x: found shape \(3, 2, 5\)"),
        ((zeros(4, C, H), zeros(4, H, H), zeros(4 * H), None, None, None), r"b_x: found shape \(20,\)"),
        ((zeros(4, C, H), zeros(4, H, H), None, None, zeros(3, H), None), r"peepholes: found shape \(3, 5\)"),
        ((zeros(4, C, H), zeros(4, 3, H), None, None, None, zeros(H, 4)), r"projection: found shape \(5, 4\)"),
    ],
)
def test_weights_that_are_refused(weights, message):
    with pytest.raises(InputError, match=message):
        LstmFloat32(weights)


KERNEL_PLACES = ((0, (0, 5, 10, 15), 20, 1), (0, (40, 45, 50, 55), 20, 1), None, None, None, None)


def placed(kernel=None, sizes=(C, H, H), **change):
    places = [change.get(f"place{k}", place) for k, place in enumerate(KERNEL_PLACES)]
    return (zeros(C + H, 4 * H) if kernel is None else kernel,), sizes, tuple(places)


def test_places_are_those_of_the_fused_kernel():
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((C + H, 4 * H)).astype(np.float32)
    x = rng.standard_normal((N, T, C)).astype(np.float32)
    found, expected = zeros(N, T, H), zeros(N, T, H)
    for weights, outputs in ((placed(kernel), found), ((kernel, None), expected)):
        LstmFloat32(weights).forward(x, None, None, None, outputs, None, None, None, 0, 1)
    assert expected.any()
    assert (found == expected).all()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (placed(place1=(0, (40, 45, 50, 56), 20, 1)), "w_h: found elements 56 to 140, expected 0 to 139, those of its"),
        (placed(place0=(0, (-1, 5, 10, 15), 20, 1)), "w_x: found elements -1 to 23, expected 0 to 139"),
        (placed(place0=(0, (0, 5, 10, 15), -20, 1)), "w_x: found elements -20 to 4, expected 0 to 139"),
        (placed(place0=(1, (0, 5, 10, 15), 20, 1)), "w_x: found a place in array 1, expected 0 to 0"),
        (placed(place0=(0, (0, 5, 10), 20, 1)), r"w_x: found 3 values, expected \(array, offsets"),
        (placed(place0=(0, (0, 5, 10, 15), 20)), r"w_x: found 3 values, expected \(array, offsets"),
        (placed(place0=(0, 5, 20, 1)), r"w_x: found int, expected \(array, offsets"),
        (placed(place0=(0, (0, 5, "ten", 15), 20, 1)), r"w_x: found str, expected \(array, offsets"),
        (placed(place0=(0, (0, 5, 10, 15), None, 1)), r"w_x: found NoneType, expected \(array, offsets"),
        (placed(place0=(0, (0, 5, 10, 15), 2**70, 1)), r"w_x: found int, expected \(array, offsets"),
        (placed(place0=(-1, (0, 5, 10, 15), 20, 1)), "w_x: found a place in array -1, expected 0 to 0"),
        (placed(place0=7), r"w_x: found int, expected \(array, offsets"),
        (placed(sizes=(C, "five", H)), r"weights: found str, expected \(arrays, \(C, H, P\), six places\)"),
        (placed(sizes=(C, H)), r"weights: found 2 values, expected \(arrays, \(C, H, P\), six places\)"),
        (placed(sizes=None), r"weights: found NoneType, expected \(arrays, \(C, H, P\), six places\)"),
        ((None, (C, H, H), KERNEL_PLACES), "weights: found NoneType, expected a tuple of arrays"),
        (((zeros(C + H, 4 * H),), (C, H, H), None), "weights: found NoneType, expected"),
        (((zeros(C + H, 4 * H),), (C, H, H), KERNEL_PLACES[:5]), "weights: found 5 values, expected"),
        (placed(place0=(0, (0, 5, 10, 15), 2**40, 1)), "w_x: found a place beyond its array"),
        (placed(place0=(0, (2**62, 5, 10, 15), 20, 1)), "w_x: found a place beyond its array"),
        (placed(sizes=(2**40, H, H)), "weights: found a size of 1099511627776"),
        (placed(sizes=(C, 0, H)), "weights: found a size of 0"),
        (placed(sizes=(C, H, 4)), "weights: found P other than H without a projection"),
        (placed(place1=None), "weights: expected places for w_x and w_h"),
        (placed(kernel=zeros(C + H, 4 * H, dtype=np.float64)), r"weights\[0\]: found float64, expected float32"),
        (((None,), (C, H, H), KERNEL_PLACES), r"weights\[0\]: found None, expected an array"),
    ],
)
def test_places_that_are_refused(weights, message):
    with pytest.raises(InputError, match=message):
        LstmFloat32(weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gate": "sigmoids"}, "gate: found 'sigmoids', expected one of sigmoid, tanh"),
        ({"cell": ""}, "cell: found ''"),
        ({"cell_clip": 0.0}, "cell_clip: found 0.0+, expected a limit above 0"),
        ({"input_clip": float("nan")}, "input_clip: found -?nan"),
    ],
)
def test_options_that_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        LstmFloat32((zeros(C + H, 4 * H), None), **options)


def test_what_backward_needs():
    with pytest.raises(InputError, match="saved: found none, expected what forward wrote"):
        call("backward", saved=None)
    with pytest.raises(InputError, match="outputs: found none"):
        call("backward", outputs=None)
    with pytest.raises(InputError, match="outputs: found none, expected an array beside saved"):
        call("forward", outputs=None)
    with pytest.raises(InputError, match="expected trainable=True"):
        layer(trainable=False).backward(**{name: make() for name, make in BACKWARD.items()})
    with pytest.raises(InputError, match="recompute_every: found -1"):
        call("forward", recompute_every=-1)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_nothing_is_written_beside_the_arrays(data):
    """Every written array stands in the middle of a larger one whose rest stays as it was."""
    N, T, C, H = (data.draw(st.integers(1, most), name) for most, name in ((20, "N"), (4, "T"), (9, "C"), (19, "H")))
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((C + H, 4 * H)), rng.standard_normal(4 * H)
    one = LstmFloat64(weights, trainable=True)
    guards = []

    def guarded(*shape):
        memory = np.full(int(np.prod(shape)) + 64, -7.25)
        guards.append(memory)
        return memory[32:-32].reshape(shape)

    x, lengths = rng.standard_normal((N, T, C)), rng.integers(0, T + 1, N)
    outputs, saved = guarded(N, T, H), guarded(one.saved_size(N, T, 0))
    one.forward(x, lengths, None, None, outputs, guarded(N, H), guarded(N, H), saved, 0, 2)
    d_weights = guarded(C + H, 4 * H), guarded(4 * H)
    d_x, d_c, d_h = guarded(N, T, C), guarded(N, H), guarded(N, H)
    one.backward(x, lengths, None, None, outputs, saved, 0, outputs, None, None, d_x, d_c, d_h, d_weights, 2)
    for memory in guards:
        assert (memory[:32] == -7.25).all()
        assert (memory[-32:] == -7.25).all()
    for written in (outputs, d_x, d_c, d_h, *d_weights):
        assert not (written == -7.25).any()


def test_arrays_of_every_kind_are_read_and_written_in_place():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, T, C)).astype(np.float32)
    weights = rng.standard_normal((C + H, 4 * H)).astype(np.float32), rng.standard_normal(4 * H).astype(np.float32)
    expected, found = zeros(N, T, H), torch.zeros(N, T, H)
    LstmFloat32(weights).forward(x, None, None, None, expected, None, None, None, 0, 1)
    tensors = tuple(map(torch.from_numpy, weights))
    LstmFloat32(tensors).forward(torch.from_numpy(x), None, None, None, found, None, None, None, 0, 1)
    assert expected.any()
    assert (found.numpy() == expected).all()
    capsule = zeros(N, T, H)
    LstmFloat32(weights).forward(x.__dlpack__(), None, None, None, capsule, None, None, None, 0, 1)
    assert (capsule == expected).all()


def test_a_packed_layer_does_not_need_the_arrays_it_was_made_from():
    kernel = np.full((C + H, 4 * H), 0.1, np.float32)
    one, x = LstmFloat32((kernel, None)), np.ones((N, T, C), np.float32)
    before, after = zeros(N, T, H), zeros(N, T, H)
    one.forward(x, None, None, None, before, None, None, None, 0, 1)
    kernel[:] = np.nan
    del kernel
    gc.collect()
    one.forward(x, None, None, None, after, None, None, None, 0, 1)
    assert (before == after).all()


def test_the_stub_names_what_is_there():
    stub = ast.parse(STUB.read_text())
    classes = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef)}
    functions = {node.name for node in stub.body if isinstance(node, ast.FunctionDef)}
    there = {name for name in dir(_native) if not name.startswith("_")}
    assert there == functions | {name for name in classes if not name.startswith("_")}
    for stubbed, native in (("_Lstm", LstmFloat32), ("_Gru", GruFloat32)):
        for method in (node for node in classes[stubbed].body if isinstance(node, ast.FunctionDef)):
            names = [argument.arg for argument in method.args.args + method.args.kwonlyargs]
            signature = getattr(native, method.name).__doc__.splitlines()[0]
            places = [signature.index(f"{name}:") for name in names if name != "self"]
            assert places == sorted(places), signature


STUB = Path(__file__).parents[2] / "src" / "quadgate" / "kernels" / "cpu" / "_native.pyi"
