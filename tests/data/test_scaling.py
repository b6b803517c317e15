import numpy as np

from quadgate.data import Sequences, fit_scaling


def test_every_valid_step_counts_once():
    rng = np.random.default_rng(0)
    series = [(rng.normal(size=(T, 3)) * [1, 100, 1e-3] + [5, 1e4, 0]).astype(np.float32) for T in (1, 17, 301)]
    scaling = fit_scaling(Sequences(series))
    steps = np.concatenate(series).astype(np.float64)
    np.testing.assert_allclose(scaling.mean, steps.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scaling.scale, steps.std(axis=0), rtol=1e-12)
    assert scaling.mean.dtype == scaling.scale.dtype == np.float64


def test_a_constant_channel_has_scale_one():
    values = np.zeros((7, 2), np.float32)
    values[:, 0] = 0.1  # its float64 mean over 21 steps rounds, so the variance alone would not be 0
    values[:, 1] = np.arange(7)
    scaling = fit_scaling(Sequences([values] * 3))
    assert scaling.scale[0] == 1
    assert scaling.mean[0] == np.float32(0.1)
    assert scaling.scale[1] == 2


def test_a_large_offset_costs_no_precision():
    steps = 1e6 + np.array([0, 1, 2, 3], np.float32)[:, None]
    np.testing.assert_allclose(fit_scaling(Sequences([steps])).scale, [np.sqrt(1.25)], rtol=1e-12)
