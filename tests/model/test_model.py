import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quadgate import cell
from quadgate.errors import InputError
from quadgate.model import Model, Network, Scaling
from quadgate.model.network import POOLS


def random_model(network: Network, seed: int = 0, **described) -> Model:
    random = np.random.default_rng(seed)
    variables = {name: random.normal(size=shape).astype(np.float32) for name, shape in network.shapes.items()}
    return Model(network, variables, **described)


def by_hand(model: Model, x: np.ndarray, pool: str) -> np.ndarray:
    """The logits of one whole case, in float64, written out."""
    values = x[None].astype(np.float64)
    for layer in model.layers:
        runs = [cell.lstm(values, parameters) for parameters in layer]
        values = np.concatenate([outputs for outputs, _ in runs], axis=2)
        final = np.concatenate([h for _, (_, h) in runs], axis=1)[0]
    steps = values[0]
    if pool == "last":
        features = final
    elif len(steps) == 0:
        features = np.zeros(steps.shape[1])
    elif pool == "mean":
        features = steps.mean(axis=0)
    elif pool == "max":
        features = steps.max(axis=0)
    else:
        weights = np.exp(steps @ model.variables["pool/query"].astype(np.float64))
        features = weights @ steps / weights.sum()
    return features @ model.variables["out/weights"].astype(np.float64) + model.variables["out/biases"]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
def test_every_network_against_its_equations(pool, bidirectional, layers):
    model = random_model(Network(3, 5, 4, layers, bidirectional, pool, forget_bias=0.7))
    random = np.random.default_rng(1)
    series = [random.normal(size=(T, 3)).astype(np.float32) for T in (7, 1, 0, 11)]
    logits, _ = model.run(series)
    expected = [by_hand(model, one, pool) for one in series]
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=5e-6)


@settings(max_examples=25, deadline=None)
@given(
    pool=st.sampled_from(POOLS),
    bidirectional=st.booleans(),
    layers=st.integers(1, 2),
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    output=st.sampled_from(["logits", "probabilities", "outputs"]),
)
def test_a_case_has_the_same_numbers_alone_and_in_any_batch(pool, bidirectional, layers, lengths, output):
    model = random_model(Network(3, 5, 2, layers, bidirectional, pool))
    random = np.random.default_rng(len(lengths))
    series = [random.normal(size=(T, 3)) for T in lengths]
    together, state = model.run(series, output=output)
    for n, one in enumerate(series):
        alone, state_alone = model.run([one], output=output)
        inside = together[n, : len(one)] if output == "outputs" else together[n]
        np.testing.assert_allclose(inside, alone[0], rtol=1e-6, atol=1e-6)
        for whole, single in zip(state, state_alone, strict=True):
            for (c, h), (c_alone, h_alone) in zip(whole, single, strict=True):
                np.testing.assert_allclose(c[n], c_alone[0], rtol=1e-6, atol=1e-6)
                np.testing.assert_allclose(h[n], h_alone[0], rtol=1e-6, atol=1e-6)
    if output == "outputs":
        assert all((together[n, T:] == 0).all() for n, T in enumerate(lengths))


@pytest.mark.parametrize("kind", ["pool", "head"])
def test_pooling_and_head_have_the_same_bits_in_any_batch(kind):
    from quadgate.kernels.pooling import dense, pool

    random = np.random.default_rng(0)
    outputs = random.normal(size=(13, 37, 64)).astype(np.float32)
    query, weights = (random.normal(size=shape).astype(np.float32) for shape in ((64,), (64, 5)))
    lengths = random.integers(0, 38, 13)
    outputs[np.arange(37) >= lengths[:, None]] = 0
    for n in range(13):
        one = slice(n, n + 1)
        if kind == "head":
            np.testing.assert_array_equal(dense(outputs[:, 0], weights)[one], dense(outputs[one, 0], weights))
            continue
        for name in ("mean", "max", "attention"):
            given_query = query if name == "attention" else None
            together = pool(outputs, outputs[:, 0], lengths, name, given_query)[one]
            alone = pool(outputs[one, : lengths[n]], outputs[one, 0], lengths[one], name, given_query)
            np.testing.assert_array_equal(together, alone)


