import numpy as np
import pytest

from quadgate.data import Sequences
from quadgate.errors import InputError
from quadgate.model import Model, Network
from quadgate.report.samples import accuracy_by_samples


def last_sign():
    """A network whose answer after a step is the sign of that step: its forget gate is shut, its input gate open."""
    network = Network(inputs=1, units=1, classes=2, forget_bias=0.0)
    kernel = np.zeros((2, 4), np.float32)
    kernel[0, 1] = 9.0  # the candidate
    variables = {
        "rnn/basic_lstm_cell/kernel": kernel,
        "rnn/basic_lstm_cell/bias": np.array([9, 0, -99, 9], np.float32),
        "out/weights": np.array([[-1, 1]], np.float32),
        "out/biases": np.zeros(2, np.float32),
    }
    return Model(network, variables, labels=("down", "up"))


def test_answers_are_counted_after_a_share_of_the_samples():
    up, late = np.ones((20, 1)), np.repeat([-1.0, 1.0], [14, 6])[:, None]
    cases = Sequences((up, late, -up), labels=["up", "up", "up"])
    shares = (0.01, 0.5, 0.7, 0.75, 1.0)
    np.testing.assert_allclose(accuracy_by_samples(last_sign(), cases, shares), [1 / 3, 1 / 3, 1 / 3, 2 / 3, 2 / 3])
    steps = tuple(np.where(one[:, 0] > 0, "up", "down") for one in (up, late, -up))
    assert accuracy_by_samples(last_sign(), Sequences((up, late, -up), step_labels=steps), shares) == (1,) * 5


def test_a_network_that_reads_backward_has_no_answer_then():
    network = Network(inputs=1, units=1, classes=2, bidirectional=True)
    variables = {name: np.ones(shape, np.float32) for name, shape in network.shapes.items()}
    with pytest.raises(InputError):
        accuracy_by_samples(Model(network, variables), Sequences([np.ones((3, 1))], labels=[1]))
