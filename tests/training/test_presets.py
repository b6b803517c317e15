"""What the presets add to one network: patches, convolutions, several members, answers after every step."""

import numpy as np
import pytest
import torch

from quadgate.data import make_sequences
from quadgate.errors import FileFormatError, InputError
from quadgate.explain import TrainingCases, final_states
from quadgate.formats import load, load_network
from quadgate.model import Ensemble, Model, Patches
from quadgate.modules import LSTMFCN, SequenceClassifier
from quadgate.modules.exchange import to_member
from quadgate.modules.pooling import pooled, running
from quadgate.training import Callback, Settings, StoppedError, loop, preset, train
from quadgate.training.augmentation import warped
from quadgate.training.checkpoint import Position, State
from quadgate.training.divergence import where_it_began
from small_training import assert_same_bits

SMALL = preset("best").changed(units=4, filters=5, frames=8, members=2, steps=6, batches=2, epochs=2, seed=3)


def made(cases=24, steps=(30, 41)):
    return make_sequences(cases, time=steps, channels=3, seed=1)


def numbers(model):
    return {name: np.asarray(array) for name, array in model.variables.items()}


class Stop(Callback):
    def __init__(self, epochs):
        self.left = epochs

    def on_epoch(self, *_):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def stopped(settings, folder, epochs):
    with pytest.raises(StoppedError):
        train(made(), settings, folder, callbacks=[Stop(epochs)])
    return train(made(), settings, folder, resume=True)


@pytest.mark.parametrize("epochs", [1, 3, 4])
def test_an_ensemble_is_resumed_to_the_same_bits_and_comes_back_from_its_file(tmp_path, epochs):
    whole = train(made(), SMALL, tmp_path / "whole")
    assert isinstance(whole.model, Ensemble)
    stages = [record.stage for record in whole.history.epochs]
    assert stages == ["refit"] * 3 + ["network 2 refit"] * 3
    again = stopped(SMALL, tmp_path / "cut", epochs)
    assert_same_bits(numbers(whole.model), numbers(again.model))
    loaded = load(tmp_path / "cut")
    assert_same_bits(numbers(whole.model), numbers(loaded))
    x = list(made().series)
    together = loaded.run(x, output="probabilities")[0]
    np.testing.assert_array_equal(together, np.concatenate([loaded.run([one], output="probabilities")[0] for one in x]))
    np.testing.assert_array_equal(together, whole.model.run(x, output="probabilities")[0])
    with pytest.raises(InputError, match="found an ensemble"):
        load_network(tmp_path / "cut")
    kept = TrainingCases.load(tmp_path / "cut")
    np.testing.assert_array_equal(kept.states, final_states(whole.model, x))
    assert kept.labels == tuple(made().labels.tolist())
    assert kept.names[5] == "case 5"


def test_a_damaged_ensemble_is_refused(tmp_path):
    train(made(), SMALL, tmp_path)
    file = tmp_path / "model.safetensors"
    whole = file.read_bytes()
    for old, new in (
        (b"stride", b"strode"),
        (b"convolution_1/kernel", b"convolution_9/kernel"),
        (b"[3, 3]", b"[3, 4]"),
    ):
        assert old in whole
        file.write_bytes(whole.replace(old, new))
        with pytest.raises(FileFormatError, match=r"model\.safetensors") as caught:
            load(tmp_path)
        assert "\n" not in str(caught.value)


def test_a_trained_lstm_fcn_is_the_same_without_torch():
    torch.manual_seed(0)
    module = LSTMFCN(SequenceClassifier(3, 4, classes=3, bidirectional=True, pool="mean"), filters=5)
    x, lengths = torch.randn(6, 20, 3), torch.tensor([20, 3, 11, 1, 20, 7])
    for _ in range(5):  # moves the running mean and variance
        module(x * 2 + 1, lengths)
    module.eval()
    expected = module(x, lengths).detach().numpy()
    poisoned = torch.where((torch.arange(20) < lengths[:, None])[:, :, None], x, torch.nan)
    np.testing.assert_array_equal(module(poisoned, lengths).detach().numpy(), expected)
    ensemble = Ensemble((to_member(module),))
    found = ensemble.run([one[:n].numpy() for one, n in zip(x, lengths, strict=True)])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("T", "patches"), [(1, 1), (7, 1), (8, 1), (9, 2), (12, 2), (13, 3), (97, 24)])
def test_every_step_is_in_a_patch(T, patches):
    x = np.arange(1.0, 2 * T + 1).reshape(T, 2)
    cut = Patches(8, 4).apply(x)
    assert cut.shape == (patches, 16)
    assert set(x.ravel()) <= set(cut.ravel())
    np.testing.assert_array_equal(cut[0].reshape(8, 2)[: min(T, 8)], x[:8])


