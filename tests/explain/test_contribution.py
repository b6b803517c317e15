import numpy as np
import pytest

from networks import ensemble, model_of, network
from quadgate.cell import GRUParameters
from quadgate.errors import InputError
from quadgate.explain.contribution import contribution
from quadgate.explain.gradients import log_odds, slope
from quadgate.model import Scaling


@pytest.mark.parametrize("pool", ["last", "mean", "max", "attention"])
def test_the_slope_is_that_of_small_differences(pool):
    model = network(pool=pool, layers=2, bidirectional=True, classes=3)
    x = np.random.default_rng(1).normal(size=(1, 5, 3))
    found = slope(model, x, 1)[0]
    for step, channel in ((0, 0), (2, 1), (4, 2)):
        moved = np.repeat(x, 2, axis=0)
        moved[0, step, channel] += 1e-5
        moved[1, step, channel] -= 1e-5
        up, down = log_odds(model, moved, 1)
        assert found[step, channel] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-8)


def test_the_parts_sum_to_the_answer_and_the_answer_is_the_models():
    model = network(pool="mean", classes=3)
    model = type(model)(model.network, model.variables, scaling=Scaling([1.0, -1.0, 0.0], [2.0, 0.5, 1.0]))
    series = np.random.default_rng(2).normal(size=(9, 3))
    found = contribution(model, series, 2)
    p = float(model.run([series], output="probabilities")[0][0, 2])
    assert found.log_odds == pytest.approx(np.log(p / (1 - p)), abs=1e-4)
    assert abs(found.missing) < 1e-6
    assert found.channels.sum() == pytest.approx(found.log_odds - found.baseline, abs=1e-6)
    flat = contribution(model, np.tile([1.0, -1.0, 0.0], (9, 1)), 2)  # the baseline itself
    np.testing.assert_allclose(flat.gradients, 0)
    np.testing.assert_allclose(flat.occlusion, 0, atol=1e-12)


def test_occlusion_is_the_drop_where_a_stretch_is_hidden():
    model = network(pool="last")
    series = np.random.default_rng(3).normal(size=(10, 3))
    found = contribution(model, series, 0, windows=5)
    hidden = series.copy()
    hidden[4:6, 1] = 0
    before, after = log_odds(model, np.stack([series, hidden]), 0)
    np.testing.assert_allclose(found.occlusion[4:6, 1], before - after)


def test_a_gru_is_attributed_too_and_layers_alone_are_refused():
    rng = np.random.default_rng(0)
    gru = GRUParameters(rng.normal(size=(3, 2, 4)), rng.normal(size=(3, 4, 4)))
    found = contribution(model_of((gru,), layout="torch.nn.GRU", head=(4, 2)), rng.normal(size=(6, 2)), 1)
    assert abs(found.missing) < 1e-5
    with pytest.raises(InputError, match="found no classes"):
        contribution(network(classes=None), rng.normal(size=(6, 3)), 1)


@pytest.mark.parametrize("options", [{}, {"pool": "attention", "members": 3}, {"filters": 3, "bidirectional": True}])
def test_an_ensemble_is_attributed_by_its_mean_probabilities(options):
    model = ensemble(**{"members": 2, "pool": "mean", "classes": 3, **options})
    x = np.random.default_rng(1).normal(size=(1, 9, 2))
    found = slope(model, x, 1)[0]
    for step, channel in ((0, 0), (3, 1), (5, 0), (8, 1)):
        moved = np.repeat(x, 2, axis=0)
        moved[0, step, channel] += 1e-5
        moved[1, step, channel] -= 1e-5
        up, down = log_odds(model, moved, 1)
        assert found[step, channel] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-8)
    told = contribution(model, x[0], 1)
    p = float(model.run(x, output="probabilities")[0][0, 1])
    assert told.log_odds == pytest.approx(np.log(p / (1 - p)), abs=1e-4)
    assert abs(told.missing) < (0.02 if "filters" in options else 1e-6)  # a rectifier bends


def test_a_probability_that_rounds_to_one_keeps_its_distance():
    model = network(classes=2, pool="mean")
    for name in ("out/weights", "out/biases"):
        model.variables[name][...] *= 4e3
    x = np.random.default_rng(0).normal(size=(1, 5, 3))
    p = model.run(x, output="probabilities")[0][0].max()
    assert p == 1
    target = int(model.run(x)[0][0].argmax())
    logits = np.sort(model.run(x)[0][0])
    assert log_odds(model, x, target)[0] == pytest.approx(logits[1] - logits[0], rel=1e-4)
    assert np.isfinite(slope(model, x, target)).all()
