"""The base install is small: rooms that need no torch never import it, nor anything else that is heavy."""

import subprocess
import sys
from pathlib import Path

import pytest

import quadgate

HEAVY = ("torch", "pandas", "aeon", "sklearn", "typer", "rich", "matplotlib", "pyarrow")
LIGHT_ROOMS = ("cell", "layouts", "model", "formats", "explain", "kernels", "streaming")


def run_python(text: str) -> str:
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("room", LIGHT_ROOMS)
def test_a_light_room_imports_nothing_heavy(room):
    loaded = run_python(f"import sys, quadgate.{room}; print(*[n for n in {HEAVY} if n in sys.modules])")
    assert loaded.split() == []


@pytest.mark.parametrize("room", LIGHT_ROOMS)
def test_a_light_room_imports_where_torch_cannot_be_imported(room):
    run_python(f"import sys; sys.modules['torch'] = None; import quadgate.{room}")


def test_import_quadgate_loads_no_room():
    loaded = run_python("import sys, quadgate; print(*[n for n in sys.modules if n.startswith('quadgate.')])")
    assert loaded.split() == []


def test_every_public_name_exists():
    for name in quadgate.__all__:
        assert getattr(quadgate, name) is not None


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="quadgate"):
        quadgate.lstn  # noqa: B018


def test_rooms_on_top_are_imported_by_nobody():
    source = Path(quadgate.__file__).parent
    for path in source.rglob("*.py"):
        room = path.relative_to(source).parts[0]
        if room in ("cli", "report", "serving", "__main__.py"):
            continue
        text = path.read_text(encoding="utf-8")
        assert "quadgate.cli" not in text, path
        assert "quadgate.report" not in text, path
        assert "quadgate.serving" not in text, path
