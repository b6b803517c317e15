"""Attribution beside captum's, on the same network as PyTorch computes it, in float64."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
attr = pytest.importorskip("captum.attr", reason="not run: found no captum; pip install 'quadgate[peers]'")

from networks import ensemble, network  # noqa: E402
from quadgate.explain.contribution import contribution  # noqa: E402
from quadgate.layouts import encode  # noqa: E402
from quadgate.model import Scaling  # noqa: E402


def as_torch(model):
    """What gives the logits `[N, K]` of scaled series `[N, T, C]`."""
    first, L = model.cells[0], len(model.cells)
    lstm = torch.nn.LSTM(
        first[0].inputs, first[0].units, L, bidirectional=len(first) == 2, batch_first=True, dtype=torch.float64
    )
    for k, layer in enumerate(model.layers):
        for one in layer:
            for name, array in encode(one, "torch.nn.LSTM").tensors.items():
                getattr(lstm, name.replace("_l0", f"_l{k}")).data = torch.from_numpy(array.astype("f8"))
    weights, biases = (torch.from_numpy(model.variables[f"out/{name}"].astype("f8")) for name in ("weights", "biases"))
    pool = model.head.pool

    def logits(x):
        outputs, (h, _) = lstm(x)
        last = h[-2:].transpose(0, 1).flatten(1) if lstm.bidirectional else h[-1]
        return {"last": last, "mean": outputs.mean(1), "max": outputs.max(1).values}[pool] @ weights + biases

    return logits


def patches_of(cut, x):
    T = x.shape[1]
    starts = range(0, max(1, -(-(T - cut.length) // cut.stride) + 1) * cut.stride, cut.stride)
    filled = torch.nn.functional.pad(x, (0, 0, 0, starts[-1] + cut.length - T))
    return torch.stack([filled[:, start : start + cut.length].flatten(1) for start in starts], dim=1)


def log_odds(probabilities, target):
    p = probabilities[:, target]
    return torch.log(p / (1 - p))


MODELS = {
    "last": lambda: network(classes=3),
    "mean, two layers, both directions": lambda: network(classes=3, layers=2, bidirectional=True, pool="mean"),
    "max": lambda: network(classes=3, pool="max"),
    "an ensemble on patches": lambda: ensemble(3, 4, 3, inputs=3, classes=3, pool="mean"),
}


@pytest.mark.parametrize("name", MODELS)
def test_integrated_gradients_and_occlusion_are_those_of_captum(name):
    model, target = MODELS[name](), 1
    series = np.random.default_rng(5).normal(size=(12, 3))
    if name == "last":
        model = type(model)(model.network, model.variables, scaling=Scaling([1.0, -1.0, 0.0], [2.0, 0.5, 1.0]))
    if "ensemble" in name:
        logits = [as_torch(member.model) for member in model.members]

        def answer(x):
            read = patches_of(model.patches, x)
            return log_odds(torch.stack([torch.softmax(one(read), 1) for one in logits]).mean(0), target)
    else:
        plain = as_torch(model)

        def answer(x):
            return log_odds(torch.softmax(plain(x), 1), target)

    scaled = series if model.scaling is None else (series - model.scaling.mean) / model.scaling.scale
    x = torch.from_numpy(scaled)[None]
    found = contribution(model, series, target, points=32, windows=4)
    expected = attr.IntegratedGradients(answer).attribute(
        x, torch.zeros_like(x), n_steps=32, method="gausslegendre", internal_batch_size=32
    )
    np.testing.assert_allclose(found.gradients, expected[0].detach().numpy(), rtol=1e-6, atol=1e-8)
    hidden = attr.Occlusion(answer).attribute(x, sliding_window_shapes=(3, 1), strides=(3, 1), baselines=0.0)
    np.testing.assert_allclose(found.occlusion, hidden[0].detach().numpy(), rtol=1e-6, atol=1e-8)
