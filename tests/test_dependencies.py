import sys
from pathlib import Path

import numpy as np
import pytest

import quadgate
from quadgate.data import read
from quadgate.dependencies import require
from quadgate.errors import MissingDependencyError
from quadgate.model import Model, Network


@pytest.mark.parametrize(
    ("package", "name", "extra"),
    [("pandas", "a.csv", "train"), ("aeon.datasets", "a.ts", "train"), ("aeon", "X", "train")],
)
def test_a_missing_package_is_named_with_its_pip_line(tmp_path, monkeypatch, package, name, extra):
    for module in [module for module in sys.modules if module == package or module.startswith(f"{package}.")]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, package, None)
    source = tmp_path / name if "." in name else name
    if "." in name:
        source.write_text("case,a\n1,2\n", encoding="utf-8")
    with pytest.raises(MissingDependencyError, match=rf"cannot be read.*pip install 'quadgate\[{extra}\]'$"):
        read(source)


def test_parquet_asks_for_pyarrow(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        MissingDependencyError, match=r"pyarrow is not installed; pip install 'quadgate\[train,parquet\]'"
    ):
        read(tmp_path / "a.parquet")


def without(monkeypatch, package):
    for module in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.parametrize(
    ("package", "file", "extra"),
    [
        ("h5py", "oracle/keras_lstm/sigmoid/model.h5", "hdf5"),
        ("tflite", "tflite/one.tflite", "tflite"),
        ("msgpack", "flax/linen.msgpack", "flax"),
        ("onnx", "", "onnx"),
    ],
)
def test_a_format_asks_for_its_package(tmp_path, monkeypatch, package, file, extra):
    path = Path(__file__).parent / "golden" / file if file else tmp_path / "a.onnx"
    if not file:
        path.write_bytes(b"\x08\x08")
    without(monkeypatch, package)
    needs = rf"cannot be read: the package {package} is not installed; pip install 'quadgate\[{extra}\]'$"
    with pytest.raises(MissingDependencyError, match=needs):
        quadgate.load(path)


@pytest.mark.parametrize(("package", "ending"), [("h5py", "keras"), ("msgpack", "msgpack"), ("onnx", "onnx")])
def test_a_writer_asks_for_its_package(tmp_path, monkeypatch, package, ending):
    network = Network(inputs=1, units=1, classes=2)
    model = Model(network, {name: np.ones(shape, np.float32) for name, shape in network.shapes.items()})
    without(monkeypatch, package)
    with pytest.raises(MissingDependencyError, match=f"cannot be written: the package {package} is not installed"):
        quadgate.save(model, tmp_path / f"a.{ending}")
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_imported():
    assert require("json", "a test").loads("1") == 1
