import numpy as np
import pytest

from networks import model_of, network
from quadgate.cell import GRUParameters
from quadgate.errors import InputError
from quadgate.explain.contribution import _log_odds, _logits, _slope, contribution
from quadgate.model import Scaling


@pytest.mark.parametrize("pool", ["last", "mean", "max", "attention"])
def test_the_slope_is_that_of_small_differences(pool):
    model = network(pool=pool, layers=2, bidirectional=True, classes=3)
    x = np.random.default_rng(1).normal(size=(1, 5, 3))
    slope = _slope(model, x, 1)[0]
    for step, channel in ((0, 0), (2, 1), (4, 2)):
        moved = np.repeat(x, 2, axis=0)
        moved[0, step, channel] += 1e-5
        moved[1, step, channel] -= 1e-5
        up, down = _log_odds(_logits(model, moved), 1)
        assert slope[step, channel] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-8)


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
    before, after = _log_odds(_logits(model, np.stack([series, hidden])), 0)
    np.testing.assert_allclose(found.occlusion[4:6, 1], before - after)


def test_a_gru_is_attributed_too_and_layers_alone_are_refused():
    rng = np.random.default_rng(0)
    gru = GRUParameters(rng.normal(size=(3, 2, 4)), rng.normal(size=(3, 4, 4)))
    found = contribution(model_of((gru,), layout="torch.nn.GRU", head=(4, 2)), rng.normal(size=(6, 2)), 1)
    assert abs(found.missing) < 1e-5
    with pytest.raises(InputError, match="found no classes"):
        contribution(network(classes=None), rng.normal(size=(6, 3)), 1)
