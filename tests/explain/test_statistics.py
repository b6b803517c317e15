import numpy as np
import pytest

from networks import model_of, network
from quadgate.cell import GRUParameters, LSTMParameters, gru, lstm
from quadgate.explain import KernelShape, measure_products, statistics
from quadgate.explain.activity import activities
from quadgate.explain.products import CASES, WAYS, steps
from quadgate.explain.statistics import NOISE


def layer(C=3, H=5, seed=0, **options):
    rng = np.random.default_rng(seed)
    P = options["projection"].shape[1] if "projection" in options else H
    return LSTMParameters(
        rng.normal(size=(4, C, H)),
        rng.normal(size=(4, P, H)),
        rng.normal(size=(4, H)),
        rng.normal(size=(4, H)),
        **options,
    )


def test_the_four_ways_give_the_same_numbers():
    for cases in CASES:
        ways = steps(KernelShape(3, 5), cases)
        assert tuple(ways) == WAYS
        found = [way().copy() for way in ways.values()]
        for one in found:
            np.testing.assert_allclose(one, found[-1], rtol=0, atol=1e-5)
        assert np.abs(found[0]).min() > 0
    assert measure_products(KernelShape(10_000, 1_000)) is None


def test_the_forget_bias_is_all_that_reaches_the_gate():
    p = layer()
    told = statistics(model_of((p,), layout="torch.nn.LSTM"))[0]
    np.testing.assert_allclose(told.forget, p.b_x[2] + p.b_h[2])
    tf = statistics(network(forget_bias=0.75))[0]
    model = network(forget_bias=0.75)
    np.testing.assert_allclose(tf.forget, model.layers[0][0].b_x[2] + 0.75)
    kept = 1 / (1 + np.exp(-tf.forget))
    np.testing.assert_allclose(kept**tf.memory, np.exp(-1))


def test_the_spectral_radius_is_the_largest_eigenvalue():
    p = layer(projection=np.random.default_rng(5).normal(size=(5, 2)))
    told = statistics(model_of((p,), layout="onnx.LSTM" if p.projection is None else "torch.nn.LSTM"))[0]
    x = np.random.default_rng(1).normal(size=2)
    square = p.w_h[2] @ p.projection
    for _ in range(3000):
        x = x @ square
        x /= np.linalg.norm(x)
    growth = [np.linalg.norm(np.linalg.matrix_power(square, k)) ** (1 / k) for k in (200,)]
    assert told.radius["f"] == pytest.approx(growth[0], rel=0.02)


def test_stuck_gates_and_silent_units_are_found():
    p = layer()
    bias = p.b_x.copy()
    bias[3, 1] = -60  # the output gate of unit 1 never opens
    bias[2, 4] = 60  # unit 4 never forgets
    told = statistics(model_of((LSTMParameters(p.w_x, p.w_h, bias, p.b_h),), layout="torch.nn.LSTM"))[0]
    assert told.silent.tolist() == [1]
    assert told.open["f"][4] == 1.0
    assert told.shut["o"][1] == 1.0
    assert told.stuck["f"] >= 1
    assert told.stuck["o"] >= 1


def test_an_input_that_nobody_reads_shows():
    p = layer()
    w_x = p.w_x.copy()
    w_x[:, 1] = 0
    told = statistics(model_of((LSTMParameters(w_x, p.w_h, p.b_x, p.b_h),), layout="torch.nn.LSTM"))[0]
    assert told.inputs[1] == 0
    assert told.inputs[[0, 2]].min() > 0


@pytest.mark.parametrize("reverse", [False, True])
def test_activities_are_those_of_the_reference(reverse):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 7, 3))
    p = layer(reverse=reverse)
    [[one]] = activities(model_of((p,), layout="torch.nn.LSTM"), x)
    outputs, (c, h) = lstm(x, p)
    np.testing.assert_allclose(one.values["h"], outputs, rtol=1e-6)
    last = 0 if reverse else -1
    np.testing.assert_allclose(one.values["c"][:, last], c, rtol=1e-6)
    np.testing.assert_allclose(one.values["h"][:, last], h, rtol=1e-6)
    g = GRUParameters(rng.normal(size=(3, 3, 4)), rng.normal(size=(3, 4, 4)), reverse=reverse)
    [[one]] = activities(model_of((g,), layout="torch.nn.GRU"), x)
    np.testing.assert_allclose(one.values["h"], gru(x, g)[0], rtol=1e-6)


def test_deeper_layers_are_tried_with_what_the_layer_below_gives():
    model = network(layers=2, bidirectional=True)
    noise = np.random.default_rng(0).normal(size=(NOISE["cases"], NOISE["steps"], 3))
    outputs, _ = model.run(noise)[0], None
    top = activities(model, noise)[1]
    together = np.concatenate([one.values["h"] for one in top], axis=2)
    np.testing.assert_allclose(together, model.run(noise, output="outputs")[0], atol=1e-5)
    assert outputs.shape[1] == 2
    told = statistics(model)
    assert [one.name for one in told] == [cell.name for layer in model.cells for cell in layer]
    np.testing.assert_allclose(told[2].loudest, np.abs(top[0].values["h"]).max(axis=(0, 1)))
