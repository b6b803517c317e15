import numpy as np
import pytest

from networks import network
from quadgate.errors import InputError
from quadgate.explain import final_states, nearest


def test_final_states_are_the_top_layers_of_both_directions(monkeypatch):
    model = network(layers=2, bidirectional=True)
    rng = np.random.default_rng(1)
    series = [rng.normal(size=(T, 3)) for T in (1, 5, 2, 7, 3)]
    found = final_states(model, series)
    _, state = model.run(series)
    np.testing.assert_array_equal(found, np.concatenate([state[1][0][1], state[1][1][1]], axis=1))
    monkeypatch.setattr("quadgate.explain.neighbors.CASES", 2)
    np.testing.assert_array_equal(final_states(model, series), found)


def test_the_nearest_are_those_of_a_plain_search():
    rng = np.random.default_rng(0)
    states, trained = rng.normal(size=(4, 6)), rng.normal(size=(31, 6))
    found = nearest(states, trained, 5)
    distances = np.linalg.norm(states[:, None] - trained, axis=2)
    np.testing.assert_array_equal(found.indices, np.argsort(distances, axis=1)[:, :5])
    np.testing.assert_allclose(found.distances, np.sort(distances, axis=1)[:, :5])


def test_no_training_case_is_its_own_neighbour():
    trained = np.array([[0.0], [0.0], [5.0]])
    found = nearest(trained, trained, 1, itself=True)
    assert found.indices[:, 0].tolist()[:2] == [1, 0]
    with pytest.raises(InputError, match="neighbors: found 3, expected 1 to 2"):
        nearest(trained, trained, 3, itself=True)
