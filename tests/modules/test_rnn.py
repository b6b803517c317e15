"""TensorFlow 1's names: the variable store, the scopes, and what a program of that time does with them."""

import numpy as np
import pytest
import torch

from quadgate import rnn
from quadgate.errors import InputError
from quadgate.modules import BasicLSTM

pytestmark = pytest.mark.usefixtures("empty_store")


@pytest.fixture
def empty_store():
    rnn.reset_default_graph()
    yield
    rnn.reset_default_graph()


def steps(N=3, T=4, C=2, dtype=torch.float32):
    return torch.randn(N, T, C, generator=torch.Generator().manual_seed(1), dtype=dtype)


def test_static_and_dynamic_rnn_share_their_variables_and_agree():
    x = steps()
    static, static_state = rnn.static_rnn(rnn.BasicLSTMCell(5), rnn.unstack(x, 4, 1), dtype=rnn.float32)
    dynamic, dynamic_state = rnn.dynamic_rnn(rnn.BasicLSTMCell(5), x, dtype=rnn.float32)
    assert torch.equal(torch.stack(static, 1), dynamic)
    assert torch.equal(static_state.c, dynamic_state.c)
    assert torch.equal(static_state.h, dynamic_state.h)
    assert rnn.trainable_variables().names == ["rnn/basic_lstm_cell/kernel:0", "rnn/basic_lstm_cell/bias:0"]


def test_the_numbers_are_those_of_the_layer():
    x = steps(dtype=torch.float64)
    lengths = [4, 0, 2]
    outputs, state = rnn.dynamic_rnn(rnn.BasicLSTMCell(5, forget_bias=0.5), x, lengths, dtype=rnn.float64)
    layer = BasicLSTM(2, 5, forget_bias=0.5).double()
    kernel, bias = rnn.trainable_variables()
    layer.load_state_dict({"kernel": kernel.detach(), "bias": bias.detach()})
    expected, (c, h) = layer(x, lengths)
    assert torch.equal(outputs, expected)
    assert torch.equal(state.c, c)
    assert torch.equal(state.h, h)


def test_a_cell_called_by_hand_has_tensorflows_names():
    cell = rnn.BasicLSTMCell(5)
    state = cell.zero_state(3)
    with rnn.variable_scope("model"), rnn.variable_scope("rnn"):
        for step in rnn.unstack(steps(), axis=1):
            output, state = cell(step, state)
    assert rnn.trainable_variables().names == ["model/rnn/basic_lstm_cell/kernel:0", "model/rnn/basic_lstm_cell/bias:0"]
    assert torch.equal(output, state.h)


def test_scopes_keep_two_networks_apart():
    x = steps()
    for scope in ("first", "second"):
        with rnn.variable_scope(scope):
            rnn.dynamic_rnn(rnn.BasicLSTMCell(5), x, dtype=rnn.float32)
    names = rnn.trainable_variables().names
    assert names[::2] == ["first/rnn/basic_lstm_cell/kernel:0", "second/rnn/basic_lstm_cell/kernel:0"]
    first, _, second, _ = rnn.trainable_variables()
    assert not torch.equal(first, second)


def test_a_scope_is_left_when_its_body_fails():
    with pytest.raises(RuntimeError, match="within"), rnn.variable_scope("outer"):
        raise RuntimeError("within")
    rnn.Variable(rnn.random_normal([1]))
    assert rnn.trainable_variables().names == ["Variable:0"]


def test_variables_are_numbered_and_counted():
    rnn.Variable(rnn.random_normal([64, 2]))
    rnn.Variable(rnn.random_normal([2]))
    rnn.Variable(rnn.random_normal([3]), name="scale")
    variables = rnn.trainable_variables()
    assert variables.names == ["Variable:0", "Variable_1:0", "scale:0"]
    *rows, total = [line.split() for line in str(variables).splitlines()]
    assert rows == [["Variable:0", "(64,", "2)", "128"], ["Variable_1:0", "(2,)", "2"], ["scale:0", "(3,)", "3"]]
    assert total == ["total", "133"]


def test_a_variable_is_a_copy_that_trains():
    value = torch.ones(2)
    variable = rnn.Variable(value)
    (variable * variable).sum().backward()
    with torch.no_grad():
        variable.sub_(variable.grad)
    assert torch.equal(value, torch.ones(2))
    assert torch.equal(variable.detach(), -torch.ones(2))


def test_random_normal():
    torch.manual_seed(0)
    drawn = rnn.random_normal([20_000], mean=3.0, stddev=0.5, dtype=rnn.float64)
    assert abs(drawn.mean().item() - 3.0) < 0.02
    assert abs(drawn.std().item() - 0.5) < 0.02
    assert torch.equal(rnn.random_normal([3], seed=4), rnn.random_normal([3], seed=4))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_unstack_cuts_any_axis(axis):
    x = steps()
    for step, expected in zip(rnn.unstack(x, axis=axis), np.moveaxis(x.numpy(), axis, 0), strict=True):
        np.testing.assert_array_equal(step, expected)


def test_what_does_not_fit_is_refused_in_one_line():
    x = steps()
    refused = [
        (lambda: rnn.unstack(x, 820, 1), r"num: found 820, but axis 1 of the value \(3, 4, 2\) has 4; pass 4"),
        (lambda: rnn.unstack(x, 4, 3), "axis: found 3, expected one of the 3 axes"),
        (lambda: rnn.Variable([1.0]), "initial_value: found list"),
        (lambda: rnn.BasicLSTMCell(0), "num_units: found 0"),
        (lambda: rnn.BasicLSTMCell(4, state_is_tuple=False), "state_is_tuple"),
        (lambda: rnn.BasicLSTMCell(4, activation="tahn"), "did you mean 'tanh'"),
        (lambda: rnn.dynamic_rnn(rnn.BasicLSTMCell(4), x, dtype=rnn.float64), "found torch.float64"),
        (lambda: rnn.static_rnn(rnn.BasicLSTMCell(4), [x], dtype=rnn.float32), r"inputs\[0\]: found shape"),
        (lambda: rnn.static_rnn(rnn.BasicLSTMCell(4), [x[0], x[0, :1]], dtype=rnn.float32), r"inputs\[1\]: found"),
        (
            lambda: rnn.dynamic_rnn(rnn.BasicLSTMCell(4), x, initial_state=(torch.zeros(3, 4), torch.zeros(3, 5))),
            r"state h: found shape \(3, 5\), expected \(3, 4\)",
        ),
    ]
    for call, expected in refused:
        with pytest.raises(InputError, match=expected) as caught:
            call()
        assert "\n" not in str(caught.value)
