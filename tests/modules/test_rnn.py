"""`rnn` against TensorFlow 1.15.5: names, outputs, states, losses, gradients and twenty Adam steps."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from conftest import assert_float32_close
from quadgate import rnn
from quadgate.errors import InputError
from quadgate.modules import TensorFlowAdam


@pytest.fixture(autouse=True)
def empty_store():
    rnn.reset_default_graph()
    yield
    rnn.reset_default_graph()


def multi(x, case, _):
    cell = rnn.MultiRNNCell([rnn.BasicLSTMCell(units) for units in case.settings["units"]])
    outputs, state = rnn.dynamic_rnn(cell, x, dtype=x.dtype)
    found = {"outputs": outputs}
    for k, one in enumerate(state):
        found |= {f"final/{k}/c": one.c, f"final/{k}/h": one.h}
    return found, state[-1].h


def bidirectional(x, case, rest):
    cells = [rnn.BasicLSTMCell(case.settings["units"]) for _ in range(2)]
    outputs, states = rnn.bidirectional_dynamic_rnn(*cells, x, rest["sequence_length"], dtype=x.dtype)
    found = {}
    for name, output, state in zip(("fw", "bw"), outputs, states, strict=True):
        found |= {f"outputs/{name}": output, f"final/{name}/c": state.c, f"final/{name}/h": state.h}
    return found, torch.cat([states[0].h, states[1].h], 1)


def lstm_peephole_proj(x, case, rest):
    options = {name: case.settings[name] for name in ("use_peepholes", "num_proj", "cell_clip", "proj_clip")}
    cell = rnn.LSTMCell(case.settings["units"], **options)
    state = tuple(torch.as_tensor(rest[f"initial/{one}"], dtype=x.dtype) for one in "ch")
    outputs, state = rnn.dynamic_rnn(cell, x, initial_state=state)
    return {"outputs": outputs, "final/c": state.c, "final/h": state.h}, state.h


NETWORKS = [multi, bidirectional, lstm_peephole_proj]


def build(network, case, x, rest):
    """The network as its TensorFlow text has it: the layers, then a linear head."""
    found, h = network(x, case, rest)
    with rnn.variable_scope("out"):
        store = dict(zip((one[:-2] for one in rnn.trainable_variables().names), rnn.trainable_variables(), strict=True))
        if "out/weights" not in store:
            for name in ("weights", "biases"):
                rnn.Variable(torch.tensor(case[f"var/out/{name}"], dtype=x.dtype), name)
    store = dict(zip((one[:-2] for one in rnn.trainable_variables().names), rnn.trainable_variables(), strict=True))
    return found | {"logits": rnn.matmul(h, store["out/weights"]) + store["out/biases"]}, store


def loaded(network, case, dtype):
    """Build once, and put the case's numbers into the variables."""
    x = torch.tensor(case["x"], dtype=dtype)
    _, store = build(network, case, x, case)
    wanted = [one["name"].removesuffix(":0") for one in case.settings["variables"]]
    assert list(store) == wanted
    with torch.no_grad():
        for name, variable in store.items():
            variable.copy_(torch.tensor(case[f"var/{name}"], dtype=dtype))
    return store


def close(actual, case, key, dtype):
    if dtype == torch.float32:
        assert_float32_close(actual.detach(), case[key], key)
    else:
        np.testing.assert_allclose(actual.detach(), case[f"f64/{key}"], rtol=1e-12, atol=1e-12, err_msg=key)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("network", NETWORKS)
