import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadgate.model import write_atomically


class InterruptedWriteError(Exception):
    pass


@given(before=st.none() | st.binary(max_size=50), written=st.binary(max_size=50), fails=st.booleans())
def test_a_file_is_the_old_one_or_the_new_one(tmp_path_factory, before, written, fails):
    folder = tmp_path_factory.mktemp("atomic")
    path = folder / "file"
    if before is not None:
        path.write_bytes(before)
    try:
        with write_atomically(path) as beside:
            beside.write_bytes(written)
            assert (path.read_bytes() if path.exists() else None) == before
            if fails:
                raise InterruptedWriteError
    except InterruptedWriteError:
        pass
    assert (path.read_bytes() if path.exists() else None) == (before if fails else written)
    assert [entry.name for entry in folder.iterdir()] == (["file"] if path.exists() else [])


def test_an_interrupt_from_the_keyboard_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), write_atomically(tmp_path / "file"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_as_the_file_is_made_leaves_nothing(tmp_path, monkeypatch):
    opened = os.open

    def interrupted(*arguments):
        opened(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "open", interrupted)
    with pytest.raises(KeyboardInterrupt), write_atomically(tmp_path / "file"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_made(tmp_path):
    with write_atomically(tmp_path / "a" / "b" / "file") as beside:
        beside.write_text("x")
    assert (tmp_path / "a" / "b" / "file").read_text() == "x"


def test_permissions_are_those_of_any_new_file_or_of_the_one_replaced(tmp_path):
    plain, path = tmp_path / "plain", tmp_path / "file"
    plain.write_text("")
    for mode in (stat.S_IMODE(plain.stat().st_mode), 0o640):
        with write_atomically(path) as beside:
            beside.write_text("x")
        assert stat.S_IMODE(path.stat().st_mode) == mode
        path.chmod(0o640)


def test_a_place_that_cannot_be_written_to_is_named_as_the_caller_does(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken") as refused, write_atomically(tmp_path / "taken") as beside:
        beside.write_text("x")
    assert list(tmp_path.iterdir()) == [tmp_path / "taken"]
    with pytest.raises(FileNotFoundError) as refused, write_atomically("/proc/nope.txt"):
        pass
    assert refused.value.filename == "/proc/nope.txt"
