import numpy as np
import pytest

from quadgate.data import batches
from quadgate.data.parquet.dealing import owners, readers

RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def the_same_numbers_in_any_order():
    RNG.bit_generator.state = np.random.default_rng(5).bit_generator.state


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 5, 8, 11, 16])
@pytest.mark.parametrize("groups", [1, 2, 3, 7, 8, 16])
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.9])
def test_every_process_reads_about_its_share(processes, groups, spread):
    cases = np.maximum(1, (100 * (1 + spread * RNG.uniform(-1, 1, groups)))).astype(int).tolist()
    reading = readers(cases, processes)
    assert all(reading)
    for rank in range(processes):
        own = [size for size, ranks in zip(cases, reading, strict=True) if rank in ranks]
        assert own
        assert sum(own) <= sum(cases) / processes * 1.05 + 2 * max(cases)
    if spread < 0.1 and groups % processes == 0:
        assert sorted(reading) == sorted([(rank,) for rank in range(processes)] * (groups // processes))


@pytest.mark.parametrize(("processes", "groups"), [(2, 8), (4, 8), (8, 8), (3, 8), (5, 8), (16, 8), (2, 5), (3, 1)])
def test_every_process_has_about_as_many_cases_of_every_batch(processes, groups):
    cases = RNG.integers(95, 105, groups).tolist()
    reading = readers(cases, processes)
    of = np.repeat(np.arange(groups), cases)
    lengths = RNG.integers(50, 90, len(of))
    worst = []
    for indices in batches(lengths, 64, np.random.default_rng(1), of):
        who = owners(of[indices], reading, processes)
        assert all(rank in reading[group] for rank, group in zip(who.tolist(), of[indices].tolist(), strict=True))
        if len(indices) == 64:
            worst.append(np.bincount(who, minlength=processes).max())
    assert np.mean(worst) <= 64 / processes * 1.05 + 1
    assert max(worst) <= 64 / processes * 1.05 + 3


def test_a_batch_in_order_of_two_has_neighbours_at_different_processes():
    of = np.repeat(np.arange(4), 10)
    for indices in batches(np.full(40, 7), 4, np.random.default_rng(0), of):
        assert sorted(of[indices].tolist()) == [0, 1, 2, 3]
