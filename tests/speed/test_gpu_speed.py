"""The measurements on a GPU: their way, run on main memory and by the interpreter; their numbers mean nothing here."""

import argparse
import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from quadgate.errors import InputError
from quadgate.kernels.gpu import graph
from quadgate.kernels.gpu.crossover import Case, Measured, Table, choose, place, read
from quadgate.speed import gpu, tuning

ON_GPU = torch.cuda.is_available()
CPU = torch.device("cpu")
interpreted = pytest.mark.skipif(ON_GPU, reason="runs Triton's interpreter, which a process with a GPU has not")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(graph, "STEPS", (3, 2))
    read.cache_clear()
    graph.forget()
    yield
    read.cache_clear()
    graph.forget()


@interpreted
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("lengths", [False, True])
def test_every_implementation_agrees_with_the_loop(training, lengths):
    failed, errors = gpu.check(Case("float32", 5, 6, training, lengths), 4, 3, CPU, eager=True)
    assert not failed
    assert {"cuDNN", "Triton", "graph", gpu.EAGER} <= errors.keys()
    assert max(errors.values()) < 1e-5


@interpreted
def test_who_is_wrong_is_not_timed(monkeypatch):
    case = Case("float32", 5, 2, False, False)
    plain = gpu.passes

    def one_is_wrong(*arguments, **options):
        found = plain(*arguments, **options)
        right = found["graph"]
        return found | {"graph": lambda: tuple(one + 1 for one in right())}

    monkeypatch.setattr(gpu, "passes", one_is_wrong)
    measured, errors, failed = gpu.measure(case, 4, 3, CPU, 0.001)
    assert not failed
    assert errors["graph"] > 0.5
    assert "graph" not in measured.milliseconds
    assert {"cuDNN", "Triton"} <= measured.milliseconds.keys()


@interpreted
def test_who_fails_keeps_no_other_from_being_timed(monkeypatch):
    plain = gpu.passes

    def one_fails(*arguments, **options):
        def refuse():
            raise RuntimeError("out of resource: shared memory\nand more")

        return plain(*arguments, **options) | {"Triton": refuse}

    monkeypatch.setattr(gpu, "passes", one_fails)
    measured, errors, failed = gpu.measure(Case("float32", 5, 2, False, False), 4, 3, CPU, 0.001)
    assert failed == {"Triton": "RuntimeError: out of resource: shared memory"}
    assert "Triton" not in errors
    assert {"cuDNN", "graph"} == measured.milliseconds.keys()


@interpreted
def test_tuning_writes_what_the_chooser_reads(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    cases = tuning.grid((5,), (2,), ("float32",))
    told = []
    table = tuning.tune(cases[:2], CPU, 0.001, steps=3, told=lambda number, *_: told.append(number))
    assert told == [0, 1]
    assert read("a GPU") == table
    again = tuning.tune(cases[2:3], CPU, 0.001, steps=3)
    assert [one.case for one in again.cases] == cases[:3]
    assert read("another GPU") is None
    refusals = dict.fromkeys(("cuDNN", "Triton", "graph"))
    assert choose(cases[0], refusals, table).implementation == table.cases[0].fastest


def test_the_fastest_that_can_run_is_chosen_with_its_numbers():
    case = Case("bfloat16", 64, 32, True, False)
    table = Table("a GPU", 256, {}, (Measured(case, "2026-01-01", {"cuDNN": 2.0, "Triton": 1.0, "graph": 1.5}),))
    found = choose(case, dict.fromkeys(("cuDNN", "Triton", "graph")), table)
    assert found.implementation == "Triton"
    assert "1.00 ms against graph 1.50, cuDNN 2.00 at H=64, N=32, bfloat16, forward and backward" in found.reason
    assert choose(case, {"cuDNN": None, "Triton": "does not fit", "graph": None}, table).implementation == "graph"
    other = Case("float32", 64, 32, True, False)
    assert choose(other, dict.fromkeys(("cuDNN", "Triton")), table).implementation == "cuDNN"


def test_a_damaged_table_is_refused_with_its_path():
    place("a GPU").parent.mkdir(parents=True)
    for text in (
        "{",
        '{"version": 1}',
        '{"version": 1, "device": "a GPU", "steps": 1, "versions": {}, "cases": [1]}',
    ):
        place("a GPU").write_text(text)
        read.cache_clear()
        with pytest.raises(InputError, match=r"gpu-a-gpu\.json: no table of quadgate tune .*run quadgate tune again"):
            read("a GPU")


@pytest.mark.slow
@interpreted
def test_the_benchmark_runs_resumes_and_draws(tmp_path, monkeypatch, capsys):
    path = Path(__file__).parents[2] / "benchmarks" / "gpu" / "speed.py"
    spec = spec_from_file_location("gpu_speed", path)
    benchmark = module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    monkeypatch.setattr(benchmark, "T", 2)
    asked = argparse.Namespace(
        units=[5], cases=[32], quick=False, dtypes=["float32"], seconds=0.001, no_eager=True, out=tmp_path / "s.json"
    )
    benchmark.run(asked, CPU, "main memory")
    found = json.loads(asked.out.read_text())
    assert len(found["cases"]) == 4
    assert {"cuDNN", "Triton", "graph"} <= found["cases"][0]["milliseconds"].keys()
    assert asked.out.with_suffix(".png").exists()
    benchmark.run(asked, CPU, "main memory")
    assert json.loads(asked.out.read_text())["cases"] == found["cases"]
    assert "µs a step" in capsys.readouterr().out


@pytest.mark.skipif(ON_GPU, reason="there is a GPU")
def test_without_a_gpu_the_benchmark_says_why():
    path = Path(__file__).parents[2] / "benchmarks" / "gpu" / "speed.py"
    spec = spec_from_file_location("gpu_speed", path)
    benchmark = module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    with pytest.raises(SystemExit, match="no GPU is used: "):
        benchmark.main([])
