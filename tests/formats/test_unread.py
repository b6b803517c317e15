import zipfile

import pytest

import quadgate
from quadgate.errors import FileFormatError


@pytest.mark.parametrize(
    ("name", "content", "title"),
    [
        ("net.xml", b'<?xml version="1.0"?><net name="a" version="11">', "an OpenVINO model"),
        ("net.mlmodel", b"\x08\x04", "a Core ML model"),
        ("net.pdparams", b"\x80\x02}.", "a file of PaddlePaddle"),
        ("net.params", b"\x12\x01" + bytes(22), "a file of MXNet"),
        ("net.zip", ["configuration.json", "coefficients.bin"], "a model of Deeplearning4j"),
        ("net.npz", ["l1/upward/W.npy", "l1/lateral/W.npy"], "a file of Chainer"),
        ("net.h5", ["l1/upward/W", "l1/lateral/W"], "a file of Chainer"),
        ("net.t7", b"\x04\x00\x00\x00", "a file of Torch7"),
        ("folder", ["_METADATA", "d"], "a checkpoint of Orbax"),
    ],
)
def test_a_format_that_is_not_read_is_named(tmp_path, name, content, title):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif name.endswith(".h5"):
        h5py = pytest.importorskip("h5py", reason="needs quadgate[hdf5]")
        with h5py.File(path, "w") as file:
            for entry in content:
                file[entry] = [[1.0]]
    elif name == "folder":
        path.mkdir()
        for entry in content:
            (path / entry).touch()
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for entry in content:
                archive.writestr(entry, b"")
    with pytest.raises(FileFormatError, match=f"found {title}, which is not read yet; needed: ") as caught:
        quadgate.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
