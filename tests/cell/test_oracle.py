"""The float64 reference against TensorFlow 1.15.5 in float64, to 1e-12."""

import numpy as np
import pytest

from quadgate.cell import LSTMParameters, lstm, lstm_backward

CASES = {
    "seed_network": ("rnn/basic_lstm_cell", {}),
    "basic_small": ("rnn/basic_lstm_cell", {}),
    "basic_forget0": ("rnn/basic_lstm_cell", {"forget_bias": 0.0}),
    "lstm_peephole_proj": ("rnn/lstm_cell", {"cell_clip": 3.0, "projection_clip": 1.0}),
}


def layer(case, name, scope, options):
    """The case's cell in float64, started from its float32 values."""
    v = {key: value.astype(np.float64) for key, value in case.under("var").items()}
    if name == "lstm_peephole_proj":
        options = options | {
            "peepholes": np.stack([v[f"{scope}/w_{gate}_diag"] for gate in "ifo"]),
            "projection": v[f"{scope}/projection/kernel"],
        }
    return LSTMParameters.from_kernel(v[f"{scope}/kernel"], v[f"{scope}/bias"], **options)


def start(case):
    c = case.get("initial/c")
    return None if c is None else (c, case["initial/h"])


def softmax(logits):
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize("name", CASES)
def test_outputs_state_logits_and_loss(oracle, name):
    case = oracle(name)
    scope, options = CASES[name]
    outputs, (c, h) = lstm(case["x"], layer(case, name, scope, options), start(case), case.get("sequence_length"))
    if name == "seed_network":
        np.testing.assert_allclose(outputs[:, case["f64_at/steps"]], case["f64_at/outputs"], rtol=0, atol=1e-12)
        weights, biases = case["var/Variable"], case["var/Variable_1"]
    else:
        np.testing.assert_allclose(outputs, case["f64/outputs"], rtol=0, atol=1e-12)
        weights, biases = case["var/out/weights"], case["var/out/biases"]
    np.testing.assert_allclose(c, case["f64/final/c"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(h, case["f64/final/h"], rtol=0, atol=1e-12)
    logits = h @ weights.astype(np.float64) + biases
    np.testing.assert_allclose(logits, case["f64/logits"], rtol=0, atol=1e-12)
    loss = -np.log(softmax(logits)[np.arange(len(logits)), case["labels"]]).mean()
    np.testing.assert_allclose(loss, case["f64/loss"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_gradient_of_the_loss(oracle, name):
    case = oracle(name)
    scope, options = CASES[name]
    head = "Variable" if name == "seed_network" else "out/weights"
    _, (_, h) = lstm(case["x"], layer(case, name, scope, options), start(case), case.get("sequence_length"))
    logits = case["f64/logits"]
    d_logits = (softmax(logits) - np.eye(logits.shape[1])[case["labels"]]) / len(logits)
    np.testing.assert_allclose(h.T @ d_logits, case[f"f64/grad/{head}"], rtol=0, atol=1e-12)
    d_h = d_logits @ case[f"var/{head}"].astype(np.float64).T
    got = lstm_backward(
        case["x"],
        layer(case, name, scope, options),
        d_state=(np.zeros((len(h), layer(case, name, scope, options).units)), d_h),
        state=start(case),
        lengths=case.get("sequence_length"),
    )
    assert_gradients(case, "f64/grad", scope, got)


@pytest.mark.parametrize("name", [name for name in CASES if name != "seed_network"])
def test_gradient_of_every_output_and_state(oracle, name):
    case = oracle(name)
    scope, options = CASES[name]
    got = lstm_backward(
        case["x"],
        layer(case, name, scope, options),
        d_outputs=case["cot/outputs"],
        d_state=(case["cot/final/c"], case["cot/final/h"]),
        state=start(case),
        lengths=case.get("sequence_length"),
    )
    assert_gradients(case, "f64/vjp", scope, got)


def assert_gradients(case, kind, scope, got):
    d_x, (d_c, d_h), gradient = got
    expected = {f"{kind}/{scope}/kernel": gradient.kernel, f"{kind}/{scope}/bias": gradient.b_x.reshape(-1)}
    inputs = {f"{kind}_in/x": d_x, f"{kind}_in/initial/c": d_c, f"{kind}_in/initial/h": d_h}
    if gradient.peepholes is not None:
        for gate, peephole in zip("ifo", gradient.peepholes, strict=True):
            expected[f"{kind}/{scope}/w_{gate}_diag"] = peephole
        expected[f"{kind}/{scope}/projection/kernel"] = gradient.projection
    for key, value in (expected | {key: value for key, value in inputs.items() if case.get(key) is not None}).items():
        np.testing.assert_allclose(value, case[key], rtol=1e-12, atol=1e-12, err_msg=key)
