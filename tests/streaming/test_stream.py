import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from networks import ensemble
from quadgate import load, save
from quadgate.errors import FileFormatError, InputError
from quadgate.kernels import explain_choice
from quadgate.model import Model, Network, Scaling
from quadgate.model.network import POOLS
from quadgate.streaming import SharedStreams, StreamState

COMPILED = explain_choice().implementation == "compiled"


def model_of(network: Network, seed: int = 0, dtype=np.float32, **described) -> Model:
    random = np.random.default_rng(seed)
    variables = {name: random.normal(size=shape).astype(dtype) for name, shape in network.shapes.items()}
    return Model(network, variables, **described)


def same(found, expected):
    """Equal bit for bit on the compiled kernels; in NumPy a product's rounding depends on the batch."""
    found, expected = np.asarray(found), np.asarray(expected)
    if COMPILED:
        assert found.tobytes() == np.ascontiguousarray(expected).tobytes()
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def scaling_of(C: int, seed: int = 3) -> Scaling:
    random = np.random.default_rng(seed)
    return Scaling(random.normal(size=C), random.uniform(0.1, 10, C))


@settings(max_examples=60, deadline=None)
@given(
    C=st.sampled_from([1, 3, 12]),
    H=st.sampled_from([1, 7, 8, 17, 64]),
    K=st.sampled_from([1, 2, 17, 40]),
    layers=st.integers(1, 3),
    pool=st.sampled_from(POOLS),
    output=st.sampled_from(["logits", "probabilities", "outputs", None]),
    scaled=st.booleans(),
    steps=st.integers(1, 40),
    chunk=st.sampled_from([1, 3, 7, 100]),
    dtype=st.sampled_from([np.float32, np.float64]),
    weights=st.sampled_from([np.float32, np.float64]),
    activation=st.sampled_from(["tanh", "relu"]),
    seed=st.integers(0, 5),
)
def test_after_every_sample_the_answer_of_the_batch(
    C, H, K, layers, pool, output, scaled, steps, chunk, dtype, weights, activation, seed
):
    assume(K > 1 or output != "probabilities")  # one output is a quantity
    network = Network(C, H, K, layers, pool=pool, activation=activation)
    model = model_of(network, seed, weights, scaling=scaling_of(C) if scaled else None)
    x = (0.3 * np.random.default_rng(seed).normal(size=(steps, C))).astype(dtype)
    stream = model.stream(output)
    answers = np.concatenate([stream.run(x[begin : begin + chunk]) for begin in range(0, steps, chunk)])
    if output == "outputs":
        same(answers, model.run(x[None], output=output)[0][0])
    else:
        for t in {1, steps // 2 + 1, steps}:
            same(answers[t - 1], model.run(x[None, :t], output=output)[0][0])
    stream.reset()
    same(np.stack([stream.step(row) for row in x]), answers)
    final = model.run(x[None])[1]
    for layer, expected in zip(stream.state.layers, final, strict=True):
        for array, one in zip(layer, expected[0], strict=True):
            same(array, one)


@pytest.mark.parametrize("n", [1, 3, 32, 33, 70])
@pytest.mark.parametrize("pool", POOLS)
def test_many_streams_are_each_as_if_alone(n, pool):
    model = model_of(Network(3, 17, 4, layers=2, pool=pool), scaling=scaling_of(3))
    x = np.random.default_rng(1).normal(size=(n, 67, 3)).astype(np.float32)
    streams = model.streams(n, "probabilities")
    answers = np.concatenate([streams.run(x[:, :40]), np.stack([streams.step(x[:, t]) for t in range(40, 67)], 1)], 1)
    for k in {0, n // 2, n - 1}:
        same(answers[k], model.stream("probabilities").run(x[k]))
    same(answers[:, -1], model.run(x, output="probabilities")[0])
    assert len(streams) == n


@pytest.mark.parametrize("which", [[1, 4], np.array([False, True, False, False, True])])
def test_a_reset_is_of_the_streams_that_are_named(which):
    model = model_of(Network(3, 5, 2, pool="attention"))
    x = np.random.default_rng(1).normal(size=(5, 9, 3))
    streams = model.streams(5)
    streams.run(x)
    kept = streams.state
    streams.reset(which)
    fresh, going_on = model.streams(5), model.streams(5)
    going_on.state = kept
    found, new, old = streams.run(x), fresh.run(x), going_on.run(x)
    for k in range(5):
        same(found[k], new[k] if k in (1, 4) else old[k])


def gru_model(folder) -> Model:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    torch.save(torch.nn.GRU(3, 6, 2).state_dict(), folder / "gru.pt")
    return load(folder / "gru.pt")


def test_a_gru_too(tmp_path):
    model = gru_model(tmp_path)
    x = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    stream = model.stream()
    same(stream.run(x), model.run(x[None])[0][0])
    stream.reset()
    same(np.stack([stream.step(row) for row in x]), model.run(x[None])[0][0])
    assert [len(layer) for layer in stream.state.layers] == [1, 1]


def test_a_state_is_a_value():
    model = model_of(Network(3, 5, 2, pool="mean"))
    x = np.random.default_rng(1).normal(size=(20, 3))
    stream = model.stream()
    stream.run(x[:7])
    kept = stream.state
    expected = stream.run(x[7:])
    stream.state = kept
    same(stream.run(x[7:]), expected)
    other = model.stream()
    other.state = StreamState.from_bytes(kept.to_bytes())
    same(other.run(x[7:]), expected)
    many = model.streams(3)
    many.run(np.stack([x, 2 * x, 3 * x])[:, :7])
    other.state = many.state.rows([0])
    same(other.run(x[7:]), expected)


def test_a_state_moves_to_another_process(tmp_path):
    model = model_of(Network(3, 5, 2, layers=2, pool="attention"), scaling=scaling_of(3))
    save(model, tmp_path / "model.safetensors")
    x = np.random.default_rng(1).normal(size=(20, 3))
    np.save(tmp_path / "x.npy", x[11:])
    stream = load(tmp_path / "model.safetensors").stream()
    stream.run(x[:11])
    stream.state.save(tmp_path / "state")
    program = (
        "import sys; sys.modules['torch'] = None; import numpy as np, quadgate;"
        "from quadgate.streaming import SharedStreams, StreamState;"
        "s = quadgate.load('model.safetensors').stream(); s.state = StreamState.load('state');"
        "np.save('y.npy', s.run(np.load('x.npy')))"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    same(np.load(tmp_path / "y.npy"), stream.run(x[11:]))


def test_states_that_do_not_fit(tmp_path):
    model = model_of(Network(3, 5, 2))
    stream = model.stream()
    before = stream.run(np.ones((2, 3)))
    with pytest.raises(InputError, match="another model"):
        stream.state = model_of(Network(3, 5, 2), seed=1).stream().state
    with pytest.raises(InputError, match="as many streams"):
        stream.state = model.streams(2).state
    data = stream.state.to_bytes()
    for bad in (b"", data[:50], data[:-3], b"x" * 100, data.replace(b"quadgate_stream", b"quadgate_strean")):
        with pytest.raises(FileFormatError, match=r"the state of a stream|state: "):
            StreamState.from_bytes(bad)
    with pytest.raises(FileFormatError, match="format_version 2"):
        StreamState.from_bytes(data.replace(b'format_version\\": 1', b'format_version\\": 2'))
    with pytest.raises(FileFormatError, match="No such file"):
        StreamState.load(tmp_path / "none")
    stream.reset()
    same(stream.run(np.ones((2, 3))), before)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(4), r"found shape \(4,\), expected \(3\)"),
        (np.zeros((1, 3)), r"found shape \(1, 3\)"),
        ([1.0, np.nan, 0.0], "found nan at channel 1"),
        (np.array([0, 0, -np.inf], np.float32), "found -inf at channel 2"),
        (np.array([1e39, 0, 0]), r"found 1e\+39 at channel 0, expected finite numbers within float32"),
        (["a", "b", "c"], "found dtype <U1"),
        ([[1.0], [1.0, 2.0], 3], "unequal lengths"),
        (np.zeros(3, complex), "found dtype complex128"),
    ],
)
def test_samples_that_are_none(x, message):
    model = model_of(Network(3, 5, 2, pool="mean"))
    stream = model.stream()
    stream.step(np.ones(3))
    with pytest.raises(InputError, match=message):
        stream.step(x)
    same(stream.step(np.ones(3)), model.run(np.ones((1, 2, 3)))[0][0])


