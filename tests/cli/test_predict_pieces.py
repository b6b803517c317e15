import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import quadgate
from quadgate.data import parquet
from quadgate.data.parquet import packing as packing
from quadgate.report import batch as module


@pytest.fixture
def small(monkeypatch):
    """Row groups of three cases, files of two row groups, a unit for each row group."""
    monkeypatch.setattr(packing, "GROUP", 1000)
    monkeypatch.setattr(packing, "FILE", 2000)
    monkeypatch.setattr("quadgate.data.parquet.sources.PIECE", 100)
    monkeypatch.setattr(module, "UNIT", 1000)
    monkeypatch.setattr(module, "FILES", 4)


@pytest.fixture
def packed(command, folder, small):
    assert command("data", "pack", "data.npz", "packed")[0] == 0
    return folder / "packed"


def predictions(folder):
    found = {}
    for path in sorted(folder.glob("part-*")):
        if path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
        else:
            rows = pq.read_table(path).to_pylist()
        for row in rows:
            assert row["case"] not in found
            found[row["case"]] = row
    return found


def check(found):
    model = quadgate.load("model")
    chances = model.run(np.load("data.npz")["X"], output="probabilities")[0]
    assert len(found) == 30
    for case, row in found.items():
        expected = chances[int(case.removesuffix(".csv").removeprefix("run"))]
        np.testing.assert_array_equal(
            [np.float32(row["probability of no"]), np.float32(row["probability of yes"])], expected
        )
        assert row["class"] == ("no", "yes")[expected.argmax()]


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_a_set_is_predicted_once_for_each_case(command, packed, folder, workers, monkeypatch):
    code, out, err = command("predict", "model", "packed", "--output", "out", *workers)
    assert (code, out) == (0, "")
    assert err.splitlines()[-1].startswith("30 cases read, 30 predictions are in out (")
    check(predictions(folder / "out"))
    monkeypatch.setattr(module, "_attempt", lambda *_: pytest.fail("predicted again"))
    code, out, _ = command("predict", "model", "packed", "--output", "out", "--json")
    assert json.loads(out)["predictions"] == 30


def test_what_is_missing_is_predicted_and_nothing_else(command, packed, folder):
    command("predict", "model", "packed", "--output", "out")
    parts = sorted((folder / "out").glob("part-*"))
    before = {path: path.read_bytes() for path in parts}
    parts[2].unlink()
    (folder / "out" / ".part-00002.parquet.abc.part").write_bytes(b"half")
    times = {path: path.stat().st_mtime_ns for path in parts if path != parts[2]}
    assert command("predict", "model", "packed", "--output", "out")[0] == 0
    assert {path: path.read_bytes() for path in parts} == before
    assert times == {path: path.stat().st_mtime_ns for path in parts if path != parts[2]}
    assert not list((folder / "out").glob(".*"))


def test_an_interrupt_says_how_to_go_on(command, packed, folder, monkeypatch):
    attempt, seen = module._attempt, []

    def stopped(model, job, unit):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(unit)
        return attempt(model, job, unit)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_attempt", stopped)
        code, _, err = command("predict", "model", "packed", "--output", "out")
    assert code == 130
    assert err.splitlines()[-1] == "stopped; go on with: quadgate predict model packed --output out"
    assert len(list((folder / "out").glob("part-*"))) == 3
    assert command("predict", "model", "packed", "--output", "out")[0] == 0
    check(predictions(folder / "out"))


def test_a_folder_of_csv_is_predicted_in_parallel(command, folder, small):
    (folder / "csv").mkdir()
    for i, one in enumerate(np.load("data.npz")["X"]):
        rows = "\n".join(",".join(map(repr, map(float, row))) for row in one)
        (folder / "csv" / f"run{i}.csv").write_text(f"a,b,c,d\n{rows}\n")
    code, _, err = command("predict", "model", "csv", "--output", "out", "--workers", "2")
    assert (code, err.splitlines()[-1]) == (0, "30 cases read, 30 predictions are in out (8 files)")
    check(predictions(folder / "out"))