def test_chunks_with_the_state_carried_on_are_the_whole():
    model = random_model(Network(3, 4, 2, layers=2))
    x = np.random.default_rng(0).normal(size=(2, 9, 3))
    whole, final = model.run(x, output="outputs")
    first, state = model.run(x[:, :4], output="outputs")
    second, end = model.run(x[:, 4:], state=state, output="outputs")
    np.testing.assert_allclose(np.concatenate([first, second], 1), whole, rtol=0, atol=1e-6)
    np.testing.assert_allclose(end[1][0][0], final[1][0][0], rtol=0, atol=1e-6)


def test_scaling_comes_first_and_not_past_the_end():
    network = Network(2, 3, 2, pool="mean", bidirectional=True)
    scaling = Scaling(mean=[5.0, -1.0], scale=[2.0, 10.0])
    plain, scaled = random_model(network), random_model(network, scaling=scaling)
    x = np.random.default_rng(0).normal(size=(2, 6, 2))
    np.testing.assert_allclose(
        scaled.run(x, [6, 3])[0], plain.run((x - scaling.mean) / scaling.scale, [6, 3])[0], atol=1e-6
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_numbers_of_another_width_give_float32(dtype):
    network = Network(3, 4, 2, layers=2, bidirectional=True, pool="attention")
    single = random_model(network)
    other = Model(network, {name: array.astype(dtype) for name, array in single.variables.items()})
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    for output in ("logits", "probabilities", "outputs"):
        result, _ = other.run(x, output=output)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, single.run(x, output=output)[0], atol=2e-2 if dtype == np.float16 else 1e-6)


def test_probabilities_of_large_logits():
    model = random_model(Network(1, 1, 2))
    model.variables["out/biases"][:] = [1e4, -1e4]
    np.testing.assert_array_equal(model.run(np.zeros((1, 2)), output="probabilities")[0], [[1, 0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": "logit"}, "did you mean 'logits'"),
        ({"state": ()}, r"found \[\] directions by layer, expected \[1, 1\]"),
        ({"state": (((np.zeros((1, 4)), np.zeros((1, 4))),),) * 2}, r"state\[0\]\[0\]: found c of shape \(1, 4\)"),
        ({"x": np.zeros((2, 3, 5))}, "found 5 channels"),
    ],
)
def test_what_does_not_fit(change, message):
    model = random_model(Network(3, 4, 2, layers=2))
    with pytest.raises(InputError, match=message):
        model.run(**({"x": np.zeros((2, 5, 3))} | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ("a", "b", "c")}, "labels: found 3, expected 2"),
        ({"channels": ("x",)}, "channels: found 1, expected 3"),
        ({"scaling": Scaling([0.0], [1.0])}, "scaling: found 1, expected 3"),
        ({"network": None}, "neither a network nor cells"),
        ({"variables": {}}, "variable .*: not found"),
        ({"variables": {"out/weights": np.zeros((2, 4), np.float32)}}, r"found shape \(2, 4\), expected \(4, 2\)"),
    ],
)
def test_a_model_whose_parts_do_not_fit(change, message):
    network = Network(3, 4, 2)
    variables = {name: np.zeros(shape, np.float32) for name, shape in network.shapes.items()}
    parts = {"network": network, "variables": variables} | change
    if change.get("variables"):
        parts["variables"] = variables | change["variables"]
    with pytest.raises(InputError, match=message):
        Model(**parts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": 0}, "inputs: found 0"),
        ({"layers": 0}, "layers: found 0"),
        ({"classes": 0}, "classes: found 0"),
        ({"pool": "mena"}, "did you mean 'mean'"),
        ({"activation": "tanhh"}, "did you mean 'tanh'"),
    ],
)
def test_networks_that_do_not_exist(change, message):
    with pytest.raises(InputError, match=message):
        Network(**({"inputs": 3, "units": 4, "classes": 2} | change))


@pytest.mark.parametrize("bad", [([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]]), ([np.nan], [1.0]), ([0.0], [0.0])])
def test_scalings_that_cannot_be(bad):
    with pytest.raises(InputError, match="scaling: found"):
        Scaling(*bad)


@pytest.mark.parametrize(
    "network",
    [
        Network(3, 4, 2),
        Network(3, 4, None, layers=3, activation="relu"),
        Network(3, 4, 2, layers=2, bidirectional=True, pool="attention", forget_bias=0.0),
    ],
)
def test_a_network_is_recognised_by_its_cells(network):
    assert Network.describing(network.cells, network.head) == network
