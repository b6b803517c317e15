import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proof_layers import gru_layer, lstm_layer, with_gates
from quadgate.cell import Activations
from quadgate.proof import compare, explain

ANY = st.sampled_from([1, 2, 3, 5, 8])
SEVERAL = st.sampled_from([2, 3, 5, 8])  # one channel or unit has no order that could be wrong
SEEDS = st.integers(0, 2**32 - 1)


def turned(blocks):
    return np.swapaxes(blocks, 1, 2)


def rows_exchanged(layer):
    P = layer.w_h.shape[1]
    rows = np.concatenate([layer.w_x, layer.w_h], axis=1)
    return replace(layer, w_x=rows[:, P:], w_h=rows[:, :P])


def rounded(layer, kind):
    return replace(layer, **{name: kind(getattr(layer, name)) for name in ("w_x", "w_h", "b_x", "b_h")})


def float16(array):
    return array.astype(np.float16)


def bfloat16(array):
    import torch

    return torch.from_numpy(array).bfloat16().float().numpy()


# A change of a layer, and the words that must come out; of a square layer where a matrix is transposed.
MUTATIONS = {
    "f and o": (lambda p: with_gates(p, (0, 1, 3, 2)), "B equals A if gates f and o are exchanged"),
    "j and f": (lambda p: with_gates(p, (0, 2, 1, 3)), "B equals A if gates j and f are exchanged"),
    "three gates": (lambda p: with_gates(p, (1, 2, 0, 3)), "its gates j, f, i, o are taken for i, j, f, o"),
    "forget bias": (lambda p: replace(p, forget_bias=p.forget_bias + 1), "B equals A if a forget bias of 1.0 is added"),
    "less": (
        lambda p: replace(p, forget_bias=p.forget_bias - 0.25),
        "B equals A if a forget bias of 0.25 is taken away",
    ),
    "wrong gate": (lambda p: replace(p, b_x=p.b_x + np.eye(4)[0][:, None]), "a bias in gate i of 1.0 is added"),
    "recurrent bias": (lambda p: replace(p, b_h=None), "B equals A if its recurrent bias is dropped"),
    "input bias": (lambda p: replace(p, b_x=None), "B equals A if its input bias is dropped"),
    "both biases": (lambda p: replace(p, b_x=None, b_h=None), "B equals A if its biases are dropped"),
    "halved": (lambda p: replace(p, b_x=p.b_x / 2, b_h=p.b_h / 2), "B equals A if its biases are halved"),
    "doubled": (lambda p: replace(p, b_x=p.b_x * 2, b_h=p.b_h * 2), "B equals A if its biases are doubled"),
    "kernel": (lambda p: replace(p, w_x=turned(p.w_x)), "B equals A if its kernel is transposed"),
    "recurrent": (lambda p: replace(p, w_h=turned(p.w_h)), "B equals A if its recurrent kernel is transposed"),
    "both kernels": (
        lambda p: replace(p, w_x=turned(p.w_x), w_h=turned(p.w_h)),
        "its kernel is transposed and its recurrent kernel is transposed",
    ),
    "rows": (rows_exchanged, "the rows of x and h in its kernel .* are exchanged"),
    "hard_sigmoid": (
        lambda p: replace(p, activations=Activations(gate="hard_sigmoid")),
        "B equals A if hard_sigmoid is its gate activation in place of sigmoid",
    ),
    "hard_sigmoid_v3": (
        lambda p: replace(p, activations=Activations(gate="hard_sigmoid_v3")),
        "hard_sigmoid_v3 is its gate activation in place of sigmoid",
    ),
    "reversed": (lambda p: replace(p, reverse=True), "B equals A if it reads from the last step to the first"),
    "cell clip": (lambda p: replace(p, cell_clip=0.25), "B equals A if its cell state is clipped at 0.25"),
    "input clip": (lambda p: replace(p, input_clip=0.5), "its pre-activations are clipped at 0.5"),
    "float16": (lambda p: rounded(p, float16), "B equals A if its numbers are rounded to float16"),
    "bfloat16": (lambda p: rounded(p, bfloat16), "B equals A if its numbers are rounded to bfloat16"),
    "order and forget bias": (
        lambda p: replace(with_gates(p, (0, 2, 1, 3)), forget_bias=1.0),
        "gates j and f are exchanged and a forget bias of 1.0 is added",
    ),
    "all at once": (
        lambda p: replace(
            with_gates(p, (0, 1, 3, 2)), w_h=turned(with_gates(p, (0, 1, 3, 2)).w_h), b_h=None, reverse=True
        ),
        "its recurrent kernel is transposed, gates f and o are exchanged, its recurrent bias is dropped "
        "and it reads from the last step to the first",
    ),
}
SQUARE = {"kernel", "recurrent", "both kernels", "all at once"}


@pytest.mark.parametrize("name", MUTATIONS)
@given(seed=SEEDS, C=ANY, H=SEVERAL)
@settings(max_examples=15, deadline=None)
def test_a_planted_mistake_is_named(name, seed, C, H):
    mutate, words = MUTATIONS[name]
    a = lstm_layer(seed, H if name in SQUARE else C, H)
    b = mutate(a)
    assert not compare(a, b).within()
    assert re.search(words, explain(a, b))


