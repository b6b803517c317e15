"""The torch modules and `rnn` against TensorFlow 1.15.5: outputs, states, losses, every gradient, twenty Adam steps."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from conftest import assert_float32_close
from quadgate import rnn
from quadgate.modules import BasicLSTM, BasicLSTMCell, TensorFlowAdam

CASES = {"seed_network": 1.0, "basic_small": 1.0, "basic_forget0": 0.0}
SCOPE = "rnn/basic_lstm_cell"


def head(case):
    return ("Variable", "Variable_1") if case.get("var/Variable") is not None else ("out/weights", "out/biases")


def tensors(case, dtype):
    return {name: torch.tensor(value, dtype=dtype, requires_grad=True) for name, value in case.under("var").items()}


def start(case, dtype, prefix="", rows=slice(None)):
    if case.get("initial/c") is None:
        return None
    return tuple(
        torch.tensor(case[f"{prefix}initial/{one}"][rows], dtype=dtype, requires_grad=True) for one in ("c", "h")
    )


def lengths(case, prefix="", rows=slice(None)):
    found = case.get(f"{prefix}sequence_length")
    return None if found is None else torch.tensor(found[rows], dtype=torch.int64)


def layer(case, name, variables, dtype):
    kernel, bias = variables[f"{SCOPE}/kernel"], variables[f"{SCOPE}/bias"]
    module = BasicLSTM(kernel.shape[0] - bias.shape[0] // 4, bias.shape[0] // 4, forget_bias=CASES[name]).to(dtype)
    del module.kernel, module.bias
    module.kernel, module.bias = torch.nn.Parameter(kernel.detach()), torch.nn.Parameter(bias.detach())
    variables[f"{SCOPE}/kernel"], variables[f"{SCOPE}/bias"] = module.kernel, module.bias
    return module


def close(actual, case, key, dtype):
    if dtype == torch.float32:
        assert_float32_close(actual.detach(), case[key], key)
    elif key == "outputs" and case.get("f64/outputs") is None:
        actual = actual.detach()[:, case["f64_at/steps"]]
        np.testing.assert_allclose(actual, case["f64_at/outputs"], rtol=0, atol=1e-12)
    else:
        np.testing.assert_allclose(actual.detach(), case[f"f64/{key}"], rtol=1e-12, atol=1e-12, err_msg=key)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_layer(oracle, name, dtype):
    case = oracle(name)
    v = tensors(case, dtype)
    x, state = torch.tensor(case["x"], dtype=dtype, requires_grad=True), start(case, dtype)
    outputs, (c, h) = layer(case, name, v, dtype)(x, lengths(case), state)
    logits = h @ v[head(case)[0]] + v[head(case)[1]]
    loss = cross_entropy(logits, torch.tensor(case["labels"], dtype=torch.int64))
    for key, value in {"outputs": outputs, "final/c": c, "final/h": h, "logits": logits, "loss": loss}.items():
        close(value, case, key, dtype)

    wanted = {f"/{key}": value for key, value in v.items()}
    given = {"_in/x": x, **({} if state is None else {"_in/initial/c": state[0], "_in/initial/h": state[1]})}
    given = {key: value for key, value in given.items() if case.get(f"grad{key}") is not None}
    gradients = torch.autograd.grad(loss, [*wanted.values(), *given.values()], retain_graph=True)
    for key, gradient in zip([*wanted, *given], gradients, strict=True):
        close(gradient, case, f"grad{key}", dtype)

    if case.get("cot/outputs") is None:
        return
    cotangents = [torch.tensor(case[f"cot/{key}"], dtype=dtype) for key in ("outputs", "final/c", "final/h")]
    wanted = {key: value for key, value in wanted.items() if SCOPE in key}
    gradients = torch.autograd.grad([outputs, c, h], [*wanted.values(), *given.values()], cotangents)
    for key, gradient in zip([*wanted, *given], gradients, strict=True):
        close(gradient, case, f"vjp{key}", dtype)


@pytest.mark.parametrize("name", CASES)
def test_cell_step_by_step_is_the_layer(oracle, name):
    case = oracle(name)
    kernel, bias = case[f"var/{SCOPE}/kernel"], case[f"var/{SCOPE}/bias"]
    cell = BasicLSTMCell(kernel.shape[0] - len(bias) // 4, len(bias) // 4, forget_bias=CASES[name])
    with torch.no_grad():
        cell.kernel.copy_(torch.tensor(kernel))
        cell.bias.copy_(torch.tensor(bias))
        state = start(case, torch.float32)
        for t in range(3):
            output, state = cell(torch.tensor(case["x"][:, t]), state)
            assert_float32_close(output, case["outputs"][:, t], f"step {t}")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_twenty_steps_of_adam(oracle, name, dtype):
    case = oracle(name)
    v = tensors(case, dtype)
    module = layer(case, name, v, dtype)
    optimizer = TensorFlowAdam(list(v.values()), lr=0.001)
    for step, rows in enumerate(case["adam/idx"]):
        x = torch.tensor(case["pool/x"][rows], dtype=dtype)
        state = start(case, dtype, "pool/", rows)
        _, (_, h) = module(x, lengths(case, "pool/", rows), state)
        logits = h @ v[head(case)[0]] + v[head(case)[1]]
        loss = cross_entropy(logits, torch.tensor(case["pool/labels"][rows], dtype=torch.int64))
        expected = case["adam/losses" if dtype == torch.float32 else "f64/adam/losses"][step]
        assert abs(loss.item() - expected) < (2e-6 if dtype == torch.float32 else 1e-12)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for key, value in v.items():
        if dtype == torch.float32:
            # torch.optim.Adam, whose epsilon counts within the bias correction, is farther off than this where
            # gradients are small.
            np.testing.assert_allclose(value.detach(), case[f"adam/var/{key}"], rtol=0, atol=5e-6, err_msg=key)
        else:
            np.testing.assert_allclose(value.detach(), case[f"f64/adam/var/{key}"], rtol=0, atol=1e-12, err_msg=key)


@pytest.fixture
def store():
    rnn.reset_default_graph()
    yield
    rnn.reset_default_graph()


tf = rnn
timesteps = 820
num_hidden = 64
num_classes = 2


# The text of the question, as it was asked.
def RNN(x, weights, biases):  # noqa: N802
    x = tf.unstack(x, timesteps, 1)
    lstm_cell = rnn.BasicLSTMCell(num_hidden)
    outputs, states = rnn.static_rnn(lstm_cell, x, dtype=tf.float32)  # noqa: RUF059
    return tf.matmul(outputs[-1], weights['out']) + biases['out']  # fmt: skip


def seed_variables():
    weights = {"out": tf.Variable(tf.random_normal([num_hidden, num_classes]))}
    biases = {"out": tf.Variable(tf.random_normal([num_classes]))}
    return weights, biases


def test_the_seed_runs_unedited_and_trains_as_tensorflow_did(oracle, store):
    case = oracle("seed_network")
    weights, biases = seed_variables()
    RNN(torch.tensor(case["x"]), weights, biases)  # makes the cell's variables
    variables = tf.trainable_variables()
    assert str(variables) == (case.folder / "variables.txt").read_text().rstrip("\n")
    with torch.no_grad():
        for name, variable in zip(variables.names, variables, strict=True):
            variable.copy_(torch.tensor(case[f"var/{name.removesuffix(':0')}"]))

    logits = RNN(torch.tensor(case["x"]), weights, biases)
    assert len(tf.trainable_variables()) == 4  # the second call found the variables of the first
    assert_float32_close(logits.detach(), case["logits"])
    optimizer = TensorFlowAdam(variables, lr=0.001)
    for rows in case["adam/idx"]:
        logits = RNN(torch.tensor(case["pool/x"][rows]), weights, biases)
        loss = cross_entropy(logits, torch.tensor(case["pool/labels"][rows], dtype=torch.int64))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, variable in zip(variables.names, variables, strict=True):
        expected = case[f"adam/var/{name.removesuffix(':0')}"]
        np.testing.assert_allclose(variable.detach(), expected, rtol=0, atol=5e-6, err_msg=name)


def test_dynamic_rnn_with_lengths_and_a_starting_state(oracle, store):
    case = oracle("basic_small")
    cell = rnn.BasicLSTMCell(5)
    with rnn.variable_scope("rnn"):
        variables = cell.variables(3, torch.float32)
    kernel, bias = variables["kernel"], variables["bias"]
    with torch.no_grad():
        kernel.copy_(torch.tensor(case[f"var/{SCOPE}/kernel"]))
        bias.copy_(torch.tensor(case[f"var/{SCOPE}/bias"]))
    state = tuple(torch.tensor(case[f"initial/{one}"]) for one in ("c", "h"))
    x, steps = torch.tensor(case["x"]), torch.tensor(case["sequence_length"])
    outputs, final = rnn.dynamic_rnn(cell, x, steps, state)
    assert_float32_close(outputs.detach(), case["outputs"])
    assert_float32_close(final.c.detach(), case["final/c"])
    assert_float32_close(final.h.detach(), case["final/h"])
    turned, _ = rnn.dynamic_rnn(cell, x.transpose(0, 1), steps, state, time_major=True)
    assert torch.equal(turned.transpose(0, 1), outputs)


def test_what_does_not_fit_is_refused_in_one_line(store):
    with pytest.raises(ValueError, match=r"num: found 820, but axis 1 .* has 400; pass 400"):
        rnn.unstack(torch.zeros(2, 400, 12), 820, 1)
    rnn.dynamic_rnn(rnn.BasicLSTMCell(4), torch.zeros(2, 3, 5), dtype=rnn.float32)
    with pytest.raises(ValueError, match="from an earlier call"):
        rnn.dynamic_rnn(rnn.BasicLSTMCell(4), torch.zeros(2, 3, 6), dtype=rnn.float32)
    with pytest.raises(ValueError, match="neither dtype nor initial_state"):
        rnn.dynamic_rnn(rnn.BasicLSTMCell(4), torch.zeros(2, 3, 5))
    with pytest.raises(ValueError, match="at least one tensor"):
        rnn.static_rnn(rnn.BasicLSTMCell(4), [], dtype=rnn.float32)
