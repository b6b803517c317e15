import numpy as np
from sklearn.utils.class_weight import compute_sample_weight

from quadgate.data import Sequences, balanced


def test_the_weights_are_those_of_scikit_learn():
    labels = np.random.default_rng(0).choice(["a", "b", "c"], 40, p=[0.7, 0.2, 0.1])
    cases = Sequences([[[0.0]]] * 40, labels=labels)
    np.testing.assert_allclose(balanced(cases).weights, compute_sample_weight("balanced", labels))
    twice = balanced(Sequences([[[0.0]]] * 40, labels=labels, weights=np.full(40, 3.0)))
    np.testing.assert_allclose(twice.weights, 3 * balanced(cases).weights)


def test_a_case_with_a_class_at_each_step_weighs_the_mean_of_its_steps():
    cases = Sequences([[[0.0]] * 3, [[0.0]] * 1], step_labels=(["a", "a", "b"], ["a"]))
    np.testing.assert_allclose(balanced(cases).weights, [(4 / 6 * 2 + 2) / 3, 4 / 6])