def test_a_damaged_row_group_keeps_no_other_from_being_predicted(command, packed, folder):
    file = sorted(packed.glob("*.parquet"))[1]
    raw = bytearray(file.read_bytes())
    page = pq.read_metadata(file).row_group(1).column(2).data_page_offset
    raw[page : page + 60] = b"\xff" * 60
    file.write_bytes(raw)
    code, _, err = command("predict", "model", "packed", "--output", "out")
    last = err.splitlines()[-1]
    assert code == 2
    assert last.startswith(f"error: {file.name}, row group 1: ")
    units = len(list((folder / "out").glob("part-*"))) + 1
    assert last.endswith(f"; {units - 1} of {units} parts are predicted")


def test_a_truncated_file_is_left_out_on_request(command, packed):
    files = sorted(packed.glob("*.parquet"))
    lost = len(set(pq.read_table(files[-1])["case"].to_pylist()))
    files[-1].write_bytes(files[-1].read_bytes()[:100])
    code, _, err = command("predict", "model", "packed", "--output", "out")
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = command("predict", "model", "packed", "--output", "out", "--skip-damaged")
    assert code == 0
    assert err.splitlines()[-1].startswith(f"{30 - lost} cases read, {30 - lost} predictions are in out (")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ((), "found no --output, expected --output FOLDER alone"),
        (("--output", "a.csv"), "found --output a.csv, expected --output FOLDER alone"),
        (("--output", "model"), "model: exists already and holds no predictions"),
        (("--output", "out", "--workers", "0"), "workers: found 0, expected at least 1"),
    ],
)
def test_what_makes_no_sense_gets_one_line(command, packed, more, told):
    code, out, err = command("predict", "model", "packed", *more)
    assert (code, out) == (2, "")
    assert told in err.splitlines()[-1]


def test_predictions_of_other_data_are_refused(command, packed, folder):
    command("predict", "model", "packed", "--output", "out")
    table = pq.read_table(packed / "part-00000.parquet")
    column = pa.array([0.5] * len(table), pa.float32())
    pq.write_table(table.set_column(2, table.column_names[2], column), packed / "part-00000.parquet")
    code, _, err = command("predict", "model", "packed", "--output", "out")
    assert code == 2
    assert err.splitlines()[-1].startswith("error: out: found predictions of another model or of other data")
    assert len(parquet.ParquetSet.open(packed).groups) > 2


def test_a_model_that_does_not_fit_is_refused_before_anything_is_read(command, folder, packed):
    code, out, err = command("predict", "nosuch", "packed", "--output", "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    table = pq.read_table(packed / "part-00000.parquet")
    (folder / "narrow").mkdir()
    pq.write_table(table.drop_columns([table.column_names[-1]]), folder / "narrow" / "a.parquet")
    code, _, err = command("predict", "model", "narrow", "--output", "out")
    assert (code, err.splitlines()[-1][:35]) == (2, "error: narrow: found 3 channels, exp"[:35])
    assert not (folder / "out").exists()


def test_other_columns_of_a_folder_are_other_predictions(command, folder, small):
    (folder / "csv").mkdir()
    for i in range(3):
        (folder / "csv" / f"run{i}.csv").write_text("time,a,b,c,d\n2,1,1,1,1\n1,2,2,2,2\n")
    options = ("predict", "model", "csv", "--output", "out", "--workers", "1")
    assert command(*options)[0] == 0
    code, _, err = command(*options, "--time", "none")
    assert code == 2
    assert "found predictions of another model or of other data" in err


def test_a_run_that_learned_steps_is_asked_for_the_last(command, packed, monkeypatch):
    monkeypatch.setattr("quadgate.report.learned_steps", lambda run: True)
    code, _, err = command("predict", "model", "packed", "--output", "out")
    assert (code, err.count("\n")) == (2, 1)
    assert "expected --no-steps where cases are predicted piece by piece" in err
    assert command("predict", "model", "packed", "--output", "out", "--no-steps")[0] == 0


def test_a_file_of_a_folder_with_other_channels_is_named(command, folder, small):
    (folder / "csv").mkdir()
    for name, head in (("run0", "a,b,c,d"), ("run1", "a,b,c,e")):
        (folder / "csv" / f"{name}.csv").write_text(f"{head}\n1,2,3,4\n")
    code, _, err = command("predict", "model", "csv", "--output", "out", "--workers", "1")
    assert code == 2
    assert "run1.csv" in err.splitlines()[-1]
