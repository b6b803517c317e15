"""Pickles made to run code, to exhaust memory or time, or damaged: one line, quickly, and nothing runs."""

import io
import os
import pickle
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from hostile.limits import limits, refused
from quadgate.errors import FileFormatError
from quadgate.formats import numpy_pickle, torch_file
from quadgate.formats.pickles import load


class Calls:
    def __init__(self, function, *arguments):
        self.reduction = (function, arguments)

    def __reduce__(self):
        return self.reduction


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "attack",
    [
        Calls(os.system, "touch ran"),
        Calls(eval, "open('ran', 'w')"),
        Calls(getattr, Calls(__import__, "os"), "system"),
        {"lstm": [Calls(os.mkdir, "ran")]},
        Calls(type, "name", (), {}),
    ],
    ids=["os.system", "eval", "getattr", "nested", "type"],
)
def test_nothing_runs(tmp_path, monkeypatch, attack, protocol):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps(attack, protocol=protocol)
    with pytest.raises(FileFormatError, match="never done") as caught:
        load(io.BytesIO(content), "a.pkl", {})
    assert "\n" not in str(caught.value)
    Path("a.pkl").write_bytes(content)
    with pytest.raises(FileFormatError):
        numpy_pickle.read(Path("a.pkl"))
    torch.save({"a": attack}, "a.pt", pickle_protocol=2)
    with pytest.raises(FileFormatError, match="never done"):
        torch_file.read(Path("a.pt"))
    assert not Path("ran").exists()


def refusal(action) -> str:
    """The one line that the action was refused with, or nothing where it succeeded; any other error is a bug."""
    try:
        with limits():
            action()
    except FileFormatError as error:
        told = str(error)
    else:
        return ""
    assert "\n" not in told
    return told


def nested_key() -> bytes:
    """A dictionary key that doubles fifty times: hashing it would take years."""
    content = b"\x80\x02})q\x00" + b"".join(b"h\x00h\x00\x86q\x00" for _ in range(50))
    return content + b"h\x00K\x01s."


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"\x80\x02.",
        b"\x80\x02K\x01",
        b"\x80\x02(((((.",
        b"\x80\x02s.",
        b"\x80\x02e.",
        b"\x80\x02h\x05.",
        b"\x80\x02X\xff\xff\xff\x7f.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x02K\x01r\xff\xff\xff\x7f.",
        b"I" + b"9" * 100_000 + b"\n.",
        b"\x80\x02)R.",
        b"\x80\x02}}K\x01s.",
        nested_key(),
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"K\x01\x85.",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_damaged_or_greedy_pickles_end_in_one_line(content):
    told = refusal(lambda: load(io.BytesIO(content), "a.pkl", {}))
    assert told == "" or told.startswith("a.pkl: ")


@pytest.fixture(params=["zip", "before-1.6"])
def small_file(tmp_path, request):
    torch.save(
        {"a": torch.arange(6.0).view(2, 3)}, tmp_path / "a.pt", _use_new_zipfile_serialization=request.param == "zip"
    )
    return tmp_path / "a.pt"


def read_or_refuse(path):
    told = refusal(lambda: [np.array(array) for array in torch_file.read(path).tensors.values()])
    assert told == "" or str(path) in told


def test_truncated_at_every_byte(small_file):
    content = small_file.read_bytes()
    for size in range(len(content)):
        small_file.write_bytes(content[:size])
        read_or_refuse(small_file)


def test_flipped_bits(small_file):
    content = small_file.read_bytes()
    rng = random.Random(3)  # noqa: S311
    for _ in range(500):
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        small_file.write_bytes(damaged)
        read_or_refuse(small_file)


def rewritten(source: Path, target: Path, change) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))