def test_outputs_states_and_gradients(oracle, network, dtype):
    case = oracle(network.__name__)
    store = loaded(network, case, dtype)
    x = torch.tensor(case["x"], dtype=dtype, requires_grad=True)
    found, _ = build(network, case, x, case)
    loss = cross_entropy(found["logits"], torch.tensor(case["labels"], dtype=torch.int64))
    for key, value in (found | {"loss": loss}).items():
        close(value, case, key, dtype)
    names = ["_in/x", *(f"/{name}" for name in store)]
    gradients = torch.autograd.grad(loss, [x, *store.values()], retain_graph=True)
    for name, gradient in zip(names, gradients, strict=True):
        close(gradient, case, f"grad{name}", dtype)
    results = {key: value for key, value in found.items() if key != "logits"}
    cotangents = [torch.tensor(case[f"cot/{key}"], dtype=dtype) for key in results]
    inner = {name: one for name, one in store.items() if not name.startswith("out/")}
    gradients = torch.autograd.grad(list(results.values()), [x, *inner.values()], cotangents)
    for name, gradient in zip(["_in/x", *(f"/{name}" for name in inner)], gradients, strict=True):
        close(gradient, case, f"vjp{name}", dtype)


@pytest.mark.parametrize("network", NETWORKS)
def test_twenty_steps_of_adam(oracle, network):
    case = oracle(network.__name__)
    store = loaded(network, case, torch.float32)
    optimizer = TensorFlowAdam(list(store.values()), lr=0.001)
    for step, rows in enumerate(case["adam/idx"]):
        rest = {name: values[rows] for name, values in case.under("pool").items()}
        found, _ = build(network, case, torch.tensor(rest["x"]), rest)
        loss = cross_entropy(found["logits"], torch.tensor(rest["labels"], dtype=torch.int64))
        assert abs(loss.item() - case["adam/losses"][step]) < 2e-6
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, variable in store.items():
        np.testing.assert_allclose(variable.detach(), case[f"adam/var/{name}"], rtol=0, atol=5e-6, err_msg=name)


class Own:
    """A user's own cell: any object that is called."""

    def __init__(self, cell):
        self.cell = cell

    def __call__(self, inputs, state):
        return self.cell(inputs, state)

    def zero_state(self, batch_size, dtype):
        return self.cell.zero_state(batch_size, dtype)


CELLS = {
    "BasicLSTMCell": lambda: rnn.BasicLSTMCell(5, activation="relu"),
    "LSTMCell": lambda: rnn.LSTMCell(5, use_peepholes=True, num_proj=3, cell_clip=0.3, proj_clip=0.2),
    "MultiRNNCell": lambda: rnn.MultiRNNCell([rnn.LSTMCell(5), rnn.BasicLSTMCell(4)]),
}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("lengths", [None, [4, 0, 2]])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_step_by_step_is_the_kernel(name, lengths, bidirectional):
    x = torch.randn(3, 4, 2, dtype=torch.float64)

    def run(cell):
        if bidirectional:
            return rnn.bidirectional_dynamic_rnn(cell, cell, x, lengths, dtype=x.dtype)
        return rnn.dynamic_rnn(cell, x, lengths, dtype=x.dtype)

    torch.testing.assert_close(run(Own(CELLS[name]())), run(CELLS[name]()), rtol=1e-11, atol=1e-12)


def test_static_and_time_major_forms():
    x = torch.randn(3, 4, 2)
    cell = rnn.LSTMCell(5)
    outputs, state = rnn.dynamic_rnn(cell, x, [4, 1, 2], dtype=x.dtype)
    static, last = rnn.static_rnn(cell, rnn.unstack(x, 4, 1), dtype=x.dtype, sequence_length=[4, 1, 2])
    turned, _ = rnn.dynamic_rnn(cell, x.transpose(0, 1), [4, 1, 2], dtype=x.dtype, time_major=True)
    assert torch.equal(torch.stack(static, 1), outputs)
    assert all(map(torch.equal, last, state))
    torch.testing.assert_close(turned.transpose(0, 1), outputs)
    (fw, bw), states = rnn.bidirectional_dynamic_rnn(cell, rnn.LSTMCell(3), x, dtype=x.dtype)
    both, *finals = rnn.static_bidirectional_rnn(cell, rnn.LSTMCell(3), rnn.unstack(x, 4, 1), dtype=x.dtype)
    assert torch.equal(torch.stack(both, 1), torch.cat([fw, bw], 2))
    assert torch.equal(finals[1].c, states[1].c)