def test_a_bad_sample_in_a_chunk_is_named_and_nothing_is_taken():
    model = model_of(Network(3, 5, 2))
    streams = model.streams(2)
    x = np.zeros((2, 100, 3))
    x[1, 99, 2] = np.nan
    with pytest.raises(InputError, match="found nan at stream 1, step 99, channel 2"):
        streams.run(x)
    assert not any(array.any() for layer in streams.state.layers for array in layer)


def test_every_kind_of_array_and_a_number_for_one_channel():
    model = model_of(Network(2, 5, 2))
    expected = model.stream().step(np.array([1.0, 2.0]))
    for x in (
        [1, 2],
        np.array([1, 2], np.int64),
        np.arange(1, 5)[::2] * [1, 0.6666666666666666],
        np.array([2.0, 1.0])[::-1],
    ):
        np.testing.assert_allclose(model.stream().step(x), expected, rtol=1e-6)
    one = model_of(Network(1, 5, 2))
    same(one.stream().step(0.5), one.stream().step(np.array([0.5])))
    same(one.streams(2).step([0.5, 1.0])[1], one.stream().step([1.0]))


@pytest.mark.parametrize("out", [np.empty(3, np.float32), np.empty(2), np.empty((1, 2), np.float32), [0, 0]])
def test_places_for_the_answer_that_do_not_fit(out):
    if isinstance(out, list) and not COMPILED:
        pytest.skip("NumPy's steps write to arrays alone")
    with pytest.raises(InputError, match=r"out: expected a dense float32 array that can be written, of shape \(2,\)"):
        model_of(Network(3, 5, 2)).stream().step(np.zeros(3), out)