@pytest.mark.parametrize("pool", ["last", "mean", "max", "attention"])
def test_the_running_pool_is_the_pool_of_the_series_so_far(pool):
    torch.manual_seed(1)
    outputs, query = torch.randn(3, 9, 4), torch.randn(4)
    after = running(outputs, pool, query)
    for t in range(9):
        so_far = outputs[:, : t + 1]
        torch.testing.assert_close(after[:, t], pooled(so_far, so_far[:, -1], None, pool, query))


def test_the_stream_preset_answers_early():
    settings = preset("stream").changed(units=12, epochs=15, seed=1)
    run = train(make_sequences(120, time=60, channels=2, seed=1), settings)
    assert isinstance(run.model, Model)
    judged = make_sequences(60, time=60, channels=2, seed=2)
    right = np.array(
        [run.model.stream().run(one).argmax(1) == k for one, k in zip(judged.series, judged.labels, strict=True)]
    )
    assert right[:, -1].mean() >= 0.95
    assert right[:, 29].mean() >= 0.9
    for bad in ({"bidirectional": True}, {"frames": 9}, {"filters": 3}):
        with pytest.raises(InputError, match="every_step"):
            settings.changed(**bad)


@pytest.mark.parametrize(
    "change",
    [
        {"average": 0.9},
        {"accumulate": 3},
        {"searches": 2, "refit": True},
        {"precision": "float64"},
        {"warp": 0.3},
        {"scale": 0.1},
        {"chunk": 5, "bidirectional": False},
    ],
    ids=str,
)
def test_a_setting_changes_the_training_and_resumes_exactly(tmp_path, change):
    plain = Settings(
        least_valid=0,
        units=4,
        epochs=3,
        steps=12,
        batch_size=8,
        seed=5,
        refit=False,
        frames=0,
        pool="mean",
        noise=0.0,
        dropout=0.0,
    )
    settings = plain.changed(**change)
    whole = train(made(), settings, tmp_path / "whole")
    again = stopped(settings, tmp_path / "cut", 2)
    assert_same_bits(numbers(whole.model), numbers(again.model))
    expected, found = (
        numbers(train(made(), plain.changed(bidirectional=settings.bidirectional)).model),
        numbers(whole.model),
    )
    gap = max(abs(found[name] - expected[name]).max() for name in expected)
    if "accumulate" in change or "precision" in change:  # the same but for rounding
        assert gap < 1e-3
    else:
        assert gap > 1e-3


def test_warping_keeps_the_ends_the_order_and_the_padding():
    torch.manual_seed(0)
    lengths = torch.tensor([50, 2, 1, 33])
    rise = torch.arange(50.0).expand(4, 50)[:, :, None].clone()
    result = warped(rise, lengths, 0.7 * torch.rand(4, 1), 0.5 + torch.rand(4, 1))
    for one, before, n in zip(result[:, :, 0], rise[:, :, 0], lengths.tolist(), strict=True):
        assert one[0] == 0
        assert one[n - 1].item() == pytest.approx(n - 1, abs=1e-3)
        assert (one[1:n] > one[: n - 1]).all()
        assert torch.equal(one[n:], before[n:])
    assert (result[0] - rise[0]).abs().max() > 0.5


def test_a_number_that_is_not_finite_is_traced_to_its_layer_and_step():
    torch.manual_seed(0)
    module = SequenceClassifier(2, 3, layers=2, activation="relu")
    x, lengths = torch.randn(2, 9, 2), torch.tensor([9, 7])
    assert where_it_began(module, x, lengths) == "every layer's output is finite, so it began in the loss"
    x[1, 4, 0] = torch.inf
    assert where_it_began(module, x, lengths) == "it began in the input at step 4 (of 7)"
    x[1, 4, 0] = 3e38
    with torch.no_grad():
        module.forward_layers[0].kernel.fill_(3.0)
    assert where_it_began(module, x, lengths) == "it began in forward_layers.0 at step 4 (of 7)"
    with torch.no_grad():
        module.forward_layers[1].bias[0] = torch.nan
    assert where_it_began(module, x, lengths).startswith("the weights forward_layers.1.bias are not finite")


def test_a_lack_of_memory_is_answered_with_a_batch_size(monkeypatch):
    def lack(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(SequenceClassifier, "encode", lack)
    module = SequenceClassifier(3)
    state = State(module, loop.make_optimizer(module, Settings()), Position(), {})
    with pytest.raises(InputError, match=r"batch_size: 6 cases of 9 steps .* try --batch-size 3, or --accumulate 2"):
        loop.train_step(state, torch.zeros(6, 9, 3), torch.full((6,), 9), torch.zeros(6).long(), 0.1, Settings())


def test_what_is_announced_is_what_was_trained():
    said = []
    run = train(made(), SMALL, announce=said.append)
    assert run.parameters == said[0].parameters
    assert f"{run.parameters:,} numbers" in said[0].lines()[0]
