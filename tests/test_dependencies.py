import sys

import pytest

from quadgate.data import read
from quadgate.dependencies import require
from quadgate.errors import MissingDependencyError


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


def test_what_is_there_is_imported():
    assert require("json", "a test").loads("1") == 1