def test_the_answer_is_written_where_it_is_wanted():
    stream, out = model_of(Network(3, 5, 2)).stream(), np.empty(2, np.float32)
    assert stream.step(np.zeros(3), out) is out


def test_what_cannot_be_streamed():
    with pytest.raises(InputError, match=r"reads in both directions.*model\.run.*--preset stream"):
        model_of(Network(3, 5, 2, bidirectional=True)).stream()
    with pytest.raises(InputError, match="did you mean 'logits'"):
        model_of(Network(3, 5, 2)).stream("logit")
    with pytest.raises(InputError, match="expected 'outputs'"):
        model_of(Network(3, 5, None)).stream("logits")
    with pytest.raises(InputError, match="streams: found 0"):
        model_of(Network(3, 5, 2)).streams(0)


def test_without_the_compiled_kernels(monkeypatch):
    from quadgate.kernels import choice, head
    from quadgate.streaming import engine

    x = np.random.default_rng(1).normal(size=(4, 30, 3))
    for pool in POOLS:
        model = model_of(Network(3, 5, 2, layers=2, pool=pool), scaling=scaling_of(3))
        expected = model.streams(4, "probabilities").run(x)
        with monkeypatch.context() as patch:
            for room in (choice, head, engine):
                patch.setattr(room, "explain_choice", lambda: choice.Choice("NumPy", True, "asked for"))
            streams = model.streams(4, "probabilities")
            found = np.concatenate([streams.run(x[:, :20]), streams.step(x[:, 20])[:, None], streams.run(x[:, 21:])], 1)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(model.run(x, output="probabilities")[0], expected[:, -1], rtol=1e-4, atol=1e-5)
            with pytest.raises(InputError, match="found nan at stream 0, channel 1"):
                streams.step(np.full((4, 3), [0, np.nan, 0]))


@pytest.mark.skipif(not COMPILED, reason="the bits of NumPy's products depend on the batch")
@pytest.mark.parametrize("pool", POOLS)
def test_silence_and_decay_into_the_smallest_numbers_give_the_same_bits(pool):
    network = Network(2, 9, 2, pool=pool, forget_bias=0.0)
    random = np.random.default_rng(0)
    model = Model(
        network,
        {
            name: np.zeros(shape, np.float32) if "bias" in name else random.normal(size=shape).astype(np.float32) / 4
            for name, shape in network.shapes.items()
        },
    )
    x = np.zeros((2000, 2), np.float32)
    x[0] = 1e-3
    x[5:9] = 1e-42
    stream = model.stream()
    answers = np.stack([stream.step(row) for row in x])
    same(answers[-1], model.run(x[None])[0][0])
    assert np.isfinite(answers).all()


DAY = 8_640_000  # steps, 100 a second


@pytest.fixture(scope="module")
def day():
    """A model, samples that are repeated for a day, and the answer of one batch that holds them all."""
    model = model_of(Network(2, 8, 2, pool="attention"), scaling=scaling_of(2))
    block = np.random.default_rng(0).normal(size=(100_000, 2)).astype(np.float32)
    series = np.resize(block, (1, DAY, 2))
    return model, block, model.run(series)[0][0]


def resident_pages():
    return int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.long
@pytest.mark.skipif(not COMPILED, reason="the bits of NumPy's products depend on the batch")
@pytest.mark.parametrize("chunk", [1, 7, 820, 4096, 100_000])
def test_a_day_of_samples(day, chunk):
    """The state is finite, memory is flat, and the last answer is that of the batch, however the day is cut."""
    model, block, expected = day
    stream, out = model.stream(), np.empty((chunk, 2), np.float32)
    before = 0
    for begin in range(0, DAY, len(block)):
        x = block[: min(len(block), DAY - begin)]
        for k in range(0, len(x), chunk):
            part = x[k : k + chunk]
            last = stream.run(part, out[: len(part)])[-1].copy()
        if begin == 1_000_000:
            before = resident_pages()
    same(last, expected)
    assert all(np.isfinite(array).all() for layer in stream.state.layers for array in layer)
    assert resident_pages() - before < 256  # a MiB