def replaced(old: bytes, new: bytes):
    def change(name, content):
        if name.endswith("data.pkl"):
            assert old in content
            return content.replace(old, new)
        return content

    return change


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"K\x02K\x03\x86", b"J\xff\xff\xff\x7fK\x03\x86"),
        (b"K\x02K\x03\x86", b"J\xff\xff\xff\xffK\x03\x86"),
        (b"K\x03K\x01\x86", b"K\x00K\x00\x86"),
        (b"K\x03K\x01\x86", b"J\xff\xff\xff\x7fK\x01\x86"),
        (b"K\x02K\x03\x86", b"K\x02\x85"),
        (b"X\x01\x00\x00\x000", b"X\x06\x00\x00\x00../../"),
    ],
    ids=["billions of rows", "negative rows", "stride 0", "far stride", "ranks differ", "path traversal"],
)
def test_views_beyond_their_storage(tmp_path, old, new):
    torch.save({"a": torch.arange(6.0).view(2, 3)}, tmp_path / "a.pt")
    rewritten(tmp_path / "a.pt", tmp_path / "b.pt", replaced(old, new))
    if b"K\x00K\x00" in new:
        assert torch_file.read(tmp_path / "b.pt").tensors["a"].tolist() == [[0, 0, 0], [0, 0, 0]]
    else:
        with limits(), pytest.raises(FileFormatError):
            torch_file.read(tmp_path / "b.pt")


def test_a_storage_count_beyond_the_file_is_refused_before_allocation(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"a": torch.arange(6.0)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    place = content.rindex(struct.pack("<q", 6))
    path.write_bytes(content[:place] + struct.pack("<q", 2**60) + content[place + 8 :])
    with limits(), pytest.raises(FileFormatError, match="cut short"):
        torch_file.read(path)


@pytest.mark.parametrize("name", ["\x1b[2Jlstm", "lstm\nTotal: 7", "\u202elstm", "l\rstm"])
def test_names_that_would_command_the_terminal(tmp_path, name):
    shapes = {"weight_ih_l0": (8, 3), "weight_hh_l0": (8, 2)}
    torch.save({f"{name}.{role}": torch.ones(shape) for role, shape in shapes.items()}, tmp_path / "a.pt")
    text = refused(tmp_path / "a.pt")
    assert text.isprintable()


DOUBLED = b"K\x01\x85" + b"2\x86" * 60  # a tuple of itself twice, sixty times over: printing it would take years
LONG = b"\x8b" + struct.pack("<i", 3000) + b"\x01" * 3000  # a number of more digits than Python prints


def in_archive(path: Path, program: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {"data.pkl": b"\x80\x02" + program + b".", "data/0": bytes(64)}.items():
            archive.writestr(f"a/{name}", content)
    return path


STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu%stQ"


@pytest.mark.parametrize("thing", [DOUBLED, LONG], ids=["doubled", "long"])
@pytest.mark.parametrize(
    "around",
    [
        b"%sQ",
        b"(X\x07\x00\x00\x00storageK\x01%sK\x01K\x01tQ",
        STORAGE,
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE % b"K\x10" + b"K\x00%s\x85K\x01\x85tR",
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE % b"K\x10" + b"K\x00K\x01\x85%s\x85tR",
        b"ctorch\ndevice\n%s\x85R",
        b"}%sK\x01s",
        b"}c__main__\nA\n)\x81%sbK\x01s",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00a%stR",
    ],
    ids=["persistent id", "class", "count", "shape", "stride", "device", "key", "key of a class", "encoding"],
)
def test_what_cannot_be_printed_is_refused_in_few_words(tmp_path, thing, around):
    path = in_archive(tmp_path / "a.pt", around.replace(b"%s", thing))
    assert len(refused(path)) < 600


@pytest.mark.parametrize("thing", [DOUBLED, LONG], ids=["doubled", "long"])
@pytest.mark.parametrize("change", ["shape", "dtype", "class"])
def test_arrays_that_cannot_be_printed_are_refused_in_few_words(tmp_path, thing, change):
    parts = {"shape": thing + b"\x85", "dtype": b"X\x02\x00\x00\x00f4", "class": b"cnumpy\nndarray\n"}
    parts[change] = thing + (b"\x85" if change == "shape" else b"")
    whole = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(%(class)sK\x00\x85X\x01\x00\x00\x00btR"
        b"(K\x01%(shape)scnumpy\ndtype\n(%(dtype)sK\x00K\x01tR\x89C\x04abcdtb."
    )
    for name, part in parts.items():
        whole = whole.replace(b"%%(%s)s" % name.encode(), part)
    (tmp_path / "a.pkl").write_bytes(whole)
    assert len(refused(tmp_path / "a.pkl")) < 600


def test_a_pickle_of_python_2_is_called_that(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"(S'\xec'\nS'a'\nt.")
    refused(tmp_path / "a.pkl", "as Python 2 wrote it")