def test_cells_with_one_state_are_their_equations():
    x, h = torch.randn(3, 2, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    found, _ = rnn.GRUCell(5)(x, h)
    v = dict(zip(rnn.trainable_variables().names, rnn.trainable_variables(), strict=True))
    assert list(v) == [
        f"gru_cell/{part}:0" for part in ("gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias")
    ]
    assert (v["gru_cell/gates/bias:0"] == 1).all()
    r, z = torch.sigmoid(torch.cat([x, h], 1) @ v["gru_cell/gates/kernel:0"] + 1).split(5, 1)
    n = torch.tanh(torch.cat([x, r * h], 1) @ v["gru_cell/candidate/kernel:0"])
    torch.testing.assert_close(found, z * h + (1 - z) * n)
    found, _ = rnn.BasicRNNCell(5)(x, h)
    kernel = rnn.trainable_variables()[4]
    torch.testing.assert_close(found, torch.tanh(torch.cat([x, h], 1) @ kernel))


def test_layer_norm_cell():
    x, (c, h) = torch.randn(3, 2, dtype=torch.float64), torch.randn(2, 3, 5, dtype=torch.float64)
    found, state = rnn.LayerNormBasicLSTMCell(5, norm_gain=1.5, norm_shift=0.25)(x, (c, h))
    names = [
        name.removesuffix(":0").removeprefix("layer_norm_basic_lstm_cell/") for name in rnn.trainable_variables().names
    ]
    places = ("input", "transform", "forget", "output", "state")
    assert names == ["kernel", *(f"{place}/{what}" for place in places for what in ("gamma", "beta"))]

    def norm(values):
        return 1.5 * (values - values.mean(1, keepdim=True)) / values.std(1, keepdim=True, unbiased=False) + 0.25

    i, j, f, o = map(norm, (torch.cat([x, h], 1) @ rnn.trainable_variables()[0]).chunk(4, 1))
    c = norm(c * torch.sigmoid(f + 1) + torch.sigmoid(i) * torch.tanh(j))
    torch.testing.assert_close(state.c, c)
    torch.testing.assert_close(found, torch.sigmoid(o) * torch.tanh(c))


def test_dropout_wrapper():
    torch.manual_seed(0)
    x = torch.ones(50, 6, 40)
    plain = lambda inputs, state: (inputs, state)  # noqa: E731
    for variational in (False, True):
        cell = rnn.DropoutWrapper(plain, input_keep_prob=0.8, variational_recurrent=variational)
        outputs, _ = rnn.dynamic_rnn(cell, x, initial_state=torch.zeros(50, 1))
        assert set(outputs.unique().tolist()) == {0.0, 1.25}
        assert abs((outputs > 0).float().mean().item() - 0.8) < (0.2 if variational else 0.02)
        assert torch.equal(outputs, outputs[:1, :1].expand_as(outputs)) is variational
    cell = rnn.DropoutWrapper(rnn.LSTMCell(30), state_keep_prob=0.5)
    state = cell.zero_state(4)
    _, after = cell(torch.randn(4, 3), state)
    assert (after.c != 0).all()
    assert 0.3 < (after.h == 0).float().mean().item() < 0.7
    with pytest.raises(InputError, match=r"output_keep_prob: found 0\.0, expected a share above 0"):
        rnn.DropoutWrapper(cell, output_keep_prob=0.0)


def test_residual_wrapper():
    x = torch.randn(3, 4, 5)
    inner, _ = rnn.dynamic_rnn(rnn.LSTMCell(5), x, dtype=x.dtype)
    found, _ = rnn.dynamic_rnn(rnn.ResidualWrapper(rnn.LSTMCell(5)), x, dtype=x.dtype)
    torch.testing.assert_close(found, inner + x)
    found, _ = rnn.dynamic_rnn(rnn.ResidualWrapper(rnn.LSTMCell(5), lambda i, o: i * o), x, dtype=x.dtype)
    torch.testing.assert_close(found, inner * x)
