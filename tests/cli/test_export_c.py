import json

import pytest


def test_a_model_becomes_two_files_and_is_compared(command, folder):
    code, out, err = command("export-c", "model", "firmware", "--name", "motion", "--output", "probabilities")
    assert (code, err) == (0, "")
    assert sorted(path.name for path in (folder / "firmware").iterdir()) == ["motion.c", "motion.h"]
    assert "motion_init, motion_step, motion_reset" in out
    assert "answers with 2: probabilities" in out
    assert "bytes of constants" in out
    assert "beside the model over 200 samples" in out or "not compiled here" in out


def test_json(command, folder):
    code, out, _ = command("export-c", "model", "firmware", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["outputs"] == 2
    assert told["ram"] > 0
    assert told["check"] is None or told["check"]["largest"] <= told["check"]["bound"]


@pytest.mark.parametrize("name", ["a b", "int"])
def test_a_name_that_is_none(command, folder, name):
    code, _, err = command("export-c", "model", "firmware", "--name", name)
    assert code == 2
    assert "expected a C identifier" in err
