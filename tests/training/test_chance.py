import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from quadgate.data import Sequences, make_sequences
from quadgate.errors import InputError
from quadgate.training import Settings, train
from small_training import assert_same_bits

DRAWING = Settings(units=3, batch_size=6, batches=1, epochs=4, steps=0, dropout=0.4, noise=0.1, valid_fraction=0.0)


def trained(seed):
    cases = make_sequences(18, time=20, channels=2, seed=1)
    return {name: np.asarray(a) for name, a in train(cases, DRAWING.changed(seed=seed)).model.variables.items()}


def test_fits_in_threads_are_what_they_are_alone_and_leave_the_caller_s_generator():
    before = torch.get_rng_state()
    alone = [trained(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(trained, range(4)))
    for one, other in zip(alone, together, strict=True):
        assert_same_bits(one, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            1e9 + np.arange(18),
            "y: found values from 1000000000.0 to 1000000017.0, which float32 (in steps of 64 there)",
        ),
        (1e200 * np.arange(18), "y: found 1.7e+201, expected at most 3.40282e+38, the largest of float32; divide it"),
    ],
)
def test_a_quantity_that_float32_does_not_hold_is_refused(values, said):
    cases = make_sequences(18, time=20, channels=2, seed=1)
    with pytest.raises(InputError, match=re.escape(said)):
        train(Sequences(cases.series, values=values), DRAWING)


def test_a_quantity_that_is_always_the_same_is_learned():
    cases = make_sequences(18, time=20, channels=2, seed=1)
    run = train(Sequences(cases.series, values=np.full(18, 0.1 + 0.2)), DRAWING)
    assert np.isfinite(run.model.run(list(cases.series))[0]).all()