@settings(max_examples=40, deadline=None)
@given(
    members=st.integers(1, 3),
    patches=st.sampled_from([(1, 1), (4, 2), (4, 4), (5, 3), (12, 1)]),
    layers=st.integers(1, 2),
    pool=st.sampled_from(POOLS),
    output=st.sampled_from(["logits", "probabilities", None]),
    chunk=st.sampled_from([1, 3, 7, 100]),
    steps=st.integers(1, 30),
)
def test_an_ensemble_answers_after_every_sample_as_in_a_batch(members, patches, layers, pool, output, chunk, steps):
    model = ensemble(members, *patches, layers=layers, pool=pool)
    x = np.random.default_rng(steps).normal(size=(3, steps, 2)).astype(np.float32)
    expected = np.stack([model.run(x[:, : t + 1], output=output)[0] for t in range(steps)], axis=1)
    streams = model.streams(3, output)
    parts = [streams.run(x[:, start : start + chunk]) for start in range(0, steps, chunk)]
    same(np.concatenate(parts, axis=1), expected)
    stream = model.stream(output)
    same([stream.step(sample) for sample in x[1]], expected[1])


def test_streams_of_an_ensemble_start_anew_at_different_times_and_move_to_another_process(tmp_path):
    model = ensemble(2, 5, 3)
    x = np.random.default_rng(0).normal(size=(2, 11, 2)).astype(np.float32)
    streams = model.streams(2)
    streams.run(x[:, :4])
    streams.reset([1])
    found = streams.run(x[:, 4:])
    same(found[0], model.stream().run(x[0])[4:])
    same(found[1], model.stream().run(x[1, 4:]))
    save(model, tmp_path / "run")
    first = model.stream()
    first.run(x[0, :7])
    first.state.save(tmp_path / "state")
    second = load(tmp_path / "run").stream()
    second.state = StreamState.load(tmp_path / "state")
    same(second.run(x[0, 7:]), model.stream().run(x[0])[7:])
    with pytest.raises(InputError, match="found one of another model"):
        ensemble(2, 5, 2).stream().state = first.state
    before = first.state
    with pytest.raises(InputError, match="found nan at channel 1"):
        first.step([0.0, np.nan])
    same(first.step(x[0, 7]), model.stream().run(x[0])[7])
    first.state = before
    same(first.step(x[0, 7]), model.stream().run(x[0])[7])


def test_streams_of_an_ensemble_share_places():
    model = ensemble(1, 5, 3)
    shared = SharedStreams(model, 4, "probabilities")
    a, b = shared.open(), shared.open()
    x = np.random.default_rng(0).normal(size=(2, 9, 2)).astype(np.float32)
    found, _ = shared.run([a], x[:1, :4])
    both, _ = shared.run([a, b], np.stack([x[0, 4:8], x[1, :4]]))
    expected = model.stream("probabilities").run(x[0])
    same(np.concatenate([found[0], both[0]]), expected[:8])
    same(both[1], model.stream("probabilities").run(x[1, :4]))


@pytest.mark.parametrize("scaled", [False, True])
def test_shared_streams_refuse_the_samples_of_one_alone(scaled):
    """Among 45 streams, which are computed in parts of 32, 8, 4 and 1, each with a bad one where it has many."""
    model, n = model_of(Network(3, 5, 2, pool="mean"), scaling=scaling_of(3) if scaled else None), 45
    x = np.random.default_rng(1).normal(size=(n, 6, 3)).astype(np.float32)
    shared = SharedStreams(model, 50, "probabilities")
    places = [shared.open() for _ in range(n)]
    bad = x[:, :2].copy()
    bad[7, 1, 2], bad[33, 0, 0] = np.nan, np.inf
    answers, refused = shared.run(places, bad)
    assert {row: str(error).split(",")[0] for row, error in refused.items()} == {
        7: "x: found nan at step 1",
        33: "x: found inf at step 0",
    }
    more, none = shared.run([places[7], places[33]], x[[7, 33], :2])
    assert none == {}
    answers[[7, 33]] = more
    rest, _ = shared.run(places, x[:, 2:])
    same(np.concatenate([answers, rest], 1), model.streams(n, "probabilities").run(x))


def test_an_ensemble_that_needs_steps_to_come_says_so():
    with pytest.raises(InputError, match=r"0/.* reads in both directions.*model\.run.*--preset stream"):
        ensemble(bidirectional=True).stream()
    with pytest.raises(InputError, match=r"network 0: its convolutions look 3 steps ahead.*--preset stream"):
        ensemble(filters=3).streams(2)