@pytest.mark.parametrize("name", MUTATIONS)
@given(seed=SEEDS, C=ANY, H=SEVERAL)
@settings(max_examples=8, deadline=None)
def test_a_near_miss_of_a_mistake_is_not(name, seed, C, H):
    mutate, _ = MUTATIONS[name]
    a = lstm_layer(seed, H if name in SQUARE else C, H)
    b = mutate(a)
    spoiled = np.array(b.w_h, np.float32)
    spoiled[-1, -1, -1] += 0.01
    assert "equals" not in explain(a, replace(b, w_h=spoiled))


@given(seed=SEEDS, C=ANY, H=ANY)
@settings(max_examples=15, deadline=None)
def test_a_bias_that_is_only_nearly_constant_is_no_forget_bias(seed, C, H):
    a = lstm_layer(seed, C, H)
    off = np.zeros((4, H))
    off[2] = 1 + 0.01 * np.arange(H)
    if H > 1:
        assert "forget bias" not in explain(a, replace(a, b_x=a.b_x + off))


@pytest.mark.parametrize(
    ("mutate", "words"),
    [
        (lambda p: with_gates(p, (1, 0, 2)), "B equals A if gates z and r are exchanged"),
        (lambda p: replace(p, reset_after=False), "its reset acts before the recurrent product"),
        (lambda p: replace(p, b_h=None), "its recurrent bias is dropped"),
        (lambda p: replace(p, w_h=turned(p.w_h)), "its recurrent kernel is transposed"),
        (lambda p: replace(p, reverse=True), "it reads from the last step to the first"),
        (lambda p: replace(p, activations=Activations(gate="hard_sigmoid")), "hard_sigmoid is its gate activation"),
        (lambda p: rounded(p, float16), "its numbers are rounded to float16"),
    ],
)
@given(seed=SEEDS, C=ANY, H=SEVERAL)
@settings(max_examples=10, deadline=None)
def test_a_planted_mistake_in_a_gru_is_named(mutate, words, seed, C, H):
    a = gru_layer(seed, C, H)
    assert not compare(a, mutate(a)).within()
    assert words in explain(a, mutate(a))


@given(seed=SEEDS, C=ANY, H=SEVERAL)
@settings(max_examples=10, deadline=None)
def test_the_other_way_round_it_is_said_of_the_other(seed, C, H):
    a = lstm_layer(seed, C, H)
    assert explain(replace(a, b_h=None), a) == "A equals B if its recurrent bias is dropped"
    assert explain(rounded(a, float16), a) == "A equals B if its numbers are rounded to float16"
    assert explain(replace(a, cell_clip=0.25), a) == "B equals A if the clip of its cell state at 0.25 is left out"


@given(seed=SEEDS, C=SEVERAL, H=SEVERAL)
@settings(max_examples=10, deadline=None)
def test_options_travel_with_the_gates(seed, C, H):
    a = lstm_layer(seed, C, H, P=3, peepholes=True, cell_clip=3.0, projection_clip=1.0, forget_bias=1.0)
    b = with_gates(replace(a, peepholes=a.peepholes[[0, 2, 1]]), (0, 1, 3, 2))
    assert explain(a, b) == "B equals A if gates f and o are exchanged"


def test_a_kernel_read_as_its_transpose_is_named():
    a = lstm_layer(1, 3, 5)
    b = replace(a, w_x=a.w_x.reshape(4, 5, 3).swapaxes(1, 2))
    assert explain(a, b) == "B equals A if its kernel is read from memory in the order of its transpose"


def test_another_training_is_told_from_another_network():
    a, noise, other = lstm_layer(1, 6, 8), lstm_layer(2, 6, 8), lstm_layer(3, 6, 8)
    near = replace(a, w_x=a.w_x + 0.2 * noise.w_x, w_h=a.w_h + 0.2 * noise.w_h)
    assert explain(a, near).startswith("another training of the same network: the weights correlate by 0.97")
    assert explain(a, other).startswith("no relation was found")


def test_few_numbers_are_shown():
    a = lstm_layer(1, 6, 8)
    w_x = a.w_x.copy()
    w_x[2, 3, 4] = 7
    assert explain(a, replace(a, w_x=w_x)) == (
        f"1 of 480 numbers differs by up to {abs(7 - a.w_x[2, 3, 4]):.2g}: "
        f"w_x[2, 3, 4] is {a.w_x[2, 3, 4]:.6g} in A and 7 in B"
    )


def test_what_cannot_be_compared_is_said():
    a = lstm_layer(1, 6, 8)
    assert explain(a, lstm_layer(1, 6, 9)) == "the sizes differ: A is an LSTM of C=6, H=8, B is an LSTM of C=6, H=9"
    assert "B is a GRU" in explain(a, gru_layer(1, 6, 8))
    assert explain(a, replace(a, b_h=a.b_h * np.nan)) == "B has numbers that are not finite"
    assert "one side alone has peepholes" in explain(a, lstm_layer(1, 6, 8, peepholes=True))
