import numpy as np
import pytest

import quadgate
from networks import ensemble, network
from quadgate.cell import lstm
from quadgate.errors import InputError
from quadgate.model import Ensemble, Member, Patches


@pytest.mark.parametrize("pool", ["last", "mean"])
def test_the_answer_is_the_mean_of_the_float64_references(pool):
    found = ensemble(3, pool=pool)
    series = [np.random.default_rng(k).normal(size=(T, 2)) for k, T in enumerate((1, 4, 5, 13))]
    expected = []
    for one in series:
        x = (one - found.scaling.mean) / found.scaling.scale
        patches = []
        for start in range(0, max(1, len(x) - 3 + 2) if len(x) > 4 else 1, 3):  # as long as a step is in none yet
            piece = np.zeros((4, 2))
            piece[: len(x[start : start + 4])] = x[start : start + 4]
            patches.append(piece.ravel())
            if start + 4 >= len(x):
                break
        chances = []
        for member in found.members:
            outputs, (_, h) = lstm(np.stack(patches)[None], member.model.layers[0][0])
            features = h[0] if pool == "last" else outputs[0].mean(axis=0)
            logits = features @ member.model.variables["out/weights"] + member.model.variables["out/biases"]
            weights = np.exp(logits - logits.max())
            chances.append(weights / weights.sum())
        expected.append(np.mean(chances, axis=0))
    np.testing.assert_allclose(found.run(series, output="probabilities")[0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.run(series)[0], np.log(expected), rtol=1e-5, atol=1e-5)


def test_its_layers_are_chains_under_the_names_of_its_variables():
    found = ensemble(2, layers=2, bidirectional=True)
    recurrent = found.recurrent
    assert recurrent.chains == (2, 2)
    assert recurrent.cells[0][0].name.startswith("0/")
    assert set(recurrent.variables) <= set(found.variables)
    assert recurrent.channels[:3] == ("c0, step 0", "c1, step 0", "c0, step 1")
    x = np.random.default_rng(0).normal(size=(3, 5, 8)).astype("f4")
    expected = found.members[1].model.run(x, output="outputs")[0]
    np.testing.assert_array_equal(recurrent.chain(1).run(x)[0], expected)
    assert found.summary().total == sum(array.size for array in found.variables.values())


@pytest.mark.parametrize("filters", [0, 3])
def test_it_is_saved_and_loaded_like_any_model(tmp_path, filters):
    found = ensemble(2, filters=filters)
    quadgate.save(found, tmp_path / "run")
    loaded = quadgate.load(tmp_path / "run")
    assert isinstance(loaded, Ensemble)
    x = np.random.default_rng(0).normal(size=(3, 9, 2))
    np.testing.assert_array_equal(loaded.run(x)[0], found.run(x)[0])
    with pytest.raises(InputError, match="found forget_bias, expected no settings"):
        quadgate.load(tmp_path / "run", forget_bias=0.0)
    for to in ("torch", "onnx", "keras", "tf1"):
        with pytest.raises(InputError, match=r"no other framework's file can say.*--preset stream"):
            quadgate.save(found, tmp_path / "other", to)
        with pytest.raises(InputError, match=r"no other framework's file can say.*members\[0\]\.model"):
            quadgate.convert(tmp_path / "run", tmp_path / "other", to)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="found no member"):
        Ensemble(())
    with pytest.raises(InputError, match="expected equal classifiers that read whole patches"):
        Ensemble((Member(network(inputs=3)),), Patches(2, 1))
    with pytest.raises(InputError, match="did you mean 'logits'"):
        ensemble().run(np.zeros((1, 5, 2)), output="logit")
    for named in ({"labels": ("a",)}, {"channels": ("a",)}):
        with pytest.raises(InputError, match=f"{next(iter(named))}: found 1, expected"):
            Ensemble(ensemble().members, Patches(4, 3), **named)
