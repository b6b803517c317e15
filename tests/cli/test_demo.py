import numpy as np


def test_the_demo_makes_data_trains_on_them_and_says_what_is_next(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["--cases", "24", "--time", "25", "--channels", "2", "--difficulty", "0.2"]
    code, out, _ = command("demo", *given)
    assert code == 0
    assert out.startswith("made demo/data.npz: 24 cases x 25 steps x 2 channels, 2 classes; the class is")
    assert "the same by hand: quadgate train demo/data.npz --epochs 10 --seed 0" in out.splitlines()
    assert out.endswith("next: quadgate predict demo/run DATA --output classes.csv\n")
    with np.load("demo/data.npz") as data:
        assert data["X"].shape == (24, 25, 2)
    code, _, err = command("demo", *given)
    assert (code, err) == (2, "error: demo: exists already, expected a new folder; give another --out\n")
